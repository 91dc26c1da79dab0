package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"syscall"
	"time"
)

// delivery is what became of the tool's files.
type delivery struct {
	files   []described
	framed  bool // mode ephemeral: the files are to be printed
	printed []artifact
	failed  int
	first   *failure // of these
	why     string   // with the name
}

func (d *delivery) fail(name string, err error) {
	var f *failure
	if !errors.As(err, &f) {
		f = fail("%v", err)
	}
	if d.failed++; d.first == nil {
		d.first, d.why = f, shortName(name)+": "+f.message
	}
}

// bounds are how much of the tool's files may leave, in its mode.
func (s settings) bounds(u *uploader) bounds {
	b := bounds{bytes: math.MaxInt64, files: collectedMost}
	switch {
	case s.mode == modeLog && !s.withheld:
		b = bounds{bytes: frameMost, files: filesMost, how: " through its log"}
	case u != nil && !s.compress: // compressed they may be larger here than they are there
		b.bytes = u.maxBytes
	}
	if s.limits.artifactBytes > 0 {
		b.bytes = min(b.bytes, s.limits.artifactBytes)
	}
	return b
}

// deliver lets the files leave, the way that the run's mode says, once the tool has ended. What goes wrong is the end's
// reason where there was no other.
func (s settings) deliver(end *ending, most bounds, u *uploader, volume place, held *lease,
	stdout, stderr *capture, shown *console, leaving func()) delivery {
	read := s.mode == modeLog && !s.withheld
	found := collect(s.output, most.bytes, read)
	found.add(stdout.artifact("stdout.txt"))
	found.add(stderr.artifact("stderr.txt"))
	if found.left > 0 {
		left := fmt.Sprintf("%d entries of the output directory were left out: %s", found.left, found.because)
		shown.note(left)
		end.message += "; " + left
	}
	if why := found.tooLarge(most); why != "" {
		end.exit, end.reason, end.message = exitRefused, artifactTooLarge, why
	}
	if end.reason == artifactTooLarge || end.reason == runDeleted {
		return delivery{}
	}
	if s.mode == modeLog {
		return s.show(found, shown)
	}

	leaving()
	var done delivery
	root, err := openDirectory(s.output)
	if err != nil {
		done.fail("the output directory", err)
	} else {
		defer syscall.Close(root)
		if u != nil {
			done = u.upload(held, sources(root, found))
		} else {
			done = put(volume, held, sources(root, found), shown)
		}
	}
	for _, said := range []*capture{stdout, stderr} {
		if said.broken != nil {
			done.fail("what the tool printed", said.broken)
		}
	}
	if done.failed == 0 && found.lost > 0 {
		done.fail("the output directory", errors.New(found.because))
	}
	switch {
	case done.failed == 0:
	case end.reason == completed:
		end.exit, end.reason = exitRefused, done.first.reason
		end.message = fmt.Sprintf("%d files were not kept; %s", done.failed, done.why)
	default:
		end.message += fmt.Sprintf("; %d files were not kept; %s", done.failed, done.why)
	}
	return done
}

// show has the files printed, or says how many are not.
func (s settings) show(found collection, shown *console) delivery {
	if s.withheld {
		if len(found.files) > 0 {
			shown.note(fmt.Sprintf("%d files of this tool are not printed; output.mode collector keeps them", len(found.files)))
		}
		return delivery{}
	}
	done := delivery{framed: true, printed: found.files}
	for _, file := range found.files {
		done.files = append(done.files, describe(file))
	}
	return done
}

// sources are the files found.
func sources(root int, found collection) []source {
	var all []source
	for _, file := range found.files {
		name := file.name
		if file.spool != nil {
			spool := file.spool
			all = append(all, source{name, func() (io.ReadCloser, error) {
				_, err := spool.Seek(0, io.SeekStart)
				return spool, err
			}})
			continue
		}
		all = append(all, source{name, func() (io.ReadCloser, error) { return openBelow(root, name) }})
	}
	return all
}

// upload brings everything to the collector. It is broken off when the run is deleted.
func (u *uploader) upload(held *lease, all []source) delivery {
	within, cancel := whileWanted(held)
	defer cancel()
	u.progress, u.patient = time.Now(), false
	var done delivery
	u.drop(within, all)
	for i, one := range all {
		err := u.finish(within, one)
		if err == nil {
			continue
		}
		done.fail(one.name, err)
		u.shown.note(one.name + " was not kept: " + err.Error())
		var f *failure
		if errors.As(err, &f) && f.final {
			done.failed += len(all) - i - 1
			break
		}
	}
	if done.first == nil || !done.first.final {
		u.complete(within)
	}
	// Also what the tool has removed since.
	for _, name := range slices.Sorted(maps.Keys(u.tracks)) {
		var kept []described
		for t := u.tracks[name]; t != nil; t = t.before {
			if t.committed {
				kept = append(kept, t.kept)
			}
		}
		slices.Reverse(kept)
		done.files = append(done.files, kept...)
	}
	return done
}

// drop makes room: the parts of files that the tool has removed or renamed since would count for the run.
func (u *uploader) drop(within context.Context, all []source) {
	there := map[string]bool{}
	for _, one := range all {
		there[one.name] = true
	}
	for name, t := range u.tracks {
		if t.begun && !t.committed && !there[name] {
			t.restart = true
			if _, err := u.begin(within, t); err != nil {
				return // what matters is told by the files themselves
			}
		}
	}
}

// finish brings one file, whatever of it is there already.
func (u *uploader) finish(within context.Context, one source) error {
	opened, err := one.open()
	if err != nil {
		return fail("it cannot be opened: %v", err)
	}
	defer opened.Close()
	file, _ := opened.(*os.File) // it is one
	now, err := identify(file)
	if err != nil {
		return fail("it cannot be opened: %v", err)
	}
	t := u.track(one.name)
	if t.committed {
		if t.seen == now {
			return nil
		}
		t = u.again(one.name, t)
	}
	if !t.steady || t.seen != now {
		t.wire = nil // read again from the beginning: what was there may have been rewritten
	}
	if n := len(t.ends); n > 0 && t.ends[n-1] > now.size {
		t.anew()
	}
	return u.bring(within, t, file, now.size, true)
}

// whileWanted ends when the run is deleted.
func whileWanted(held *lease) (context.Context, context.CancelFunc) {
	within, cancel := context.WithCancel(context.Background())
	if held != nil {
		go func() {
			select {
			case <-held.forgotten():
				cancel()
			case <-within.Done():
			}
		}()
	}
	return within, cancel
}

// spoolFile is a file without a name, where what the tool prints is kept.
func spoolFile(directory string) (*os.File, error) {
	const temporary = 0x400000 | syscall.O_DIRECTORY // O_TMPFILE
	descriptor, err := syscall.Open(directory, syscall.O_RDWR|temporary|syscall.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(descriptor), "spool"), nil
	}
	file, err := os.CreateTemp(directory, ".toe-spool-")
	if err != nil {
		return nil, err
	}
	return file, os.Remove(file.Name())
}

// put copies everything onto the claim of mode pvc.
func put(there place, held *lease, all []source, shown *console) delivery {
	var done delivery
	wanted := func() error {
		select {
		case <-held.forgotten():
			return brokenOff()
		default:
			return nil
		}
	}
	for _, one := range all {
		kept, err := there.keep(one, wanted)
		if err != nil {
			done.fail(one.name, err)
			shown.note(one.name + " was not kept: " + err.Error())
			continue
		}
		done.files = append(done.files, kept)
		shown.note(fmt.Sprintf("kept %s: %d bytes, sha256 %s", kept.Name, kept.Bytes, kept.SHA256))
	}
	return done
}
