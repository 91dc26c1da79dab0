package main

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	compressedSuffix = ".zst"
	// zstdWindow bounds the memory of both sides; what tools write repeats itself well within it.
	zstdWindow = 1 << 20
	rawBytes   = 64 << 10 // read at a time
)

// compressor makes zstd of what it reads, a little at a time. It is a reader: io.EOF means that its source has no more
// at the moment, and all that the source had given is in what was read. Once it was told to finish, io.EOF is the end
// of the frame.
type compressor struct {
	from    io.Reader
	raw     []byte
	waiting bytes.Buffer // compressed and not yet read
	encoder *zstd.Encoder
	read    int64 // from the source
	dirty   bool  // read from the source and not flushed
	last    bool  // no more will come
	closed  bool
}

func newCompressor(from io.Reader) (*compressor, error) {
	c := &compressor{from: from, raw: make([]byte, rawBytes)}
	encoder, err := zstd.NewWriter(&c.waiting,
		// Nothing runs beside it, and it holds little: toe-run's memory counts for the target's pod.
		zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(zstdWindow),
		zstd.WithEncoderLevel(zstd.SpeedFastest))
	c.encoder = encoder
	return c, err
}

// finish says that the next end of the source is the end of the file.
func (c *compressor) finish() { c.last = true }

func (c *compressor) Read(p []byte) (int, error) {
	for c.waiting.Len() == 0 {
		if c.closed {
			return 0, io.EOF
		}
		n, err := c.from.Read(c.raw)
		if n > 0 {
			c.read += int64(n)
			c.dirty = true
			if _, err := c.encoder.Write(c.raw[:n]); err != nil {
				return 0, err
			}
		}
		if err == nil {
			continue
		}
		if err != io.EOF {
			return 0, err
		}
		switch {
		case c.last:
			c.closed = true
			if err := c.encoder.Close(); err != nil {
				return 0, err
			}
		case c.dirty:
			c.dirty = false
			if err := c.encoder.Flush(); err != nil {
				return 0, err
			}
		}
		if c.waiting.Len() == 0 {
			return 0, io.EOF
		}
	}
	return c.waiting.Read(p)
}
