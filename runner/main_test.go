package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary plays three parts: the tests; toe-run itself, in a process of its own (it waits for all children, which
// is not for a process with tests in it); and the tools that toe-run starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "as-toe-run" {
		terminationLog = os.Args[2]
		os.Exit(live(os.Args[3:], os.Environ()))
	}
	if len(os.Args) > 2 && os.Args[1] == "as-tool" {
		asTool(os.Args[2], os.Args[3:])
		os.Exit(0)
	}
	flag.Parse()
	_ = flag.Set("test.parallel", "12") // they wait most of the time
	os.Exit(m.Run())
}

// asTool is what the tests' tools do that is awkward in a shell.
func asTool(what string, args []string) {
	switch what {
	case "words":
		for _, word := range args {
			fmt.Printf("%q\n", word)
		}
	case "hold-memory":
		megabytes, _ := strconv.Atoi(args[0])
		block := bytes.Repeat([]byte{1}, megabytes<<20)
		time.Sleep(time.Minute)
		fmt.Println(len(block))
	case "burn":
		for {
		}
	case "stubborn":
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		ready()
		time.Sleep(time.Minute)
	case "obedient": // ends on the signal with the code given, after it has written its file
		heard := make(chan os.Signal, 1)
		signal.Notify(heard, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		ready()
		got := <-heard
		_ = os.WriteFile(filepath.Join(os.Getenv("TOE_OUTPUT"), "signal.txt"), []byte(got.String()), 0o600)
		code, _ := strconv.Atoi(args[0])
		os.Exit(code)
	case "mapped": // writes through a mapping, with no descriptor open, before and after it is told to go on
		path := filepath.Join(os.Getenv("TOE_OUTPUT"), "mapped")
		_ = os.WriteFile(path, []byte("0123456789"), 0o600)
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			panic(err)
		}
		memory, err := syscall.Mmap(int(file.Fd()), 0, 10, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		if err != nil {
			panic(err)
		}
		_ = file.Close()
		memory[0] = 'a'
		for {
			if _, err := os.Stat(filepath.Join(os.Getenv("TOE_OUTPUT"), "go")); err == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		memory[9] = 'z'
	case "stray": // a grandchild in a session of its own that outlives its parent and heeds no signal
		child := exec.Command(os.Args[0], "as-tool", "stubborn")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		_ = os.WriteFile(filepath.Join(os.Getenv("TOE_OUTPUT"), "stray.pid"), []byte(strconv.Itoa(child.Process.Pid)), 0o600)
	}
}

// ready says that signals find the tool prepared.
func ready() {
	fmt.Println("ready")
	_ = os.WriteFile(filepath.Join(os.Getenv("TOE_OUTPUT"), "ready"), nil, 0o600)
}

// signalWhen sends the signal as soon as the file is there.
func signalWhen(t *testing.T, file string, signal syscall.Signal) func(*os.Process, string) {
	return func(process *os.Process, output string) {
		waitFor(t, file+" is there", func() bool {
			_, err := os.Stat(filepath.Join(output, file))
			return err == nil
		})
		_ = process.Signal(signal)
	}
}

// self is the command for one of asTool's parts.
func self(t *testing.T, what ...string) []string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{path, "as-tool"}, what...)
}

// scene is one run of toe-run; tests state only what differs.
type scene struct {
	command []string
	user    []string
	env     map[string]string // "" removes the variable
	during  func(process *os.Process, output string)
}

// result is what the outside sees of a run.
type result struct {
	code        int
	out, err    string
	summary     summary
	summaryText string
	output      string
	took        time.Duration
}

func environment(output string) map[string]string {
	return map[string]string{
		"TOE_RUN": "run-1", "TOE_TOOL": "probe", "TOE_NAMESPACE": "shop", "TOE_POD": "shop-1", "TOE_CONTAINER": "app",
		"TOE_DURATION": "20s", "TOE_WARMUP": "0s", "TOE_GRACE": "5s",
		"TOE_NOT_AFTER": time.Now().Add(time.Minute).UTC().Format(time.RFC3339), "TOE_STOP_SIGNAL": "SIGINT",
		"TOE_LIMITS": "{}", "TOE_MODE": "ephemeral", "TOE_OUTPUT": output, "TOE_SUMMARY_MAX": "1024",
	}
}

func play(t *testing.T, s scene) result {
	t.Helper()
	directory := t.TempDir()
	r := result{output: filepath.Join(directory, "out")}
	env := environment(r.output)
	env["PATH"] = os.Getenv("PATH")
	for name, value := range s.env {
		env[name] = value
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(directory, "termination-log")
	args := append([]string{"as-toe-run", log, "--"}, s.command...)
	args = append(append(args, userArgs), s.user...)
	command := exec.Command(self, args...)
	command.Env = []string{}
	for name, value := range env {
		if value != "" {
			command.Env = append(command.Env, name+"="+value)
		}
	}
	var out, errors bytes.Buffer
	command.Stdout, command.Stderr = &out, &errors
	started := time.Now()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if s.during != nil {
		s.during(command.Process, r.output)
	}
	_ = command.Wait()
	r.took = time.Since(started)
	r.code, r.out, r.err = command.ProcessState.ExitCode(), out.String(), errors.String()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatalf("no summary: %v; stderr: %s", err, r.err)
	}
	r.summaryText = string(text)
	if err := json.Unmarshal(text, &r.summary); err != nil {
		t.Fatalf("summary %q: %v", text, err)
	}
	return r
}

func (r result) must(t *testing.T, code int, reason string) {
	t.Helper()
	if r.code != code || r.summary.Reason != reason || r.summary.Exit != code {
		t.Fatalf("got exit %d, want %d %s\nsummary %s\nstdout %.2000s\nstderr %.2000s",
			r.code, code, reason, r.summaryText, r.out, r.err)
	}
}

func shell(script string) []string { return []string{"sh", "-c", script} }

// waitFor polls until the condition holds; the test fails when it does not within ten seconds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

func contains(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Fatalf("%q is not in %.2000q", part, text)
	}
}
