package main

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ticksPerSecond is USER_HZ, in which /proc tells times. It is 100 on every architecture that Go and containers share.
const ticksPerSecond = 100

var pageSize = int64(os.Getpagesize())

// process is what one line of /proc/PID/stat tells.
type process struct {
	pid, parent int
	state       byte
	cpuTicks    int64 // own user and system time
	waitedTicks int64 // that of its children that it has waited for
	started     int64 // in ticks since boot
	rssBytes    int64
}

// processTable reads a /proc directory. Every file it reads is readable for everyone, so it works without a capability.
type processTable struct {
	root string // "/proc"; a made-up directory in tests
	self int    // toe-run's own PID in that directory
}

// pids lists all processes, ascending only by chance.
func (t processTable) pids() []int {
	directory, err := os.Open(t.root)
	if err != nil {
		return nil
	}
	defer directory.Close()
	names, _ := directory.Readdirnames(-1)
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// read tells about one process; false when it is gone.
func (t processTable) read(pid int) (process, bool) {
	line, err := os.ReadFile(t.root + "/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	return parseStat(line)
}

// parseStat reads proc_pid_stat(5). The name in it may contain anything, even ") R 1 ": the last bracket counts.
func parseStat(line []byte) (process, bool) {
	first, last := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ')')
	if first < 0 || last < first {
		return process{}, false
	}
	fields := strings.Fields(string(line[last+1:]))
	if len(fields) < 22 {
		return process{}, false
	}
	number := func(field int) int64 { // numbered as in proc_pid_stat(5), where the state is 3
		n, _ := strconv.ParseInt(fields[field-3], 10, 64)
		return n
	}
	pid, err := strconv.Atoi(string(line[:first]))
	if err != nil {
		return process{}, false
	}
	return process{
		pid:         pid,
		parent:      int(number(4)),
		state:       fields[0][0],
		cpuTicks:    number(14) + number(15),
		waitedTicks: number(16) + number(17),
		started:     number(22),
		rssBytes:    number(24) * pageSize,
	}, true
}

// descendants are all living processes below toe-run, also those that left the tool's group or session: toe-run is
// their subreaper, so an orphan becomes its child and not that of the target's PID 1, which may never wait for it.
func (t processTable) descendants() []process {
	children := map[int][]process{}
	for _, pid := range t.pids() {
		if p, alive := t.read(pid); alive {
			children[p.parent] = append(children[p.parent], p)
		}
	}
	var found []process
	seen := map[int]bool{t.self: true}
	for queue := []int{t.self}; len(queue) > 0; queue = queue[1:] {
		for _, child := range children[queue[0]] {
			if seen[child.pid] {
				continue
			}
			seen[child.pid] = true
			queue = append(queue, child.pid)
			if child.state != 'Z' && child.state != 'X' {
				found = append(found, child)
			}
		}
	}
	return found
}

// kill ends exactly this process. In a shared PID namespace a recycled PID could be the target's, so the signal goes
// through a descriptor that is compared with the process first.
func (t processTable) kill(p process) {
	descriptor, _, errno := syscall.Syscall(sysPidfdOpen, uintptr(p.pid), 0, 0)
	if errno != 0 {
		if errors.Is(errno, syscall.ENOSYS) || errors.Is(errno, syscall.EPERM) {
			if now, alive := t.read(p.pid); alive && now.started == p.started {
				_ = syscall.Kill(p.pid, syscall.SIGKILL)
			}
		}
		return
	}
	defer syscall.Close(int(descriptor))
	if now, alive := t.read(p.pid); alive && now.started == p.started {
		_, _, _ = syscall.Syscall6(sysPidfdSendSignal, descriptor, uintptr(syscall.SIGKILL), 0, 0, 0, 0)
	}
}

// The same numbers on all architectures; package syscall is older than the calls.
const (
	sysPidfdSendSignal = 424
	sysPidfdOpen       = 434
)
