package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
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

// packed is what a wire gives, in buffers of an odd size.
func packed(t *testing.T, w *wire) []byte {
	t.Helper()
	var all []byte
	buffer := make([]byte, 100<<10+1)
	for {
		n, err := w.fill(buffer)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, buffer[:n]...)
		if n < len(buffer) {
			break
		}
	}
	if sum := sha256.Sum256(all); w.digest() != hex.EncodeToString(sum[:]) || w.bytes != int64(len(all)) {
		t.Fatal("counted or hashed otherwise")
	}
	return all
}

func TestWhatIsCompressedComesBackTheSame(t *testing.T) {
	p := newPress()
	for name, content := range map[string][]byte{
		"empty": {}, "a byte": {7}, "lines": lines(5 << 20), "noise": noise(3<<20 + 17),
	} {
		ends := []int64{int64(len(content))}
		small := packed(t, newWire(bytes.NewReader(content), ends, p))
		if len(small) == 0 || !bytes.Equal(uncompressed(t, small), content) {
			t.Fatal(name, len(small))
		}
		if name == "lines" && len(small) > len(content)/50 {
			t.Errorf("%d bytes of %d", len(small), len(content))
		}
		if again := packed(t, newWire(bytes.NewReader(content), ends, newPress())); !bytes.Equal(small, again) {
			t.Error(name, "the same file gave other bytes")
		}
		if plain := packed(t, newWire(bytes.NewReader(content), ends, nil)); !bytes.Equal(plain, content) {
			t.Error(name)
		}
	}
}

func TestAWireFollowsAFileThatGrows(t *testing.T) {
	content := append(lines(1<<20), noise(1<<20)...)
	for _, p := range []*press{nil, newPress()} {
		ends := []int64{10, 300 << 10, 300<<10 + 1, 2 << 20}
		w := newWire(bytes.NewReader(content), nil, p)
		var all []byte
		buffer := make([]byte, 64<<10)
		for _, end := range ends {
			w.ends = append(w.ends, end)
			for n := len(buffer); n == len(buffer); {
				var err error
				if n, err = w.fill(buffer); err != nil {
					t.Fatal(err)
				}
				all = append(all, buffer[:n]...)
			}
			so := all
			if p != nil {
				so = uncompressed(t, all)
			}
			if !bytes.Equal(so, content[:end]) { // what has come so far is whole
				t.Fatal(end, len(so))
			}
		}
		if again := packed(t, newWire(bytes.NewReader(content), ends, p)); !bytes.Equal(all, again) {
			t.Fatal("the same passes gave other bytes")
		}
	}
	if _, err := newWire(bytes.NewReader(content), []int64{3 << 20}, nil).fill(make([]byte, 4<<20)); err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
}

func TestAWireHoldsLittle(t *testing.T) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := newWire(endless{}, []int64{64 << 20}, newPress())
	for buffer := make([]byte, 1<<20); ; {
		n, err := w.fill(buffer)
		if err != nil {
			t.Fatal(err)
		}
		if n < len(buffer) {
			break
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(w)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 6<<20 {
		t.Fatalf("%d bytes", grown)
	}
}

type endless struct{}

var someNoise = noise(1 << 20)

func (endless) ReadAt(p []byte, _ int64) (int, error) {
	return copy(p, someNoise[rand.IntN(1<<19):]), nil
}
