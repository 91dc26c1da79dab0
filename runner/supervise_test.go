package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func short(changes ...string) map[string]string {
	env := map[string]string{"TOE_DURATION": "1500ms", "TOE_GRACE": "10s"}
	for i := 0; i+1 < len(changes); i += 2 {
		env[changes[i]] = changes[i+1]
	}
	return env
}

func TestAToolThatEndsByItselfKeepsItsExitCode(t *testing.T) {
	for script, want := range map[string]struct {
		code            int
		reason, message string
	}{
		"exit 0":                             {0, completed, "ended by itself"},
		"echo one >&2; echo >&2; exit 3":     {3, toolFailed, "exit code 3: one"},
		"exit 125":                           {125, toolFailed, "exit code 125"},
		"kill -SEGV $$":                      {139, toolFailed, "died of signal segmentation fault"},
		"kill -KILL $$":                      {137, toolFailed, "died of signal killed"},
		"printf 'a\\033[1mb\\n' >&2; exit 1": {1, toolFailed, "exit code 1: a[1mb"},
	} {
		r := play(t, scene{command: shell(script)})
		r.must(t, want.code, want.reason)
		if r.summary.Message != want.message || r.summary.Stopped {
			t.Errorf("%s: %s", script, r.summaryText)
		}
	}
}

func TestAToolStoppedAtItsDurationIsASuccess(t *testing.T) {
	for signal, heard := range map[string]string{"SIGINT": "interrupt", "SIGTERM": "terminated"} {
		r := play(t, scene{command: self(t, "obedient", "7"), env: short("TOE_STOP_SIGNAL", signal)})
		r.must(t, 0, completed)
		if !r.summary.Stopped || r.summary.Seconds < 1.4 || r.summary.Seconds > 6 ||
			string(unframe(t, r.out)["signal.txt"]) != heard {
			t.Errorf("%s %s", r.summaryText, r.out)
		}
	}
}

func TestTheWholeGroupHearsTheStopSignal(t *testing.T) {
	tool := self(t, "obedient", "0")
	// The shell itself heeds no signal while it waits for its child, which must therefore have heard it.
	r := play(t, scene{command: append([]string{"sh", "-c", `trap '' INT TERM; (trap - INT TERM; exec "$0" "$@")`}, tool...),
		env: short("TOE_STOP_SIGNAL", "SIGTERM")})
	r.must(t, 0, completed)
	if string(unframe(t, r.out)["signal.txt"]) != "terminated" {
		t.Fatal(r.out)
	}
}

func TestAToolThatDoesNotStopIsKilledAfterTheGrace(t *testing.T) {
	r := play(t, scene{command: self(t, "stubborn"), env: short("TOE_GRACE", "1s")})
	r.must(t, 137, graceExceeded)
	if r.took < 2400*time.Millisecond || r.took > 10*time.Second || string(unframe(t, r.out)["stdout.txt"]) != "ready\n" {
		t.Fatal(r.took, r.out)
	}
	r = play(t, scene{command: self(t, "stubborn"), env: short("TOE_GRACE", "0s")})
	r.must(t, 137, graceExceeded)
}

func TestAToolThatKnowsItsDurationEndsByItself(t *testing.T) {
	// It is given half of the grace before it is told.
	r := play(t, scene{command: shell(`sleep 1.2; echo late {duration}`), env: short("TOE_DURATION", "800ms", "TOE_GRACE", "12s")})
	r.must(t, 0, completed)
	if r.summary.Stopped || string(unframe(t, r.out)["stdout.txt"]) != "late 1\n" {
		t.Fatal(r.summaryText, r.out)
	}
	r = play(t, scene{command: shell(`: {duration}; sleep 30`), env: short("TOE_DURATION", "300ms", "TOE_GRACE", "2s")})
	r.must(t, 0, completed)
	if !r.summary.Stopped || r.summary.Seconds < 1.3 || r.summary.Seconds > 9 {
		t.Fatal(r.summaryText)
	}
}

func TestNothingStartsAfterTheAbsoluteEnd(t *testing.T) {
	past := time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
	r := play(t, scene{command: shell("echo started"), env: short("TOE_NOT_AFTER", past)})
	r.must(t, 125, notAfterPassed)
	if r.out != "" || r.took > 5*time.Second {
		t.Fatal(r.out, r.took)
	}
}

func TestTheAbsoluteEndKillsAtOnce(t *testing.T) {
	end := time.Now().Add(2 * time.Second).UTC().Format(time.RFC3339Nano)
	for _, env := range []map[string]string{
		{"TOE_NOT_AFTER": end}, // while it runs
		{"TOE_NOT_AFTER": end, "TOE_DURATION": "500ms", "TOE_GRACE": "20s"}, // within its grace
	} {
		r := play(t, scene{command: self(t, "stubborn"), env: env})
		r.must(t, 125, notAfterPassed)
		if r.took > 12*time.Second {
			t.Fatal(r.took)
		}
		end = time.Now().Add(2 * time.Second).UTC().Format(time.RFC3339Nano)
	}
	r := play(t, scene{command: shell("echo started"), env: map[string]string{"TOE_WARMUP": "20s",
		"TOE_NOT_AFTER": time.Now().Add(time.Second).UTC().Format(time.RFC3339Nano)}})
	r.must(t, 125, notAfterPassed) // before it started
	if r.out != "" {
		t.Fatal(r.out)
	}
}

func TestSignalsReachTheToolAndItsFilesStillLeave(t *testing.T) {
	for signal, heard := range map[syscall.Signal]string{
		syscall.SIGTERM: "terminated", syscall.SIGINT: "interrupt", syscall.SIGHUP: "hangup",
	} {
		r := play(t, scene{command: self(t, "obedient", "0"),
			during: signalWhen(t, "ready", signal)})
		r.must(t, 143, terminated)
		files := unframe(t, r.out)
		if string(files["signal.txt"]) != heard || string(files["stdout.txt"]) != "ready\n" {
			t.Fatalf("%s: %q", signal, files)
		}
	}
}

func TestAToolThatIgnoresTheKubeletIsKilledAfterTheGrace(t *testing.T) {
	r := play(t, scene{command: self(t, "stubborn"), env: map[string]string{"TOE_GRACE": "500ms"},
		during: signalWhen(t, "ready", syscall.SIGTERM)})
	r.must(t, 143, terminated)
	if r.took > 12*time.Second {
		t.Fatal(r.took)
	}
}

func TestASignalDuringWarmupStartsNothing(t *testing.T) {
	r := play(t, scene{command: shell("echo started"), env: map[string]string{"TOE_WARMUP": "20s"},
		during: signalWhen(t, ".", syscall.SIGTERM)})
	r.must(t, 143, terminated)
	if r.out != "" || r.took > 12*time.Second {
		t.Fatal(r.out, r.took)
	}
}

// gone tells whether a process has ended; who was not waited for by toe-run is for a moment still a zombie of init's.
func gone(pid int) bool {
	stat, alive := processTable{root: "/proc"}.read(pid)
	return !alive || stat.state == 'Z' || stat.state == 'X'
}

func TestNothingOfTheToolOutlivesIt(t *testing.T) {
	for name, command := range map[string][]string{
		"a background child":                    shell(`sleep 60 & echo $! >"$TOE_OUTPUT/stray.pid"`),
		"one that left the group and is orphan": self(t, "stray"),
	} {
		r := play(t, scene{command: command})
		r.must(t, 0, completed)
		pid, err := strconv.Atoi(strings.TrimSpace(string(unframe(t, r.out)["stray.pid"])))
		if err != nil || !gone(pid) {
			t.Fatalf("%s: %d %v", name, pid, err)
		}
		if r.took > 12*time.Second {
			t.Fatal(r.took)
		}
	}
}

func TestTheToolDiesWithToeRun(t *testing.T) {
	var pid int
	directory := t.TempDir()
	_ = os.Mkdir(directory+"/out", 0o700)
	self := self(t)[0]
	env := environment(directory + "/out")
	attr := &os.ProcAttr{Files: []*os.File{nil, nil, nil}}
	for name, value := range env {
		attr.Env = append(attr.Env, name+"="+value)
	}
	p, err := os.StartProcess(self, []string{self, "as-toe-run", directory + "/log", "--",
		"/bin/sh", "-c", `echo $$ >{output}/pid.new; mv {output}/pid.new {output}/pid; exec sleep 60`, userArgs}, attr)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the tool runs", func() bool {
		text, err := os.ReadFile(directory + "/out/pid")
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil && pid > 0
	})
	_ = p.Kill()
	_, _ = p.Wait()
	waitFor(t, "the tool is gone", func() bool { return gone(pid) })
}
