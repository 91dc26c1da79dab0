package main

import (
	"os"
	"testing"
	"time"
)

func TestMemoryIsThatOfAllTheToolsProcesses(t *testing.T) {
	processes := []madeUp{{pid: 1, rss: 1000}, {pid: 10}, {pid: 11, parent: 10, rss: 30}, {pid: 12, parent: 11, rss: 30}}
	for limit, over := range map[int64]bool{60: false, 59: true} {
		m := meter{table: table(t, 10, processes...), limits: limits{memoryBytes: limit * pageSize}}
		no := m.sample(time.Now())
		if (no != nil) != over || (over && no.reason != memoryLimitExceeded) {
			t.Errorf("%d: %v", limit, no)
		}
	}
}

func TestCPUIsAnAverageOverTwoSeconds(t *testing.T) {
	start := time.Now()
	m := meter{limits: limits{cpuPercent: 50}}
	at := func(ms int, ticks int64) (float64, bool) {
		m.points = append(m.points, point{start.Add(time.Duration(ms) * time.Millisecond), ticks})
		return m.cpuPercent()
	}
	if _, known := at(0, 0); known {
		t.Error("known at once")
	}
	if _, known := at(1999, 200); known {
		t.Error("known too early")
	}
	if percent, known := at(2000, 200); !known || percent != 100 {
		t.Error(percent, known)
	}
	if percent, _ := at(4000, 200); percent != 0 { // the burst is over and forgotten
		t.Error(percent)
	}
	if percent, _ := at(6000, 100); percent != 0 { // a process was reaped by no one
		t.Error(percent)
	}
	if len(m.points) > 3 {
		t.Error("old points are kept")
	}
}

func TestAToolThatHoldsTooMuchMemoryIsEnded(t *testing.T) {
	r := play(t, scene{
		command: self(t, "hold-memory", "80"), env: map[string]string{"TOE_LIMITS": `{"memoryBytes":50000000}`},
	})
	r.must(t, 125, memoryLimitExceeded)
	if r.took > 12*time.Second || !r.summary.Stopped {
		t.Fatal(r.took, r.summaryText)
	}
	contains(t, r.summary.Message, "limits.memory is 50000000")
}

func TestMemoryOfGrandchildrenCounts(t *testing.T) {
	tool := self(t, "hold-memory", "40")
	script := `setsid "$0" "$@" & setsid "$0" "$@" & wait`
	r := play(t, scene{
		command: append([]string{"sh", "-c", script}, tool...), env: map[string]string{"TOE_LIMITS": `{"memoryBytes":70000000}`},
	})
	r.must(t, 125, memoryLimitExceeded)
}

func TestAToolThatBurnsTooMuchCPUIsEnded(t *testing.T) {
	r := play(t, scene{command: self(t, "burn"), env: map[string]string{"TOE_LIMITS": `{"cpuPercent":5}`}})
	r.must(t, 125, cpuLimitExceeded)
	if r.took < cpuWindow {
		t.Fatal(r.took)
	}
}

func TestAToolWithinItsLimitsIsLeftAlone(t *testing.T) {
	r := play(t, scene{
		command: shell("sleep 3"), env: map[string]string{"TOE_LIMITS": `{"memoryBytes":50000000,"cpuPercent":50}`},
	})
	r.must(t, 0, completed)
}

func TestAToolThatFillsTheDiskIsEnded(t *testing.T) {
	r := play(t, scene{
		command: shell(`while :; do head -c 200000 /dev/zero >>"$TOE_OUTPUT/big"; sleep 0.1; done`),
		env:     map[string]string{"TOE_LIMITS": `{"artifactBytes":1000000}`},
	})
	r.must(t, 125, artifactTooLarge)
	if r.took > 15*time.Second || r.out != "" {
		t.Fatalf("%s %.200q", r.took, r.out)
	}
	if info, err := os.Stat(r.output + "/big"); err != nil || info.Size() > 100e6 {
		t.Fatal(info, err)
	}
}
