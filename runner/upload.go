package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"
)

const (
	uploadLeast      = 30 * time.Second // without progress, after the tool's end: the grace, and at least so long
	chunkPatience    = 15 * time.Second // for the answer to a chunk; the next try is with a smaller one
	chunkQuick       = 2 * time.Second  // after so quick an answer the next chunk is larger again
	chunkLeast       = 64 << 10
	damagedMost      = 3    // tries of what arrived damaged
	detoursMost      = 20   // times that the collector may have forgotten something of one file
	collectedMost    = 1000 // files of one session
	compressedSuffix = ".zst"
)

// failure is why a file did not get to where it is kept.
type failure struct {
	reason  string
	message string
	final   bool // nothing else of this session will get there either
}

func (f *failure) Error() string { return f.message }

func brokenOff() *failure {
	return &failure{reason: uploadFailed, message: "it was broken off", final: true}
}

func fail(format string, words ...any) *failure {
	return &failure{reason: uploadFailed, message: fmt.Sprintf(format, words...)}
}

// errAgain means that what arrived is not what is there now: the file begins anew.
var errAgain = errors.New("it arrived damaged, or was changed while it was being read")

// identity tells whether a file is the same, unchanged one.
type identity struct {
	device, inode    uint64
	size             int64
	modified, status syscall.Timespec
}

func identify(file *os.File) (identity, error) {
	var seen syscall.Stat_t
	if err := syscall.Fstat(int(file.Fd()), &seen); err != nil {
		return identity{}, err
	}
	return identity{uint64(seen.Dev), seen.Ino, seen.Size, seen.Mtim, seen.Ctim}, nil
}

// track is one file on its way.
type track struct {
	name      string // as it is kept
	id        string // the collector's
	ends      []int64
	wire      *wire    // nil unless all that it has given has arrived
	begun     bool     // the collector knows the name
	restart   bool     // and what it has of it is to be thrown away
	bytes     int64    // that have arrived, when the last pass had ended
	digest    string   // of these
	seen      identity // before and after the last pass
	steady    bool     // one pass took all of it, and it did not change meanwhile
	committed bool
	kept      described
	before    *track // an earlier file of the same name, which was kept already
}

// anew forgets all that has arrived.
func (t *track) anew() {
	t.ends, t.wire, t.bytes, t.digest, t.steady = nil, nil, 0, "", false
	t.restart = t.begun
}

// uploader brings files to the collector, one after the other.
type uploader struct {
	*collector
	shown    *console
	press    *press // nil: files leave as they are
	patience time.Duration
	tracks   map[string]*track // by the tool's name
	buffer   []byte
	size     int       // of the next chunk
	progress time.Time // when something last arrived
	patient  bool      // while the tool runs there is no hurry
}

func newUploader(c *collector, s settings, shown *console) *uploader {
	u := &uploader{collector: c, shown: shown, patience: max(s.grace, uploadLeast), tracks: map[string]*track{},
		size: c.chunkBytes}
	if s.compress {
		u.press = newPress()
	}
	return u
}

func (u *uploader) track(name string) *track {
	t := u.tracks[name]
	if t == nil {
		t = &track{name: u.keptName(name)}
		u.tracks[name] = t
	}
	return t
}

// again is a track for what a file became after it had been kept: NAME.2.
func (u *uploader) again(name string, before *track) *track {
	taken := map[string]bool{}
	for other, t := range u.tracks {
		taken[other] = true
		for ; t != nil; t = t.before {
			taken[t.name] = true
		}
	}
	for i := 2; ; i++ {
		next := name + "." + strconv.Itoa(i)
		if !taken[next] && !taken[u.keptName(next)] {
			u.tracks[name] = &track{name: u.keptName(next), before: before}
			return u.tracks[name]
		}
	}
}

func (u *uploader) keptName(name string) string {
	if u.press != nil {
		return name + compressedSuffix
	}
	return name
}

// until asks again and again, until the answer is one to act on.
func (u *uploader) until(within context.Context, try func() (answer, error)) (answer, error) {
	for wait := (pauses{}); ; {
		said, err := try()
		var why string
		switch {
		case err == nil && !said.passing():
			if said.good() {
				u.progress = time.Now()
			}
			return said, nil
		case err == nil:
			why = said.denial().String()
		default:
			why = err.Error()
		}
		if within.Err() != nil {
			return answer{}, brokenOff()
		}
		pause := wait.next()
		if now := time.Now().Add(pause); !u.patient && now.Sub(u.progress) > u.patience || now.Round(0).After(u.expires) {
			return answer{}, &failure{reason: uploadFailed, final: true,
				message: fmt.Sprintf("nothing arrived at the collector for %s: %s", now.Sub(u.progress).Round(time.Second), why)}
		}
		select {
		case <-within.Done():
		case <-time.After(pause):
		}
	}
}

func (u *uploader) post(within context.Context, path string, body any) (answer, error) {
	return u.until(within, func() (answer, error) {
		return u.ask(within, requestPatience, http.MethodPost, path, u.session, body)
	})
}

// refused is a no of the collector that stays one.
func refused(said answer) error {
	no := said.denial()
	f := fail("%s", no)
	switch said.status {
	case http.StatusRequestEntityTooLarge:
		f.reason = artifactTooLarge
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict:
		f.final = true
	}
	return f
}

// bring sends what the file has up to this byte and, at its end, has it kept. What arrived damaged is brought again.
func (u *uploader) bring(within context.Context, t *track, from io.ReaderAt, upTo int64, end bool) error {
	if n := len(t.ends); n == 0 || t.ends[n-1] < upTo {
		t.ends = append(t.ends, upTo)
	}
	for damaged, detours := 0, 0; ; {
		err := u.once(within, t, from, end)
		switch {
		case errors.Is(err, errAgain):
			if damaged++; damaged >= damagedMost {
				return fail("%v", err)
			}
			t.anew()
			t.ends = []int64{upTo}
		case errors.Is(err, errForgotten):
			if detours++; detours > detoursMost {
				return fail("%v", err)
			}
			t.wire = nil
		default:
			if err != nil {
				t.wire = nil
			}
			return err
		}
	}
}

var errForgotten = errors.New("the collector forgot it again and again")

func (u *uploader) once(within context.Context, t *track, from io.ReaderAt, end bool) error {
	if u.buffer == nil {
		u.buffer = make([]byte, u.chunkBytes)
	}
	if t.wire != nil {
		t.wire.from, t.wire.ends = from, t.ends
	} else {
		offset, err := u.begin(within, t)
		if err != nil {
			return err
		}
		if err := u.replay(within, t, from, offset); err != nil {
			return err
		}
	}
	for {
		start := t.wire.bytes
		n, err := t.wire.fill(u.buffer)
		if err == io.ErrUnexpectedEOF {
			return errAgain
		}
		if err != nil {
			return fail("it cannot be read: %v", err)
		}
		if n == 0 {
			break
		}
		last := n < len(u.buffer)
		if err := u.send(within, t, start, u.buffer[:n]); err != nil {
			return err
		}
		if last {
			break
		}
	}
	t.bytes, t.digest = t.wire.bytes, t.wire.digest()
	if !end {
		return nil
	}
	said, err := u.post(within, "/v1/files/"+t.id+"/commit", struct {
		Bytes  int64  `json:"bytes"`
		SHA256 string `json:"sha256"`
	}{t.bytes, t.digest})
	switch {
	case err != nil:
		return err
	case said.status == http.StatusUnprocessableEntity:
		return errAgain
	case said.status == http.StatusNotFound:
		return errForgotten
	case !said.good():
		return refused(said)
	}
	t.committed, t.wire = true, nil
	t.kept = described{Name: t.name, Bytes: t.bytes, SHA256: t.digest}
	u.shown.note(fmt.Sprintf("kept %s: %d bytes, sha256 %s", t.name, t.bytes, t.digest))
	return nil
}

// begin tells the collector the name and learns how much of it has arrived.
func (u *uploader) begin(within context.Context, t *track) (int64, error) {
	said, err := u.post(within, "/v1/files", struct {
		Name    string `json:"name"`
		Restart bool   `json:"restart"`
	}{t.name, t.restart})
	if err != nil {
		return 0, err
	}
	if !said.good() {
		return 0, refused(said)
	}
	var place struct {
		File   string `json:"file"`
		Offset int64  `json:"offset"`
	}
	if err := said.read(&place); err != nil || !claimStep.MatchString(place.File) || place.Offset < 0 {
		return 0, fail("the collector's answer makes no sense")
	}
	t.begun, t.restart, t.id = true, false, place.File
	return place.Offset, nil
}

// replay reads the file again up to where the collector has it.
func (u *uploader) replay(within context.Context, t *track, from io.ReaderAt, offset int64) error {
	w := newWire(from, t.ends, u.press)
	for w.bytes < offset {
		if within.Err() != nil {
			return brokenOff()
		}
		n, err := w.fill(u.buffer[:min(int64(len(u.buffer)), offset-w.bytes)])
		if err == io.ErrUnexpectedEOF || (err == nil && n == 0) {
			return errAgain // it has less than has arrived
		}
		if err != nil {
			return fail("it cannot be read: %v", err)
		}
	}
	if offset == t.bytes && t.digest != "" && w.digest() != t.digest {
		return errAgain // it was written anew, not only further
	}
	t.wire = w
	return nil
}

// send brings one buffer of the wire, from this offset on, in chunks that the way can take.
func (u *uploader) send(within context.Context, t *track, start int64, pending []byte) error {
	damaged, detours := 0, 0
	for len(pending) > 0 {
		var sent int
		said, err := u.until(within, func() (answer, error) {
			sent = min(len(pending), u.size)
			sum := sha256.Sum256(pending[:sent])
			began := time.Now()
			said, err := u.ask(within, chunkPatience, http.MethodPut,
				"/v1/files/"+t.id+"?offset="+strconv.FormatInt(start, 10), u.session,
				chunk{pending[:sent], hex.EncodeToString(sum[:])})
			switch {
			case err == errTooSlow, err == nil && said.status == http.StatusRequestTimeout:
				u.size = max(u.size/2, min(chunkLeast, u.chunkBytes))
			case err == nil && said.good() && time.Since(began) < chunkQuick:
				u.size = min(2*u.size, u.chunkBytes)
			}
			return said, err
		})
		if err != nil {
			return err
		}
		var next int64
		switch {
		case said.good():
			var place struct {
				Offset *int64 `json:"offset"`
			}
			if err := said.read(&place); err != nil || place.Offset == nil {
				return fail("the collector's answer makes no sense")
			}
			next = *place.Offset
		case said.status == http.StatusConflict && said.denial().Offset != nil:
			next = *said.denial().Offset
			detours++
		case said.status == http.StatusUnprocessableEntity:
			if damaged++; damaged >= damagedMost {
				return fail("%s", said.denial())
			}
			continue
		case said.status == http.StatusNotFound:
			return errForgotten
		default:
			return refused(said)
		}
		if next < start || next > start+int64(len(pending)) || detours > detoursMost {
			return errForgotten // and is asked for what it has
		}
		pending, start = pending[next-start:], next
	}
	return nil
}

// complete ends the session. What was kept stays kept should that not succeed.
func (u *uploader) complete(within context.Context) {
	said, err := u.post(within, "/v1/complete", struct{}{})
	if err == nil && !said.good() {
		err = refused(said)
	}
	if err != nil {
		u.shown.note("the collector was not told that this was all: " + err.Error())
	}
}
