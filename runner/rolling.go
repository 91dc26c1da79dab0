package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"
)

// roll brings what has grown, every interval, while the tool runs. What it returns ends it: nothing of it goes on then.
// Failures of a pass are no failures of the upload: at the end everything is looked at again.
func (u *uploader) roll(every time.Duration, directory string, table processTable) (end func()) {
	within, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	u.patient, u.progress = true, time.Now()
	go func() {
		defer close(ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for told := false; ; {
			select {
			case <-within.Done():
				return
			case <-ticker.C:
			}
			err := u.pass(within, directory, table.holds)
			if err != nil && within.Err() == nil && !told {
				told = true
				u.shown.note("what has grown could not be brought to the collector, it is tried again: " + err.Error())
			}
			var f *failure
			if errors.As(err, &f) && f.final {
				return
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// pass looks through the directory once. It returns the first failure.
func (u *uploader) pass(within context.Context, directory string, holds func() (func(identity) bool, bool)) error {
	root, err := openDirectory(directory)
	if err != nil {
		return err
	}
	defer syscall.Close(root)
	var first error
	held, known := holds()
	for _, found := range collect(directory, 0, false).files {
		if within.Err() != nil {
			break
		}
		file, err := openBelow(root, found.name)
		if err != nil {
			continue // it has gone again
		}
		err = u.look(within, file, found.name, func(i identity) bool { return !known || held(i) })
		_ = file.Close()
		if err == nil {
			continue
		}
		if first == nil {
			first = err
		}
		var f *failure
		if errors.As(err, &f) && f.final {
			break
		}
	}
	return first
}

// look brings what is new in one file, or has it kept when it seems finished.
func (u *uploader) look(within context.Context, file *os.File, name string, held func(identity) bool) error {
	now, err := identify(file)
	if err != nil || now.size == 0 {
		return err
	}
	t := u.track(name)
	if t.committed {
		if t.seen == now {
			return nil
		}
		t = u.again(name, t)
	}
	if n := len(t.ends); n > 0 && (t.seen.only() != now.only() || t.ends[n-1] > now.size) {
		t.anew() // another file, or it was cut
	}
	if t.seen == now && t.wire != nil {
		if held(now) {
			return nil
		}
		if !t.steady {
			t.wire = nil // read again as a whole: what was brought before may have been rewritten
		}
		if err := u.bring(within, t, file, now.size, true); err != nil {
			return err
		}
		return nil
	}
	// One pass that took all of a finished file need not be repeated. What somebody has open or mapped is not finished, and a
	// time of a moment ago may be that of the next change too.
	finished := len(t.ends) == 0 && !held(now) && time.Since(time.Unix(now.modified.Unix())) > clockTick
	t.seen = now
	if err := u.bring(within, t, file, now.size, false); err != nil {
		return err
	}
	after, err := identify(file)
	t.steady = finished && err == nil && after == now
	return nil
}

// only is what stays when a file changes.
func (i identity) only() identity { return identity{device: i.device, inode: i.inode} }

// clockTick is more than the grain of the times that file systems keep.
const clockTick = 100 * time.Millisecond

// holds are the files that the tool's processes have open or mapped; false when one of them cannot be looked into. Of a
// mapped file /proc tells the inode, but the device that it tells may be the one below an overlay: the inode counts alone.
func (t processTable) holds() (func(identity) bool, bool) {
	opened, mapped := map[identity]bool{}, map[uint64]bool{}
	for _, p := range t.descendants() {
		directory := t.root + "/" + strconv.Itoa(p.pid)
		entries, err := os.ReadDir(directory + "/fd")
		if err != nil && !os.IsNotExist(err) {
			return nil, false
		}
		for _, entry := range entries {
			var seen syscall.Stat_t
			if syscall.Stat(directory+"/fd/"+entry.Name(), &seen) == nil {
				opened[identity{device: uint64(seen.Dev), inode: seen.Ino}] = true
			}
		}
		maps, err := os.Open(directory + "/maps")
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, false
		}
		for lines := bufio.NewScanner(maps); lines.Scan(); { // addresses, rights, offset, device, inode, path
			if fields := bytes.Fields(lines.Bytes()); len(fields) > 4 {
				inode, _ := strconv.ParseUint(string(fields[4]), 10, 64)
				mapped[inode] = true
			}
		}
		_ = maps.Close()
	}
	return func(i identity) bool { return opened[i.only()] || mapped[i.inode] }, true
}
