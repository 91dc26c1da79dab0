package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	readBytes = 128 << 10
	// zstdWindow bounds the memory of both sides; what tools write repeats itself well within it.
	zstdWindow = 1 << 20
)

// wire gives a file as it leaves the pod, from its first byte, and hashes what it gives. It reads in passes: each goes
// as far as the file had grown when it began. Compressed, each pass is a zstd frame of its own, so nothing needs to be
// held in memory between two of them, and the same passes over the same file give the same bytes again.
type wire struct {
	from  io.ReaderAt
	ends  []int64 // of the passes, in bytes of the file
	read  int64   // bytes of the file
	bytes int64   // bytes given
	sum   hash.Hash
	press *press // nil: as it is
	open  bool   // inside a frame
	done  int    // frames that are complete
	out   bytes.Buffer
	block []byte
}

// press is the one compressor; frames are made one after the other.
type press struct{ encoder *zstd.Encoder }

func newPress() *press {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
	if err != nil {
		panic("toe-run: zstd: " + err.Error()) // only of the options above
	}
	return &press{encoder}
}

func newWire(from io.ReaderAt, ends []int64, p *press) *wire {
	return &wire{from: from, ends: ends, sum: sha256.New(), press: p}
}

func (w *wire) digest() string { return hex.EncodeToString(w.sum.Sum(nil)) }

// fill reads until the buffer is full or the passes are at their end; less than a full buffer means the end.
func (w *wire) fill(buffer []byte) (int, error) {
	filled := 0
	for filled < len(buffer) {
		n, err := w.next(buffer[filled:])
		filled += n
		if err == io.EOF {
			break
		}
		if err != nil {
			return filled, err
		}
	}
	_, _ = w.sum.Write(buffer[:filled])
	w.bytes += int64(filled)
	return filled, nil
}

func (w *wire) next(into []byte) (int, error) {
	if w.press == nil {
		return w.take(into, w.ends[len(w.ends)-1])
	}
	for w.out.Len() == 0 {
		if w.done == len(w.ends) {
			w.block, w.out = nil, bytes.Buffer{}
			return 0, io.EOF
		}
		end := w.ends[w.done]
		if !w.open {
			w.open = true
			w.press.encoder.Reset(&w.out)
			if w.block == nil {
				w.block = make([]byte, readBytes)
			}
		}
		n, err := w.take(w.block, end)
		if err != nil && err != io.EOF {
			return 0, err
		}
		if _, err := w.press.encoder.Write(w.block[:n]); err != nil {
			return 0, err
		}
		if w.read == end {
			w.open = false
			w.done++
			if err := w.press.encoder.Close(); err != nil {
				return 0, err
			}
		}
	}
	return w.out.Read(into)
}

// take reads the file itself; before the end given it does not end.
func (w *wire) take(into []byte, end int64) (int, error) {
	into = into[:min(int64(len(into)), end-w.read)]
	if len(into) == 0 {
		return 0, io.EOF
	}
	n, err := w.from.ReadAt(into, w.read)
	w.read += int64(n)
	if n == len(into) {
		return n, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // it has become shorter
	}
	return n, err
}
