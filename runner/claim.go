package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

const (
	copyBytes  = 256 << 10 // of a file at a time
	namesakes  = 99        // of one name: NAME, NAME.2, ...
	keptMode   = 0o600
	unfinished = ".toe-" // begins the names of files that are being written
)

// source is a file on its way out of the pod.
type source struct {
	name string // relative to {output}
	open func() (io.ReadCloser, error)
}

// place is an open directory on a claim. What is written into it cannot land elsewhere, whatever is renamed meanwhile.
type place struct{ descriptor int }

// openPlace opens a directory below a mounted claim and makes what is missing. The volume is shared with others, who may
// have put links into the way: each step opens one name relative to an open directory and follows none.
func openPlace(mount string, steps []string) (place, error) {
	if !mounted("/proc", mount) {
		return place{}, errors.New(mount + " is no mounted claim") // files would be written into the container and be lost
	}
	root, err := syscall.Open(mount, syscall.O_RDONLY|syscall.O_DIRECTORY|openNoFollow, 0)
	if err != nil {
		return place{}, fmt.Errorf("%s: %w", mount, err)
	}
	return place{root}.below(steps)
}

// below is a directory further down. The place itself is closed.
func (p place) below(steps []string) (place, error) {
	for i, step := range steps {
		err := syscall.Mkdirat(p.descriptor, step, outputMode)
		made := err == nil
		if err == syscall.EEXIST {
			err = nil
		}
		next := -1
		if err == nil {
			next, err = syscall.Openat(p.descriptor, step, syscall.O_RDONLY|syscall.O_DIRECTORY|openNoFollow, 0)
		}
		if made && err == nil {
			_ = syscall.Fsync(p.descriptor) // the directory shall survive what its files survive
		}
		p.close()
		if err != nil {
			return place{}, fmt.Errorf("%s: %w", strings.Join(steps[:i+1], "/"), err)
		}
		p = place{next}
	}
	return p, nil
}

func (p place) close() { _ = syscall.Close(p.descriptor) }

// again is the same directory once more.
func (p place) again() (place, error) {
	copied, err := syscall.Openat(p.descriptor, ".", syscall.O_RDONLY|syscall.O_DIRECTORY|openNoFollow, 0)
	return place{copied}, err
}

// keep copies a file into the place, whole or not at all: under a name of its own first, on the disk, then under its
// name. A name that is taken is never written over; the file becomes NAME.2, NAME.3. It returns what is kept, under
// the name that it has. between is asked before each piece and ends the copying with its error.
func (p place) keep(file source, between func() error) (described, error) {
	directory, name := filepath.Split(file.name)
	here, err := p.again()
	if err != nil {
		return described{}, err
	}
	if directory != "" {
		if here, err = here.below(strings.Split(strings.TrimSuffix(directory, "/"), "/")); err != nil {
			return described{}, err
		}
	}
	defer here.close()

	content, err := file.open()
	if err != nil {
		return described{}, err
	}
	defer content.Close()
	temporary := unfinished + rand.Text()
	descriptor, err := syscall.Openat(here.descriptor, temporary,
		syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL|openNoFollow, keptMode)
	if err != nil {
		return described{}, err
	}
	target := os.NewFile(uintptr(descriptor), file.name)
	defer target.Close()
	defer func() { _ = syscall.Unlinkat(here.descriptor, temporary) }() // no longer there where all went well

	size, sum, err := pour(target, content, between)
	if err != nil {
		return described{}, err
	}
	if err := target.Sync(); err != nil { // a full volume may only be told now
		return described{}, bare(err)
	}
	taken, err := here.publish(temporary, name, target)
	if err != nil {
		return described{}, err
	}
	return described{Name: directory + taken, Bytes: size, SHA256: sum}, nil
}

// pour copies all there is and tells how much that was and its sha256.
func pour(to io.Writer, from io.Reader, between func() error) (int64, string, error) {
	digest, buffer := sha256.New(), make([]byte, copyBytes)
	for size := int64(0); ; {
		if err := between(); err != nil {
			return 0, "", err
		}
		n, err := from.Read(buffer)
		digest.Write(buffer[:n])
		if _, err := to.Write(buffer[:n]); err != nil {
			return 0, "", bare(err)
		}
		size += int64(n)
		if err == io.EOF {
			return size, hex.EncodeToString(digest.Sum(nil)), nil
		}
		if err != nil {
			return 0, "", bare(err)
		}
	}
}

// publish gives the finished file its name, or the first of NAME.2, NAME.3 that is free.
func (p place) publish(temporary, name string, target *os.File) (string, error) {
	for i := 1; i <= namesakes; i++ {
		taken := name
		if i > 1 {
			taken = name + "." + strconv.Itoa(i)
		}
		err := linkat(p.descriptor, temporary, taken)
		switch err {
		case nil:
			_ = syscall.Unlinkat(p.descriptor, temporary)
		case syscall.EPERM, syscall.EOPNOTSUPP, syscall.ENOSYS: // no links there: SMB, FUSE
			err = renameat2(p.descriptor, temporary, taken, renameNoReplace)
		}
		switch err {
		case nil:
			_ = syscall.Fsync(p.descriptor) // some file systems have none for directories
			return taken, p.holds(taken, target)
		case syscall.EEXIST:
		default:
			return "", err
		}
	}
	return "", fmt.Errorf("there are %d files of that name already", namesakes)
}

// holds makes sure that it is the file just written that has the name: others may write into the directory.
func (p place) holds(name string, target *os.File) error {
	var found, written syscall.Stat_t
	handle, err := syscall.Openat(p.descriptor, name, openPath|openNoFollow, 0)
	if err == nil {
		err = syscall.Fstat(handle, &found)
		_ = syscall.Close(handle)
	}
	if err == nil {
		err = syscall.Fstat(int(target.Fd()), &written)
	}
	if err != nil {
		return err
	}
	if found.Dev != written.Dev || found.Ino != written.Ino {
		return errors.New("was exchanged by somebody else on the volume")
	}
	return nil
}

// mounted tells whether something is mounted exactly there.
func mounted(proc, path string) bool {
	table, err := os.ReadFile(proc + "/self/mountinfo")
	if err != nil {
		return false
	}
	escaped := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace(filepath.Clean(path))
	for _, line := range bytes.Split(table, []byte{'\n'}) {
		if fields := bytes.Fields(line); len(fields) > 4 && string(fields[4]) == escaped {
			return true
		}
	}
	return false
}

// bare leaves out the path: the file has a name that people know.
func bare(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// Package syscall lacks these two.

const renameNoReplace = 1

// The number of renameat2; newer architectures have the one that is not listed.
var sysRenameat2 = map[string]uintptr{"amd64": 316, "s390x": 347, "ppc64le": 357, "ppc64": 357}

func renameat2(directory int, from, to string, flags uintptr) error {
	number, odd := sysRenameat2[runtime.GOARCH]
	if !odd {
		number = 276
	}
	return twoNames(number, directory, from, to, flags)
}

func linkat(directory int, from, to string) error {
	return twoNames(syscall.SYS_LINKAT, directory, from, to, 0)
}

// twoNames is a call that takes two names in the same directory.
func twoNames(number uintptr, directory int, from, to string, flags uintptr) error {
	old, err := syscall.BytePtrFromString(from)
	if err != nil {
		return err
	}
	now, err := syscall.BytePtrFromString(to)
	if err != nil {
		return err
	}
	_, _, errno := syscall.Syscall6(number, uintptr(directory), uintptr(unsafe.Pointer(old)),
		uintptr(directory), uintptr(unsafe.Pointer(now)), flags, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
