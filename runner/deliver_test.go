package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func onClaim(mount string, more ...string) map[string]string {
	env := map[string]string{"TOE_MODE": "pvc", "TOE_CLAIM": mount, "TOE_CLAIM_PATH": "toe/run-1/shop-1"}
	for i := 0; i+1 < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return env
}

func TestFilesAreKeptOnTheClaim(t *testing.T) {
	t.Parallel()
	mount := small(t, "size=20m")
	r := play(t, scene{command: shell(`mkdir {output}/deep; echo data >{output}/deep/file; echo hello; head -c 5000000 /dev/zero >{output}/zero`),
		env: onClaim(mount)})
	r.must(t, 0, completed)
	for name, want := range map[string]string{"deep/file": "data\n", "stdout.txt": "hello\n", "zero": strings.Repeat("\x00", 5000000)} {
		if got, err := os.ReadFile(filepath.Join(mount, "toe/run-1/shop-1", name)); err != nil || string(got) != want {
			t.Error(name, err, len(got))
		}
	}
	if len(r.summary.Files) != 3 || r.summary.Bytes != 5000011 || r.summary.Files[0].SHA256 == "" || strings.Contains(r.out, framePrefix) {
		t.Fatal(r.out, r.summaryText)
	}
	// The same again: nothing is written over.
	r = play(t, scene{command: shell(`echo other >{output}/zero`), env: onClaim(mount)})
	r.must(t, 0, completed)
	if got, _ := os.ReadFile(mount + "/toe/run-1/shop-1/zero.2"); string(got) != "other\n" || r.summary.Files[0].Name != "zero.2" {
		t.Fatal(string(got), r.summaryText)
	}
}

func TestAClaimThatCannotTakeTheFilesIsAFailure(t *testing.T) {
	t.Parallel()
	full := small(t, "size=1m")
	r := play(t, scene{command: shell(`echo a >{output}/a; head -c 3000000 /dev/zero >{output}/z`), env: onClaim(full)})
	r.must(t, 125, uploadFailed)
	contains(t, r.summary.Message, "1 files were not kept; z: no space left on device")
	if len(r.summary.Files) != 1 {
		t.Fatal(r.summaryText)
	}
	r = play(t, scene{command: shell(`echo a >{output}/a`), env: onClaim(small(t, "ro"))})
	r.must(t, 125, uploadFailed)
	contains(t, r.summary.Message, "read-only file system; the tool was not started")

	linked := small(t, "size=1m")
	outside := t.TempDir()
	if err := os.Symlink(outside, linked+"/toe"); err != nil {
		t.Fatal(err)
	}
	r = play(t, scene{command: shell(`echo a >{output}/a`), env: onClaim(linked)})
	r.must(t, 125, uploadFailed)
	if left := tree(t, outside); len(left) != 0 {
		t.Fatal(left)
	}
	r = play(t, scene{command: shell(`echo started`), env: onClaim(outside)})
	r.must(t, 125, badEnvironment)
	if r.out != "" {
		t.Fatal("the tool was started for nothing")
	}
}

func TestADeletedRunPutsNothingOntoTheClaim(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	c.stopWith(runDeleted)
	mount := small(t, "size=1m")
	r := play(t, scene{command: self(t, "obedient", "0"), env: onClaim(mount, "TOE_COLLECTOR", c.URL, "TOE_CA", c.variables()["TOE_CA"],
		"TOE_TICKET", "head.body.seal")})
	r.must(t, 125, runDeleted)
	for _, line := range tree(t, mount) {
		if strings.HasPrefix(line, "-") {
			t.Error(line)
		}
	}
}

func TestWithheldFilesAreCountedAndNotPrinted(t *testing.T) {
	t.Parallel()
	r := play(t, scene{command: shell(`head -c 9000000 /dev/zero >{output}/a; echo b >{output}/b; echo hello`),
		env: map[string]string{"TOE_FILES": "withheld"}})
	r.must(t, 0, completed)
	if r.out != "hello\n" || len(r.summary.Files) != 0 || r.summary.Bytes != 0 {
		t.Fatal(r.out, r.summaryText)
	}
	contains(t, r.err, "toe-run: 3 files of this tool are not printed; output.mode collector keeps them")
}
