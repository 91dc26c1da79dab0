package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestTheToolInheritsTheWillToDieFirst(t *testing.T) {
	r := play(t, scene{command: shell("cat /proc/self/oom_score_adj")})
	r.must(t, 0, completed)
	contains(t, r.out, "1000\n")
}

func TestTheSummaryTellsTheKernelsView(t *testing.T) {
	r := play(t, scene{command: shell("true")})
	want := readPrivileges("/proc")
	got := r.summary
	if got.UID != want.uid || got.GID != want.gid || got.CapEff != want.capEff || got.Seccomp != want.seccomp ||
		got.NoNewPrivs != want.noNewPrivs || len(got.CapEff) != 16 {
		t.Fatalf("%s %+v", r.summaryText, want)
	}
}

// As a user without capabilities, which is how most tools run, nothing of the same user may look into toe-run, and
// toe-run still does all of its work.
func TestAnOrdinaryUserCannotLookIntoToeRun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become someone else")
	}
	directory, err := os.MkdirTemp("", "toe-run-test")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(directory)
	_ = os.Chmod(directory, 0o777)
	binary := filepath.Join(directory, "self")
	content, err := os.ReadFile(self(t)[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, content, 0o755); err != nil {
		t.Fatal(err)
	}
	// Its parent is toe-run: same user, no capabilities.
	script := `cat /proc/$PPID/environ >/dev/null 2>&1 && echo readable; cat /proc/$PPID/status >/dev/null && echo known
		ls /proc/$PPID/fd >/dev/null 2>&1 && echo open; cat /proc/self/oom_score_adj; id -u`
	command := exec.Command(binary, "as-toe-run", directory+"/log", "--", "sh", "-c", script, userArgs)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	variables := newFake(t).variables()
	for name, value := range environment(directory + "/out") {
		variables[name] = value
	}
	for name, value := range variables {
		command.Env = append(command.Env, name+"="+value)
	}
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if text, _, _ := strings.Cut(string(out), "#toe-"); text != "known\n1000\n65534\n" {
		t.Fatalf("%q", text)
	}
	summary, _ := os.ReadFile(directory + "/log")
	contains(t, string(summary), `"uid":65534,"gid":65534,"capEff":"0000000000000000"`)
}
