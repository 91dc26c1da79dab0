package main

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestWhatGrowsIsBroughtWhileTheToolRuns(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	r := play(t, scene{command: shell(`exec 3>>{output}/open; while [ ! -e {output}/go ]; do echo line >&3; sleep 0.1; done; echo last >&3; rm {output}/go`),
		env: keeping(c, "TOE_ROLLING", "1s"), during: func(_ *os.Process, output string) {
			waitFor(t, "a part", func() bool { return c.asked("PUT") >= 2 })
			if len(c.kept()) != 0 {
				t.Error("an open file was kept")
			}
			write(t, output+"/go", "")
		}})
	r.must(t, 0, completed)
	kept := c.kept()
	written, _ := os.ReadFile(r.output + "/open")
	if len(kept) != 1 || kept["open"] != string(written) || !strings.HasSuffix(kept["open"], "line\nlast\n") {
		t.Fatal(kept)
	}
}

func TestAFinishedFileIsKeptEarlyAndAgainWhenItChanges(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	r := play(t, scene{command: shell(`echo one >{output}/a; echo taken >{output}/a.2; while [ ! -e {output}/go ]; do sleep 0.1; done; echo two >>{output}/a; echo three >{output}/b`),
		env: keeping(c, "TOE_ROLLING", "1s"), during: func(_ *os.Process, output string) {
			waitFor(t, "a is kept", func() bool { return c.kept()["a"] == "one\n" && c.kept()["a.2"] == "taken\n" })
			write(t, output+"/go", "")
		}})
	r.must(t, 0, completed)
	kept := c.kept()
	if len(kept) != 5 || kept["a"] != "one\n" || kept["a.3"] != "one\ntwo\n" || kept["b"] != "three\n" || kept["a.2"] != "taken\n" {
		t.Fatal(kept)
	}
	if len(r.summary.Files) != 5 {
		t.Fatal(r.summaryText)
	}
}

func TestWhatWasRemovedOrRenamedIsCountedOnce(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	c.maxBytes = 1500
	r := play(t, scene{command: shell(`head -c 1000 /dev/zero >{output}/part; exec 3>>{output}/part; echo done >{output}/early
		while [ ! -e {output}/go ]; do sleep 0.1; done; rm {output}/early {output}/go; mv {output}/part {output}/whole`),
		env: keeping(c, "TOE_ROLLING", "1s"), during: func(_ *os.Process, output string) {
			waitFor(t, "early is kept", func() bool { return c.kept()["early"] != "" })
			write(t, output+"/go", "")
		}})
	r.must(t, 0, completed)
	if kept := c.kept(); len(kept) != 2 || len(kept["whole"]) != 1000 || len(r.summary.Files) != 2 || r.summary.Bytes != 1005 {
		t.Fatal(r.summaryText)
	}
}

// What was brought already is not believed: the tool may have written it anew.
func TestARewrittenFileIsKeptAsItIsAtTheEnd(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"rewritten in place": `printf 0123456789 >{output}/a; exec 3<>{output}/a; PAUSE; printf AB >&3; exec 3>&-; printf x >>{output}/a`,
		"cut":                `printf 0123456789 >{output}/a; exec 3>>{output}/a; PAUSE; printf ab >{output}/a`,
		"exchanged":          `printf 0123456789 >{output}/a; exec 3>>{output}/a; PAUSE; printf 9876543210xx >{output}/b; mv {output}/b {output}/a`,
		"gone":               `printf 0123456789 >{output}/a; exec 3>>{output}/a; PAUSE; rm {output}/a`,
	} {
		for _, late := range []string{"", "; sleep 2.5"} { // changed within the last interval, or before
			t.Run(name+late, func(t *testing.T) {
				t.Parallel()
				c := newFake(t)
				c.chunkBytes = 4
				script := strings.Replace(script, "PAUSE", `while [ ! -e {output}/go ]; do sleep 0.1; done; rm {output}/go`, 1)
				r := play(t, scene{command: shell(script + late), env: keeping(c, "TOE_ROLLING", "1s"),
					during: func(_ *os.Process, output string) {
						waitFor(t, "a part", func() bool { return c.asked("PUT") >= 3 })
						write(t, output+"/go", "")
					}})
				r.must(t, 0, completed)
				kept := c.kept()
				written, err := os.ReadFile(r.output + "/a")
				if name == "gone" {
					if len(kept) != 0 {
						t.Fatal(kept)
					}
					return
				}
				if content := kept["a"]; err != nil || content != string(written) {
					t.Fatalf("%q %q", kept, written)
				}
			})
		}
	}
}

func TestAnOutageWhileTheToolRunsIsMadeUpFor(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	started := time.Now()
	c.meddle = puts(func(int, *fakeCollector, http.ResponseWriter) bool {
		if time.Since(started) < 4*time.Second {
			cut()
		}
		return false
	})
	r := play(t, scene{command: shell(`for i in 1 2 3 4 5 6; do echo $i >>{output}/a; echo $i >{output}/b$i; sleep 0.5; done`), env: keeping(c, "TOE_ROLLING", "1s")})
	r.must(t, 0, completed)
	if kept := c.kept(); len(kept) != 7 || kept["a"] != "1\n2\n3\n4\n5\n6\n" {
		t.Fatal(kept)
	}
}

// Who writes through a mapping has nothing open, and neither size nor time of the file tell.
func TestAMappedFileIsKeptAsItIsAtTheEnd(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	r := play(t, scene{command: self(t, "mapped"), env: keeping(c, "TOE_ROLLING", "1s"), during: func(_ *os.Process, output string) {
		waitFor(t, "a part", func() bool { return c.asked("PUT") >= 1 })
		time.Sleep(2500 * time.Millisecond) // two more looks at it
		if len(c.kept()) != 0 {
			t.Error("a mapped file was kept early")
		}
		write(t, output+"/go", "x")
	}})
	r.must(t, 0, completed)
	if kept := c.kept(); kept["mapped"] != "a12345678z" {
		t.Fatalf("%q", kept)
	}
}
