package main

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// privileges is what the kernel says that toe-run, and so its tool, may do.
type privileges struct {
	uid, gid   int
	capEff     string
	noNewPrivs bool
	seccomp    int
}

// readPrivileges reads them from /proc/self/status: what is effective, not what someone asked for.
func readPrivileges(root string) privileges {
	p := privileges{uid: os.Geteuid(), gid: os.Getegid()}
	file, err := os.Open(root + "/self/status")
	if err != nil {
		return p
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimSpace(value)
		switch name {
		case "CapEff":
			p.capEff = value
		case "NoNewPrivs":
			p.noNewPrivs = value == "1"
		case "Seccomp":
			p.seccomp, _ = strconv.Atoi(value)
		}
	}
	return p
}

const (
	prSetDumpable       = 4
	prSetChildSubreaper = 36
	sysCloseRange       = 436 // the same on all architectures
	closeOnExec         = 4   // CLOSE_RANGE_CLOEXEC
	memoryAim           = 16 << 20
)

// settleIn makes toe-run the right kind of neighbour. The order matters: a process that is not dumpable can no longer
// write its own oom_score_adj unless it is root.
func settleIn() {
	// toe-run's own memory counts for the target's pod: collect garbage early rather than grow.
	debug.SetMemoryLimit(memoryAim)
	// Whatever else was left open by toe-run's own parent is none of the tool's business.
	_, _, _ = syscall.RawSyscall(sysCloseRange, 3, math.MaxUint32, closeOnExec)
	// When memory runs out the tool is to die and not the target. The tool inherits it. A failure is no reason not to run.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	// The target runs as the same user: it shall not read toe-run's memory or environment.
	_, _, _ = syscall.RawSyscall6(syscall.SYS_PRCTL, prSetDumpable, 0, 0, 0, 0, 0)
	// Orphans of the tool come to toe-run and not to the target's PID 1.
	_, _, _ = syscall.RawSyscall6(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0, 0, 0, 0)
}

// forget overwrites the value of a variable in the block that the kernel shows as /proc/PID/environ, and takes it out of
// the environment. Whoever could look into it sees it in the pod anyway; there is no reason to keep it.
func forget(name string) {
	_ = os.Unsetenv(name)
	line, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return
	}
	fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:]))
	const envStart, envEnd = 50 - 3, 51 - 3 // numbered as in proc_pid_stat(5), where the state is 3
	if len(fields) <= envEnd {
		return
	}
	start, _ := strconv.ParseUint(fields[envStart], 10, 64)
	end, _ := strconv.ParseUint(fields[envEnd], 10, 64)
	if start == 0 || end <= start { // the kernel does not say
		return
	}
	address := uintptr(start)
	block := unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&address))), int(end-start))
	for rest := block; len(rest) > 0; {
		pair := rest
		if i := bytes.IndexByte(rest, 0); i >= 0 {
			pair, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		if bytes.HasPrefix(pair, []byte(name+"=")) {
			for i := len(name) + 1; i < len(pair); i++ {
				pair[i] = 'x'
			}
		}
	}
}
