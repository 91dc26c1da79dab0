package main

import (
	"fmt"
	"time"
)

const (
	sampleEvery = 250 * time.Millisecond
	cpuWindow   = 2 * time.Second // start-up takes a whole CPU for a moment in any tool
)

// meter watches what the tool's processes use. Kubernetes forbids resource limits on an ephemeral container, and the
// target shares its pod's limits with the tool: a tool that takes too much can get the target killed. The answer is to
// end the tool. It is never stopped, throttled or niced, since a tracer that is held up holds up its target.
type meter struct {
	table  processTable
	limits limits
	points []point
}

// point is the CPU time that all processes of the tool had used at one moment.
type point struct {
	at    time.Time
	ticks int64
}

// sample looks once and returns why the tool must end, or nothing.
func (m *meter) sample(now time.Time) *refusal {
	if m.limits.memoryBytes == 0 && m.limits.cpuPercent == 0 {
		return nil
	}
	var rss, ticks int64
	for _, p := range m.table.descendants() {
		rss += p.rssBytes
		ticks += p.cpuTicks + p.waitedTicks
	}
	if me, known := m.table.read(m.table.self); known {
		ticks += me.waitedTicks // those that toe-run has waited for
	}
	if m.limits.memoryBytes > 0 && rss > m.limits.memoryBytes {
		return refuse(memoryLimitExceeded,
			fmt.Sprintf("the tool held %d bytes of memory, limits.memory is %d", rss, m.limits.memoryBytes))
	}
	m.points = append(m.points, point{now, ticks})
	if percent, known := m.cpuPercent(); known && m.limits.cpuPercent > 0 && percent > m.limits.cpuPercent {
		return refuse(cpuLimitExceeded,
			fmt.Sprintf("the tool used %.0f%% of a CPU, limits.cpuPercent is %g", percent, m.limits.cpuPercent))
	}
	return nil
}

// cpuPercent is the average over the shortest window of at least cpuWindow that ends now; 100 is one CPU.
func (m *meter) cpuPercent() (float64, bool) {
	last := m.points[len(m.points)-1]
	first := -1
	for i, p := range m.points {
		if last.at.Sub(p.at) >= cpuWindow {
			first = i
		}
	}
	if first < 0 {
		return 0, false
	}
	m.points = m.points[first:]
	elapsed := last.at.Sub(m.points[0].at).Seconds()
	used := float64(last.ticks-m.points[0].ticks) / ticksPerSecond
	return 100 * max(0, used) / elapsed, true
}
