package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func keeping(c *fakeCollector, more ...string) map[string]string {
	return c.variables(append([]string{"TOE_MODE", "collector"}, more...)...)
}

// puts is a meddler that counts chunks and passes each one's number on.
func puts(do func(n int, c *fakeCollector, w http.ResponseWriter) bool) func(*fakeCollector, http.ResponseWriter, *http.Request) bool {
	n := 0
	return func(c *fakeCollector, w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		n++
		return do(n, c, w)
	}
}

func TestFilesAreKeptByTheCollector(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	c.chunkBytes = 64 << 10
	r := play(t, scene{command: shell(`mkdir -p {output}/deep; head -c 300000 /dev/zero >{output}/deep/zero; : >{output}/empty
		ln -s /etc/passwd {output}/link; echo hello; echo oops >&2`), env: keeping(c)})
	r.must(t, 0, completed)
	kept := c.kept()
	if len(kept) != 4 || kept["deep/zero"] != strings.Repeat("\x00", 300000) || kept["stdout.txt"] != "hello\n" ||
		kept["stderr.txt"] != "oops\n" || kept["empty"] != "" || !c.complete {
		t.Fatal(len(kept), c.requests)
	}
	if len(r.summary.Files) != 4 || r.summary.Bytes != 300011 || strings.Contains(r.out, framePrefix) {
		t.Fatal(r.out, r.summaryText)
	}
	contains(t, r.err, "toe-run: kept deep/zero: 300000 bytes, sha256 ")
	contains(t, r.summary.Message, "link is a link")
	if c.largest != 64<<10 {
		t.Fatal(c.largest)
	}
}

func TestWhatIsTooLargeForTheLogIsKept(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	r := play(t, scene{command: shell(`head -c 9000001 /dev/urandom | tee {output}/a`), env: keeping(c)})
	r.must(t, 0, completed)
	if kept := c.kept(); len(kept["a"]) != 9000001 || kept["a"] != kept["stdout.txt"] {
		t.Fatal(len(kept["a"]), len(kept["stdout.txt"]))
	}
	c = newFake(t)
	r = play(t, scene{command: shell(`head -c 1001 /dev/zero >{output}/a`), env: keeping(c, "TOE_LIMITS", `{"artifactBytes":1000}`)})
	r.must(t, 125, artifactTooLarge)
	contains(t, r.summary.Message, "1001 bytes in 1 files, at most 1000 leave the pod")
	c = newFake(t)
	c.maxBytes = 2000
	r = play(t, scene{command: shell(`head -c 2001 /dev/zero >{output}/a`), env: keeping(c)})
	r.must(t, 125, artifactTooLarge)
	c = newFake(t)
	c.maxBytes = 0
	play(t, scene{command: shell(`echo`), env: keeping(c)}).must(t, 125, collectorRefused)
}

func TestCompressedFilesComeBackTheSame(t *testing.T) {
	t.Parallel()
	for _, rolling := range []string{"", "1s"} {
		c := newFake(t)
		c.chunkBytes = 10_000
		c.meddle = puts(func(n int, c *fakeCollector, w http.ResponseWriter) bool {
			if n%5 == 2 {
				cut()
			}
			if n == 7 { // it forgets all that had come
				c.mutex.Lock()
				for _, file := range c.files {
					if !file.committed {
						file.content, file.bytes = nil, 0
					}
				}
				c.mutex.Unlock()
			}
			return false
		})
		r := play(t, scene{command: shell(`for i in 1 2 3 4 5; do head -c 100000 /dev/urandom >>{output}/r; seq 20000 >>{output}/t; sleep 0.5
			done; : >{output}/e; cksum <{output}/r; cksum <{output}/t`), env: keeping(c, "TOE_COMPRESS", "zstd", "TOE_ROLLING", rolling)})
		r.must(t, 0, completed)
		kept := c.kept()
		for _, name := range []string{"r", "t", "e"} {
			written, err := os.ReadFile(filepath.Join(r.output, name))
			if err != nil || !bytes.Equal(uncompressed(t, []byte(kept[name+".zst"])), written) {
				t.Fatal(name, err, len(written), len(kept[name+".zst"]))
			}
		}
		if len(kept) != 4 || r.summary.Files[0].Name != "e.zst" {
			t.Fatal(r.summaryText)
		}
	}
}

func TestAFailedUploadIsNoSuccess(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		path   string
		status int
		reason string
		says   string
	}{
		"full":      {"", 507, uploadFailed, "StoreFull"},
		"too large": {"", 413, artifactTooLarge, "StoreFull"},
		"damaged":   {"", 422, uploadFailed, "StoreFull"},
		"over":      {"", 403, uploadFailed, "StoreFull"},
		"commit":    {"/commit", 422, uploadFailed, "arrived damaged"},
		"refused":   {"/commit", 400, uploadFailed, "StoreFull"},
	}
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFake(t)
			c.meddle = func(_ *fakeCollector, w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/v1/claim" || r.URL.Path == "/v1/lease" ||
					(want.path == "" && r.Method != http.MethodPut) || !strings.HasSuffix(r.URL.Path, want.path) {
					return false
				}
				deny(w, want.status, "StoreFull")
				return true
			}
			r := play(t, scene{command: shell(`echo a >{output}/a; echo b >{output}/b`), env: keeping(c)})
			r.must(t, 125, want.reason)
			contains(t, r.summary.Message, "2 files were not kept; a: ")
			contains(t, r.summary.Message, want.says)
			if len(c.kept()) != 0 || len(r.summary.Files) != 0 {
				t.Fatal(r.summaryText)
			}
			if tries := c.asked("PUT"); want.status == 422 && want.path == "" && tries != 6 {
				t.Error(tries)
			}
		})
	}
	t.Run("the tool's own failure", func(t *testing.T) {
		t.Parallel()
		c := newFake(t)
		c.meddle = puts(func(_ int, _ *fakeCollector, w http.ResponseWriter) bool { deny(w, 507, "StoreFull"); return true })
		r := play(t, scene{command: shell(`echo a >{output}/a; exit 3`), env: keeping(c)})
		r.must(t, 3, toolFailed)
		contains(t, r.summary.Message, "exit code 3; 1 files were not kept; a: StoreFull")
	})
	t.Run("the rest is kept", func(t *testing.T) {
		t.Parallel()
		c := newFake(t)
		c.meddle = puts(func(n int, _ *fakeCollector, w http.ResponseWriter) bool {
			if n == 1 {
				deny(w, 507, "QuotaExceeded")
			}
			return n == 1
		})
		r := play(t, scene{command: shell(`echo a >{output}/a; echo b >{output}/b`), env: keeping(c)})
		r.must(t, 125, uploadFailed)
		if kept := c.kept(); len(kept) != 1 || len(r.summary.Files) != 1 || !c.complete {
			t.Fatal(kept, r.summaryText)
		}
	})
	t.Run("a name that cannot be told", func(t *testing.T) {
		t.Parallel()
		c := newFake(t)
		r := play(t, scene{command: shell(`echo a >{output}/a; echo b >"{output}/$(printf 'b\033')"`), env: keeping(c)})
		r.must(t, 125, uploadFailed)
		contains(t, r.summary.Message, "a name has control characters in it")
		if len(c.kept()) != 1 {
			t.Fatal(c.kept())
		}
	})
	t.Run("expired", func(t *testing.T) {
		t.Parallel()
		c := newFake(t)
		c.expires = time.Now().Add(5 * time.Second)
		c.meddle = puts(func(int, *fakeCollector, http.ResponseWriter) bool { cut(); return true })
		r := play(t, scene{command: shell(`echo a >{output}/a`), env: keeping(c)})
		r.must(t, 125, uploadFailed)
		contains(t, r.summary.Message, "nothing arrived at the collector for")
		if r.took > 9*time.Second {
			t.Fatal(r.took)
		}
	})
}

func TestASlowWayGetsSmallerChunks(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	c.meddle = func(_ *fakeCollector, w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && r.ContentLength > 150_000 {
			deny(w, 408, "TooSlow")
			return true
		}
		return false
	}
	r := play(t, scene{command: shell(`head -c 700001 /dev/urandom >{output}/a`), env: keeping(c)})
	r.must(t, 0, completed)
	if written, _ := os.ReadFile(r.output + "/a"); c.kept()["a"] != string(written) || c.largest > 150_000 || c.largest < chunkLeast {
		t.Fatal(c.largest)
	}
}

func TestADeletedRunKeepsNothingMore(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	c.meddle = puts(func(n int, c *fakeCollector, w http.ResponseWriter) bool {
		c.stopWith(runDeleted)
		deny(w, 503, "NotReady")
		return true
	})
	r := play(t, scene{command: shell(`echo a >{output}/a`), env: keeping(c)})
	r.must(t, 125, runDeleted)
	if len(c.kept()) != 0 || r.took > 8*time.Second {
		t.Fatal(c.kept(), r.took)
	}
}

func TestACanceledRunsFilesAreKept(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	c.stopWith(canceled)
	r := play(t, scene{command: self(t, "obedient", "0"), env: keeping(c)})
	r.must(t, 125, canceled)
	if c.kept()["signal.txt"] != "interrupt" {
		t.Fatal(c.kept())
	}
}

func TestAnEndWhileFilesLeaveIsTold(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	c.meddle = puts(func(int, *fakeCollector, http.ResponseWriter) bool { cut(); return true })
	r := play(t, scene{command: shell(`echo a >{output}/a`), env: keeping(c), during: func(p *os.Process, _ string) {
		waitFor(t, "a chunk", func() bool { return c.asked("PUT") > 1 })
		_ = p.Kill()
	}})
	if r.summary.Reason != uploadFailed || r.summary.Exit != 125 {
		t.Fatal(r.summaryText)
	}
}

// Whatever happens on the way: what is kept is what was written, or the run failed with a reason.
func TestFaultsLoseNothing(t *testing.T) {
	t.Parallel()
	seeds := uint64(6)
	if n, err := strconv.ParseUint(os.Getenv("FAULT_SEEDS"), 10, 32); err == nil {
		seeds = n
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			c := newFake(t)
			c.chunkBytes = 20_000
			dice := rand.New(rand.NewPCG(seed, 1))
			c.swallow = func(r *http.Request) bool {
				c.mutex.Lock()
				defer c.mutex.Unlock()
				return r.URL.Path != "/v1/lease" && dice.IntN(6) == 0
			}
			c.meddle = func(c *fakeCollector, w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasPrefix(r.URL.Path, "/v1/files") {
					return false
				}
				c.mutex.Lock()
				defer c.mutex.Unlock()
				switch dice.IntN(40) {
				case 0:
					cut()
				case 1, 2:
					deny(w, []int{408, 429, 503, 502, 302}[dice.IntN(5)], "Passing")
					return true
				case 3: // forgets a part
					for _, file := range c.files {
						if keep := int64(20_000 * dice.IntN(3)); !file.committed && file.bytes > keep {
							file.content, file.bytes = file.content[:keep], keep
						}
					}
				case 4: // forgets all
					for id, file := range c.files {
						if !file.committed {
							delete(c.files, id)
							delete(c.ids, file.name)
						}
					}
				case 5:
					if r.Method == http.MethodPut && dice.IntN(3) == 0 {
						deny(w, 422, "ChunkDamaged")
						return true
					}
				}
				return false
			}
			env := keeping(c)
			if seed%3 == 1 {
				env["TOE_ROLLING"] = "1s"
			}
			if seed%2 == 1 {
				env["TOE_COMPRESS"] = "zstd"
			}
			r := play(t, scene{command: shell(`for i in 1 2 3 4; do head -c ${i}0007 /dev/urandom >>{output}/grows
				head -c ${i}1000 /dev/urandom >{output}/anew; head -c $((i * 33)) /dev/urandom >{output}/small.$i; sleep 0.6; done`), env: env})
			if r.code != 0 {
				r.must(t, 125, uploadFailed)
				t.Log(r.summary.Message)
			}
			kept := c.kept()
			for name, content := range kept {
				if plain, packed := strings.CutSuffix(name, ".zst"); packed {
					name, content = plain, string(uncompressed(t, []byte(content)))
				}
				written, err := os.ReadFile(filepath.Join(r.output, name))
				if err != nil || string(written) != content {
					t.Errorf("%s: %d bytes kept of %d written", name, len(content), len(written))
				}
			}
			if r.code == 0 && len(kept) != 6 {
				t.Errorf("%d files kept", len(kept))
			}
		})
	}
}
