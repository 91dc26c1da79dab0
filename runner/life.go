package main

import (
	"errors"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

const drainPatience = 2 * time.Second // for the tool's last words, should something unkillable still hold the pipes

// live is the life of the container: read what is asked, claim the ticket, wait, start the tool, watch it, let its files
// leave, leave a summary. It returns the exit code.
func live(args, environ []string) int {
	settleIn() // first: until then others of the same user can look into it
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	// A log that nobody reads any more must not kill toe-run. Caught, not ignored: ignoring would be inherited by the tool.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	report := summary{V: 1}
	granted := readPrivileges("/proc")
	report.UID, report.GID, report.CapEff = granted.uid, granted.gid, granted.capEff
	report.NoNewPrivs, report.Seccomp = granted.noNewPrivs, granted.seccomp

	shown := newConsole(os.Stdout, os.Stderr)
	s, err := readSettings(environ)
	forget("TOE_TICKET")
	var end ending
	var done delivery
	if err == nil {
		end, done, err = work(s, args, signals, shown, report)
	}
	var no *refusal
	if errors.As(err, &no) {
		end = ending{exit: no.exit, reason: no.reason, message: no.message}
	}

	report.Exit, report.Reason, report.Message, report.Stopped = end.exit, end.reason, end.message, end.stopped
	report.took(end.seconds)
	report.list(done.files)
	if end.reason != completed {
		shown.note(end.reason + ": " + end.message)
	}
	// Before the files are printed: should that be cut short, the summary is there.
	report.leave(terminationLog, s.summaryMax)
	shown.flush()
	if done.framed {
		if err := frames(os.Stdout, done.printed); err != nil {
			shown.note("the files could not be printed: " + err.Error())
			shown.flush()
		}
	}
	return end.exit
}

// work runs the tool. An error is a refusal: the tool was not started.
func work(s settings, args []string, signals <-chan os.Signal, shown *console, report summary) (ending, delivery, error) {
	words, err := splitWords(args)
	if err != nil {
		return ending{}, delivery{}, err
	}
	if err := makeOutput(s.output); err != nil {
		return ending{}, delivery{}, err
	}
	var volume place
	if s.mode == modeClaim { // what cannot be written to is found before the tool works for nothing
		if !mounted("/proc", s.claim) {
			return ending{}, delivery{}, refuse(badEnvironment, "TOE_CLAIM: nothing is mounted at "+s.claim)
		}
		if volume, err = openPlace(s.claim, s.claimPath); err != nil {
			return ending{}, delivery{}, refuse(uploadFailed, "the claim: "+err.Error()+"; the tool was not started")
		}
		defer volume.close()
	}
	var held *lease
	var files *uploader
	if s.collector != nil {
		// Before the warmup: the sooner a ticket is claimed, the less there is to steal.
		other, err := newCollector(*s.collector)
		if err == nil {
			err = other.claim(s.collector.ticket, s, signals)
		}
		if err != nil {
			return ending{}, delivery{}, err
		}
		held = other.hold()
		defer held.letGo()
		if s.mode == modeCollector {
			if other.maxBytes == 0 {
				return ending{}, delivery{}, refuse(collectorRefused, "it takes no files of this run")
			}
			files = newUploader(other, s, shown)
		}
	}
	if err := warmUp(s, signals, held); err != nil {
		return ending{}, delivery{}, err
	}
	table := processTable{root: "/proc", self: os.Getpid()}
	values := map[string]string{"{output}": s.output, "{duration}": wholeSeconds(s.duration)}
	if words.uses("{target.pid}") {
		pid, err := awaitTarget(table, s, signals, held)
		if err != nil {
			return ending{}, delivery{}, err
		}
		values["{target.pid}"] = strconv.Itoa(pid)
	}
	command := words.expand(values)
	path, err := lookUp(command[0], s.toolEnvironment)
	if err != nil {
		return ending{}, delivery{}, err
	}

	most := s.bounds(files)
	kept := most.bytes
	if s.withheld {
		kept = 0 // it is only counted
	}
	stdout, stderr := &capture{most: kept}, &capture{most: kept}
	if s.mode != modeLog {
		for _, said := range []*capture{stdout, stderr} {
			if said.spool, err = spoolFile(s.output); err != nil {
				return ending{}, delivery{}, refuse(badEnvironment, "TOE_OUTPUT: "+err.Error())
			}
			defer said.spool.Close()
		}
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return ending{}, delivery{}, notExecutable(command[0], err)
	}
	errRead, errWrite, err := os.Pipe()
	if err != nil {
		return ending{}, delivery{}, notExecutable(command[0], err)
	}
	leader, err := start(path, command, s.toolEnvironment, outWrite, errWrite)
	_ = outWrite.Close()
	_ = errWrite.Close()
	if err != nil {
		return ending{}, delivery{}, err
	}
	drained := make(chan bool, 2)
	go func() { pump(outRead, stdout, shown, shown.stdout); drained <- true }()
	go func() { pump(errRead, stderr, shown, shown.stderr); drained <- true }()

	rolled := func() {}
	if files != nil && s.rolling > 0 {
		rolled = files.roll(s.rolling, s.output, table)
	}
	end := supervision{
		settings: s, table: table, signals: signals, lease: held, most: most,
		ownEnd:   words.uses("{duration}"),
		lastWord: func() string { awaitDrained(drained); return stderr.last() },
		written: func() int64 {
			return collect(s.output, 0, false).total + stdout.size() + stderr.size()
		},
	}.watch(leader)
	awaitDrained(drained)
	rolled()

	provisional := report
	provisional.Exit, provisional.Reason = exitRefused, uploadFailed
	provisional.Message = "toe-run was ended while the files were leaving; the tool: " + end.reason
	provisional.Stopped = end.stopped
	provisional.took(end.seconds)
	done := s.deliver(&end, most, files, volume, held, stdout, stderr, shown, func() {
		provisional.leave(terminationLog, s.summaryMax) // should the rest be cut short
	})
	if why := held.why(); why != nil && why.reason == runDeleted {
		end.exit, end.reason, end.message = why.exit, why.reason, why.message
		done.framed = false
		if s.mode == modeLog {
			done = delivery{}
		}
	}
	return end, done, nil
}

// warmUp waits for the warmup to pass, the run's absolute end (nothing is started then), the lease's or a signal.
func warmUp(s settings, signals <-chan os.Signal, held *lease) error {
	until := time.Now().Add(s.warmup)
	for {
		if s.over() {
			return tooLate()
		}
		pause := min(max(time.Until(until), 0), sampleEvery)
		select {
		case received := <-signals:
			return toldToEnd(received)
		case <-held.over():
			return held.beforeStart()
		case <-time.After(pause):
			if pause == 0 {
				return nil
			}
		}
	}
}

// over tells whether the run's absolute end has passed.
func (s settings) over() bool { return !time.Now().Round(0).Before(s.notAfter) }

func tooLate() *refusal {
	return refuse(notAfterPassed, "the run's absolute end has passed; the tool was not started")
}

func (l *lease) beforeStart() *refusal {
	why := *l.why()
	why.message += "; the tool was not started"
	return &why
}

func toldToEnd(received os.Signal) *refusal {
	return &refusal{exit: exitTerminated, reason: terminated,
		message: "the container was told to end (" + signalName(received) + ") before the tool was started"}
}

// awaitTarget finds the target's main process, with some patience.
func awaitTarget(table processTable, s settings, signals <-chan os.Signal, held *lease) (int, error) {
	for until := time.Now().Add(targetPatience); ; {
		if pid, found := table.findTarget(s.containerID); found {
			return pid, nil
		}
		if !time.Now().Before(until) || s.over() {
			return 0, refuse(targetNotFound, "no process of container "+s.container+" is in sight")
		}
		select {
		case received := <-signals:
			return 0, toldToEnd(received)
		case <-held.over():
			return 0, held.beforeStart()
		case <-time.After(targetInterval):
		}
	}
}

// awaitDrained waits for both pumps, once; later calls find the channel closed.
func awaitDrained(drained chan bool) {
	patience := time.After(drainPatience)
	for range cap(drained) {
		select {
		case _, open := <-drained:
			if !open {
				return
			}
		case <-patience:
			return
		}
	}
	close(drained)
}
