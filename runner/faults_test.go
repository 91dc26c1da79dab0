package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Many files of all sizes, and connections that break at any byte: what is committed equals what was written, or the run
// failed with a reason. FAULT_SEEDS asks for more.
func TestNoFaultLosesOrChangesAFile(t *testing.T) {
	t.Parallel()
	variants := []map[string]string{
		{},
		{"TOE_COMPRESS": "zstd"},
		{"TOE_ROLLING": "1s"},
		{"TOE_ROLLING": "1s", "TOE_COMPRESS": "zstd"},
	}
	seeds := uint64(8)
	if n, err := strconv.ParseUint(os.Getenv("FAULT_SEEDS"), 10, 32); err == nil {
		seeds = n
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			dice := rand.New(rand.NewPCG(seed, 7))
			c := newFake(t)
			c.chunkBytes = 1 << (14 + dice.IntN(6))
			written, from := someFiles(t, dice)
			trouble := &trouble{dice: dice, rate: 0.02 + 0.13*dice.Float64()}
			c.meddle, c.swallow = trouble.meddle, trouble.swallow
			env := c.variables("TOE_MODE", "collector", "TOE_GRACE", "5s")
			for name, value := range variants[seed%4] {
				env[name] = value
			}
			script := `cp -r "$0/." {output}`
			if env["TOE_ROLLING"] != "" { // slowly, so that some leave while others come
				script = `cd "$0"; find . -type f | while read -r f; do mkdir -p "{output}/${f%/*}"
					head -c 5000 "$f" >"{output}/$f"; sleep 0.2; tail -c +5001 "$f" >>"{output}/$f"; done`
			}
			r := play(t, scene{command: append(shell(script), from), env: env})
			t.Logf("seed %d: %d files, %d faults: %d %s", seed, len(written), trouble.count, r.code, r.summaryText)

			kept := c.kept()
			for name, content := range kept {
				plain := strings.TrimSuffix(name, ".zst")
				if env["TOE_COMPRESS"] != "" {
					content = string(uncompressed(t, []byte(content)))
				}
				want, known := written[plain]
				switch {
				case !known:
					t.Errorf("nobody wrote %s", name)
				case want != content:
					t.Errorf("%s has %d bytes, %d were written, or others", name, len(content), len(want))
				}
			}
			if r.code == 0 {
				if len(kept) != len(written) || !c.complete || len(r.summary.Files)+r.summary.More != len(written) {
					t.Errorf("%d files kept of %d, complete: %v", len(kept), len(written), c.complete)
				}
			} else if r.code != 125 || (r.summary.Reason != uploadFailed && r.summary.Reason != leaseLost) || r.summary.Message == "" {
				t.Errorf("%d %s", r.code, r.summaryText)
			}
		})
	}
}

// someFiles are the content of a directory.
func someFiles(t *testing.T, dice *rand.Rand) (map[string]string, string) {
	directory, written := t.TempDir(), map[string]string{}
	for i := range 1 + dice.IntN(12) {
		name := fmt.Sprintf("%sfile %d", strings.Repeat("d/", dice.IntN(3)), i)
		content := noise(1 << dice.IntN(21))
		content = content[:len(content)-dice.IntN(len(content))-dice.IntN(2)]
		if dice.IntN(3) == 0 {
			content = lines(len(content))
		}
		write(t, directory+"/"+name, string(content))
	}
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			content, err := os.ReadFile(path)
			written[strings.TrimPrefix(path, directory+"/")] = string(content)
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return written, directory
}

// trouble meddles with so many of the requests.
type trouble struct {
	mutex sync.Mutex
	dice  *rand.Rand
	rate  float64
	count int
}

// now tells whether this request is met, and by which of so many faults.
func (f *trouble) now(kinds int) (int, bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.dice.Float64() >= f.rate {
		return 0, false
	}
	f.count++
	return f.dice.IntN(kinds), true
}

func (f *trouble) meddle(c *fakeCollector, w http.ResponseWriter, r *http.Request) bool {
	kind, met := f.now(7)
	if !met {
		return false
	}
	switch kind {
	case 0:
		deny(w, 408, "TooSlow")
	case 1:
		deny(w, 429, "TooMany")
	case 2:
		deny(w, 503, "NotReady")
	case 3: // the connection breaks at some byte of the request
		f.mutex.Lock()
		after := f.dice.IntN(int(max(r.ContentLength, 0)) + 1)
		f.mutex.Unlock()
		_, _ = io.CopyN(io.Discard, r.Body, int64(after))
		cut()
	case 4: // the collector is started anew and what was not committed is gone
		_, _ = io.Copy(io.Discard, r.Body)
		c.mutex.Lock()
		for _, file := range c.files {
			if !file.committed {
				file.content, file.bytes = nil, 0
			}
		}
		c.mutex.Unlock()
		cut()
	case 5: // or a part of it
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		c.mutex.Lock()
		for _, file := range c.files {
			if !file.committed && file.bytes > 10 {
				file.content = file.content[:file.bytes/2]
				file.bytes = int64(len(file.content))
			}
		}
		c.mutex.Unlock()
		return false
	case 6:
		time.Sleep(300 * time.Millisecond)
		return false
	}
	return true
}

// swallow loses the answer to what was done.
func (f *trouble) swallow(*http.Request) bool {
	_, met := f.now(1)
	return met
}
