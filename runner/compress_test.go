package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func uncompressed(t *testing.T, content []byte) []byte {
	t.Helper()
	reader, err := zstd.NewReader(bytes.NewReader(content), zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	all, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// noise is what hardly compresses, lines are what does; both the same every time.
func noise(n int) []byte {
	content := make([]byte, n)
	for i, r := 0, rand.NewChaCha8([32]byte{1}); i < n; i += 8 {
		for j, v := i, r.Uint64(); j < min(i+8, n); j++ {
			content[j] = byte(v)
			v >>= 8
		}
	}
	return content
}

func lines(n int) []byte {
	return []byte(strings.Repeat("a line of a log, much like the one before\n", n/42+1)[:n])
}

func TestWhatIsCompressedComesBackTheSame(t *testing.T) {
	for name, content := range map[string][]byte{
		"empty": {}, "a byte": {7}, "lines": lines(5 << 20), "noise": noise(3<<20 + 17),
	} {
		c, err := newCompressor(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		c.finish()
		packed, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(uncompressed(t, packed), content) || c.read != int64(len(content)) {
			t.Fatal(name, err, len(packed), c.read)
		}
		if len(content) > 100 && name == "lines" && len(packed) > len(content)/50 {
			t.Errorf("%d bytes of %d", len(packed), len(content))
		}
	}
}

func TestACompressorFollowsAFileThatGrows(t *testing.T) {
	var source, packed bytes.Buffer
	var all []byte
	c, err := newCompressor(&source)
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range [][]byte{[]byte("one\n"), nil, lines(300 << 10), noise(200 << 10), []byte("last")} {
		source.Write(part)
		all = append(all, part...)
		before := packed.Len()
		if _, err := io.Copy(&packed, c); err != nil {
			t.Fatal(err)
		}
		if part == nil && packed.Len() != before {
			t.Error("nothing new, and something came")
		}
		// What has come so far is of use already.
		reader, err := zstd.NewReader(bytes.NewReader(packed.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		so, err := io.ReadAll(reader)
		reader.Close()
		if err != io.ErrUnexpectedEOF || !bytes.Equal(so, all) {
			t.Fatal(i, err, len(so), len(all))
		}
	}
	c.finish()
	if _, err := io.Copy(&packed, c); err != nil || !bytes.Equal(uncompressed(t, packed.Bytes()), all) {
		t.Fatal(err)
	}
}

func TestACompressorHoldsLittle(t *testing.T) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c, err := newCompressor(io.LimitReader(endless{}, 64<<20))
	if err != nil {
		t.Fatal(err)
	}
	c.finish()
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(c)
	t.Logf("%d KiB", (int64(after.HeapAlloc)-int64(before.HeapAlloc))/1024)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 6<<20 {
		t.Fatalf("%d bytes", grown)
	}
}

type endless struct{}

var someNoise = noise(1 << 20)

func (endless) Read(p []byte) (int, error) { return copy(p, someNoise[rand.IntN(1<<19):]), nil }
