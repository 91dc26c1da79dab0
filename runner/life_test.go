package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestFilesAndWordsOfATooLeaveThePod(t *testing.T) {
	r := play(t, scene{command: shell(`mkdir -p {output}/deep; printf data >{output}/deep/file.bin; echo hello; echo oops >&2`)})
	r.must(t, 0, completed)
	files := unframe(t, r.out)
	if len(files) != 3 || string(files["deep/file.bin"]) != "data" || string(files["stdout.txt"]) != "hello\n" ||
		string(files["stderr.txt"]) != "oops\n" {
		t.Fatalf("%q", files)
	}
	if r.summary.Bytes != 15 || len(r.summary.Files) != 3 || r.summary.Files[0].Name != "deep/file.bin" ||
		r.summary.Files[0].SHA256 != "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7" {
		t.Fatal(r.summaryText)
	}
	if !strings.HasPrefix(r.out, "hello\n#toe-begin ") || r.err != "oops\n" {
		t.Fatal(r.out, r.err)
	}
}

func TestAToolsOwnFileOfTheNameStdoutCounts(t *testing.T) {
	r := play(t, scene{command: shell(`echo mine >{output}/stdout.txt; echo shown`)})
	r.must(t, 0, completed)
	if files := unframe(t, r.out); len(files) != 1 || string(files["stdout.txt"]) != "mine\n" {
		t.Fatalf("%q", files)
	}
}

func TestFilesOfAFailedToolLeaveToo(t *testing.T) {
	r := play(t, scene{command: shell(`echo half >{output}/half; exit 9`)})
	r.must(t, 9, toolFailed)
	if files := unframe(t, r.out); string(files["half"]) != "half\n" {
		t.Fatalf("%q", files)
	}
	contains(t, r.err, "toe-run: ToolFailed: exit code 9")
}

func TestFilesThatDoNotFitAreNotCut(t *testing.T) {
	r := play(t, scene{command: shell(`head -c 600 /dev/zero >{output}/a; head -c 401 /dev/zero >{output}/b; echo x`),
		env: map[string]string{"TOE_LIMITS": `{"artifactBytes":1000}`}})
	r.must(t, 125, artifactTooLarge)
	if r.out != "x\n" || r.summary.Bytes != 0 || r.summary.Files != nil {
		t.Fatal(r.out, r.summaryText)
	}
	contains(t, r.summary.Message, "1003 bytes in 3 files, at most 1000")
	r = play(t, scene{command: shell(`head -c 5000000 /dev/zero`)})
	r.must(t, 125, artifactTooLarge) // 4 MiB without any limit given, and for what is printed too
	if strings.Contains(r.out, "#toe-") {
		t.Fatal("frames of what is too large")
	}
	r = play(t, scene{command: shell(`head -c 4194304 /dev/zero >{output}/a`)})
	r.must(t, 0, completed)
	if len(unframe(t, r.out)["a"]) != 4<<20 {
		t.Fatal("the largest file came out different")
	}
}

func TestLinksOfTheToolAreLeftAndTold(t *testing.T) {
	r := play(t, scene{command: shell(`ln -s /etc/passwd {output}/x; echo y >{output}/y`)})
	r.must(t, 0, completed)
	if files := unframe(t, r.out); len(files) != 1 {
		t.Fatalf("%q", files)
	}
	contains(t, r.summary.Message, "1 entries of the output directory were left out: x is a link")
	contains(t, r.err, "x is a link")
}

func TestACommandThatCannotBeExecutedIsToldApart(t *testing.T) {
	directory := t.TempDir()
	write(t, directory+"/plain", "echo")
	write(t, directory+"/noshebang", "\x00\x01")
	write(t, directory+"/nointerpreter", "#!/nonexistent/sh\n")
	_ = os.Chmod(directory+"/noshebang", 0o755)
	_ = os.Chmod(directory+"/nointerpreter", 0o755)
	for command, want := range map[string]struct {
		code   int
		reason string
	}{
		"no-such-command":            {127, toolNotFound},
		"/no/such/command":           {127, toolNotFound},
		directory + "/nointerpreter": {127, toolNotFound},
		directory + "/plain":         {126, toolNotExecutable},
		directory + "/noshebang":     {126, toolNotExecutable},
		directory:                    {126, toolNotExecutable},
	} {
		r := play(t, scene{command: []string{command}})
		r.must(t, want.code, want.reason)
		if r.out != "" {
			t.Errorf("%q", r.out)
		}
	}
}

func TestABadEnvironmentIsToldWithinTheRoomThereIs(t *testing.T) {
	r := play(t, scene{command: shell("echo started"), env: map[string]string{"TOE_GRACE": "", "TOE_SUMMARY_MAX": "70"}})
	r.must(t, 125, badEnvironment)
	if len(r.summaryText) > 70 || r.out != "" {
		t.Fatal(r.summaryText, r.out)
	}
	contains(t, r.err, "BadEnvironment: TOE_GRACE is missing")
	r = play(t, scene{command: shell("echo started"), env: map[string]string{"TOE_SUMMARY_MAX": "9999"}})
	r.must(t, 125, badEnvironment)
	if len(r.summaryText) > summaryUnreadable {
		t.Fatal(r.summaryText)
	}
}

func TestWarmupComesBeforeTheTool(t *testing.T) {
	r := play(t, scene{command: shell("true"), env: map[string]string{"TOE_WARMUP": "700ms"}})
	r.must(t, 0, completed)
	if r.took < 700*time.Millisecond || r.summary.Seconds > 5 {
		t.Fatal(r.took, r.summaryText)
	}
}

func TestTheToolFindsNothingToReadAndNoExtraFiles(t *testing.T) {
	r := play(t, scene{command: shell(`cat; ls /proc/self/fd`)})
	r.must(t, 0, completed)
	if !strings.HasPrefix(r.out, "0\n1\n2\n3\n#toe-begin") { // 3 is the directory that ls reads
		t.Fatalf("%q", r.out)
	}
}
