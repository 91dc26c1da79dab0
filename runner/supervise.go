package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"
)

const (
	memoryPatience = time.Second     // from the stop signal to KILL when memory is short
	sweepPatience  = 5 * time.Second // for processes that the kernel does not let go of at once
	outputEvery    = time.Second     // how often the size of the files is looked at
)

// ending is how the tool's life ended.
type ending struct {
	exit    int
	reason  string
	message string
	stopped bool // by toe-run, for whatever cause
	seconds time.Duration
}

// supervision is one tool's life: from its start to the death of its last process.
type supervision struct {
	settings settings
	table    processTable
	signals  <-chan os.Signal
	lease    *lease
	ownEnd   bool         // the command was told its duration and ends by itself
	written  func() int64 // how many bytes the tool has written so far
	lastWord func() string
	most     bounds
}

// start runs the command in a process group of its own, with nothing to read, and its words going into the two files.
func start(path string, command, environ []string, stdout, stderr *os.File) (int, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, notExecutable(command[0], err)
	}
	defer null.Close()
	leader, err := syscall.ForkExec(path, command, &syscall.ProcAttr{
		Env:   environ,
		Files: []uintptr{null.Fd(), stdout.Fd(), stderr.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if errors.Is(err, syscall.ENOENT) {
		return 0, notFound(command[0]) // also a script whose interpreter is missing
	}
	if err != nil {
		return 0, notExecutable(command[0], err)
	}
	return leader, nil
}

// watch stays with the running tool until it has ended, and with it everything that it started.
func (s supervision) watch(leader int) ending {
	started := time.Now()
	ended := make(chan syscall.WaitStatus, 1)
	go reap(leader, ended)

	var (
		cause    *refusal // why toe-run ends the tool; nil while it may run
		onTime   bool     // the cause is the duration
		killed   bool     // the grace was not enough
		leased   = s.lease.over()
		givenUp  bool
		stopAt   = started.Add(s.settings.duration)
		killAt   time.Time // once there is a cause
		next     = time.NewTimer(0)
		ticker   = time.NewTicker(sampleEvery)
		meter    = meter{table: s.table, limits: s.settings.limits}
		measured time.Time
		status   syscall.WaitStatus
	)
	defer next.Stop()
	defer ticker.Stop()
	lastGrace := s.settings.grace
	if s.ownEnd { // half of the grace to end by itself, half to heed the signal
		lastGrace /= 2
		stopAt = stopAt.Add(s.settings.grace - lastGrace)
	}
	stop := func(because *refusal, signal syscall.Signal, patience time.Duration) {
		cause = because
		_ = syscall.Kill(-leader, signal)
		killAt = time.Now().Add(patience)
	}
	kill := func(now time.Time) {
		killed, killAt = true, now
		_ = syscall.Kill(-leader, syscall.SIGKILL)
		s.sweep(0)
	}

	for alive := true; alive && !givenUp; {
		now := time.Now()
		switch {
		case killed:
			givenUp = now.After(killAt.Add(sweepPatience))
		case !now.Round(0).Before(s.settings.notAfter):
			cause, onTime = refuse(notAfterPassed, "the run's absolute end has passed; the tool was killed"), false
			kill(now)
		case cause == nil && !now.Before(stopAt):
			onTime = true
			stop(&refusal{exit: 0, reason: completed}, s.settings.stopSignal, lastGrace)
		case cause != nil && !now.Before(killAt):
			kill(now)
		}
		wake := s.settings.notAfter
		if cause == nil && stopAt.Before(wake) {
			wake = stopAt
		} else if cause != nil && killAt.Before(wake) {
			wake = killAt
		}
		if killed {
			wake = killAt.Add(sweepPatience)
		}
		next.Reset(max(time.Until(wake), time.Millisecond))

		select {
		case status = <-ended:
			alive = false
		case received := <-s.signals:
			signal, _ := received.(syscall.Signal)
			if cause == nil {
				stop(&refusal{exit: exitTerminated, reason: terminated,
					message: "the container was told to end (" + signalName(signal) + ")"}, signal, s.settings.grace)
			} else if !killed {
				_ = syscall.Kill(-leader, signal)
			}
		case <-leased:
			leased = nil // once is enough
			if cause == nil {
				stop(s.lease.why(), s.settings.stopSignal, s.settings.grace)
			}
		case <-ticker.C:
			if cause != nil {
				break
			}
			now := time.Now()
			if over := meter.sample(now); over != nil {
				patience := s.settings.grace
				if over.reason == memoryLimitExceeded {
					patience = min(patience, memoryPatience)
				}
				stop(over, s.settings.stopSignal, patience)
			} else if now.Sub(measured) >= outputEvery {
				measured = now
				// Nothing of it will leave the pod any more, and the node's disk is the target's too.
				if size := s.written(); size > s.most.bytes {
					stop(refuse(artifactTooLarge, fmt.Sprintf(
						"the tool had written %d bytes, at most %d leave the pod%s", size, s.most.bytes, s.most.how)),
						s.settings.stopSignal, s.settings.grace)
				}
			}
		case <-next.C:
		}
	}
	took := time.Since(started)
	s.sweep(sweepPatience)

	end := s.judge(status, cause, onTime, killed, givenUp)
	end.seconds = took
	return end
}

// judge puts the tool's end into a code, a reason and a sentence.
func (s supervision) judge(status syscall.WaitStatus, cause *refusal, onTime, killed, givenUp bool) ending {
	switch {
	case cause != nil && cause.reason == notAfterPassed:
		return ending{exit: cause.exit, reason: cause.reason, message: cause.message, stopped: true}
	case killed && onTime, killed && cause.reason == terminated:
		what := fmt.Sprintf("the tool did not end within %s of %s and was killed", s.settings.grace, signalName(s.settings.stopSignal))
		if givenUp {
			what = "the tool was killed and the kernel has not let go of it"
		}
		if cause.reason == terminated {
			return ending{exit: exitTerminated, reason: terminated, message: cause.message + "; " + what, stopped: true}
		}
		return ending{exit: exitKilled, reason: graceExceeded, message: what, stopped: true}
	case onTime:
		return ending{exit: 0, reason: completed, stopped: true,
			message: fmt.Sprintf("stopped after its duration of %s", s.settings.duration)}
	case cause != nil:
		return ending{exit: cause.exit, reason: cause.reason, message: cause.message, stopped: true}
	case status.Signaled():
		return ending{exit: 128 + int(status.Signal()), reason: toolFailed,
			message: s.withLastWord("died of signal " + status.Signal().String())}
	case status.ExitStatus() != 0:
		return ending{exit: status.ExitStatus(), reason: toolFailed,
			message: s.withLastWord(fmt.Sprintf("exit code %d", status.ExitStatus()))}
	}
	return ending{exit: 0, reason: completed, message: "ended by itself"}
}

func (s supervision) withLastWord(what string) string {
	if last := oneLine(s.lastWord(), 200); last != "" {
		return what + ": " + last
	}
	return what
}

// signalName is the name that people know a signal by.
func signalName(signal os.Signal) string {
	switch signal {
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGHUP:
		return "SIGHUP"
	}
	return signal.String()
}

// sweep kills what is left of the tool, also outside its group, until nothing is, for at most so long.
func (s supervision) sweep(patience time.Duration) {
	for until := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		left := s.table.descendants()
		for _, p := range left {
			s.table.kill(p)
		}
		if len(left) == 0 || !time.Now().Before(until) {
			return
		}
	}
}

// reap waits for all children, adopted ones included, and reports the leader's end. The rest of the leader's group is
// killed before the leader is waited for: until then nobody else can get its number.
func reap(leader int, ended chan<- syscall.WaitStatus) {
	for {
		pid, err := nextDead()
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return // no children are left
		}
		if pid == leader {
			_ = syscall.Kill(-leader, syscall.SIGKILL)
		}
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(pid, &status, 0, nil); err == nil && pid == leader {
			ended <- status
		}
	}
}

// nextDead blocks until some child has ended and leaves it as it is.
func nextDead() (int, error) {
	const all, exited, leaveWaiting = 0, 0x4, 0x1000000 // P_ALL, WEXITED, WNOWAIT
	var info struct {                                   // siginfo_t where a pointer has 64 bits
		signal, errno, code, _ int32
		pid                    int32
		_                      [108]byte
	}
	_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, all, 0, uintptr(unsafe.Pointer(&info)), exited|leaveWaiting, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(info.pid), nil
}
