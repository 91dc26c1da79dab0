package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"unicode/utf8"
)

const (
	frameMost    = 4 << 20 // bytes of all files that leave the pod through the log
	filesMost    = 256     // files, for the same reason: each costs lines as well
	nameMost     = 512     // bytes of a file's relative name
	depthMost    = 32      // directories below each other
	entriesMost  = 4096    // directory entries looked at
	outputMode   = 0o700   // other users of the container have no business there
	openPath     = 0x200000
	openNoFollow = syscall.O_NOFOLLOW | syscall.O_CLOEXEC
)

// artifact is one file of the tool.
type artifact struct {
	name    string
	size    int64
	content []byte // of that size, unless it is too large
	spool   *os.File
}

// collection is what was found under {output}: the files, and how many things there are that toe-run does not touch.
type collection struct {
	files   []artifact
	total   int64
	left    int    // links, devices, names and files that cannot be taken
	lost    int    // of these, what may have been a regular file
	because string // why the first of them was left
}

func (c *collection) leave(why string) {
	if c.left++; c.because == "" {
		c.because = why
	}
}

func (c *collection) lose(why string) {
	c.leave(why)
	c.lost++
}

// makeOutput makes the directory that {output} stands for, or takes one that is already there.
func makeOutput(directory string) error {
	if err := os.MkdirAll(filepath.Dir(directory), 0o755); err != nil {
		return refuse(badEnvironment, "TOE_OUTPUT: "+err.Error())
	}
	if err := os.Mkdir(directory, outputMode); err != nil && !os.IsExist(err) {
		return refuse(badEnvironment, "TOE_OUTPUT: "+err.Error())
	}
	if info, err := os.Lstat(directory); err != nil || !info.IsDir() {
		return refuse(badEnvironment, "TOE_OUTPUT: "+directory+" is not a directory")
	}
	return nil
}

// collect finds all regular files below the directory, sorted by name. With read it also takes their content, as long as
// all of them together stay within most bytes.
//
// Every step opens one name relative to an open directory and follows no link, so nothing outside can be reached
// whatever is renamed meanwhile.
func collect(directory string, most int64, read bool) collection {
	var found collection
	root, err := openDirectory(directory)
	if err != nil {
		found.lose("the output directory: " + err.Error())
		return found
	}
	w := walk{most: most, read: read, found: &found}
	w.directory(root, "", 0)
	sort.Slice(found.files, func(i, j int) bool { return found.files[i].name < found.files[j].name })
	return found
}

type walk struct {
	most    int64
	read    bool
	entries int
	found   *collection
}

// directory looks through an open directory and closes it.
func (w *walk) directory(descriptor int, prefix string, depth int) {
	handle := os.NewFile(uintptr(descriptor), prefix)
	defer handle.Close()
	for {
		names, err := handle.Readdirnames(128)
		for _, name := range names {
			if w.entries++; w.entries > entriesMost {
				w.found.lose(fmt.Sprintf("there are more than %d entries", entriesMost))
				return
			}
			w.entry(descriptor, name, prefix+name, depth)
		}
		if err != nil {
			return
		}
	}
}

func (w *walk) entry(parent int, name, path string, depth int) {
	// First without opening it: to open a device or a pipe is an act already.
	handle, err := syscall.Openat(parent, name, openPath|openNoFollow, 0)
	if err != nil {
		w.found.lose(shortName(path) + ": " + err.Error())
		return
	}
	var seen syscall.Stat_t
	err = syscall.Fstat(handle, &seen)
	_ = syscall.Close(handle)
	if err != nil {
		w.found.lose(shortName(path) + ": " + err.Error())
		return
	}
	if why := unfitName(path); why != "" {
		w.found.lose(why)
		return
	}
	switch seen.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		if depth+1 >= depthMost {
			w.found.lose(fmt.Sprintf("%s: more than %d directories deep", path, depthMost))
			return
		}
		below, err := syscall.Openat(parent, name, syscall.O_RDONLY|syscall.O_DIRECTORY|openNoFollow, 0)
		if err != nil {
			w.found.lose(path + ": " + err.Error())
			return
		}
		w.directory(below, path+"/", depth+1)
	case syscall.S_IFREG:
		w.file(parent, name, path, seen)
	case syscall.S_IFLNK:
		w.found.leave(path + " is a link")
	default:
		w.found.leave(path + " is no regular file")
	}
}

func (w *walk) file(parent int, name, path string, seen syscall.Stat_t) {
	if !w.read {
		w.add(artifact{name: path, size: seen.Size})
		return
	}
	descriptor, err := syscall.Openat(parent, name, syscall.O_RDONLY|syscall.O_NONBLOCK|openNoFollow, 0)
	if err != nil {
		w.found.lose(path + ": " + err.Error())
		return
	}
	handle := os.NewFile(uintptr(descriptor), path)
	defer handle.Close()
	var opened syscall.Stat_t
	if err := syscall.Fstat(descriptor, &opened); err != nil || opened.Dev != seen.Dev || opened.Ino != seen.Ino {
		w.found.lose(path + " was exchanged while it was being read")
		return
	}
	room := w.most - w.found.total
	if opened.Size > room {
		w.add(artifact{name: path, size: opened.Size})
		return
	}
	content, err := io.ReadAll(io.LimitReader(handle, room+1))
	if err != nil {
		w.found.lose(path + ": " + err.Error())
		return
	}
	w.add(artifact{name: path, size: int64(len(content)), content: content})
}

func (w *walk) add(file artifact) {
	w.found.files = append(w.found.files, file)
	w.found.total += file.size
}

// openBelow opens a regular file below an open directory, step by step and through no link.
func openBelow(root int, path string) (*os.File, error) {
	parent := root
	steps := strings.Split(path, "/")
	for i, step := range steps {
		flags := syscall.O_RDONLY | syscall.O_NONBLOCK | openNoFollow
		if i < len(steps)-1 {
			flags |= syscall.O_DIRECTORY
		}
		next, err := syscall.Openat(parent, step, flags, 0)
		if parent != root {
			_ = syscall.Close(parent)
		}
		if err != nil {
			return nil, err
		}
		parent = next
	}
	file := os.NewFile(uintptr(parent), path)
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = file.Close()
		return nil, errors.New("it is no regular file any more")
	}
	return file, nil
}

func openDirectory(path string) (int, error) {
	return syscall.Open(path, syscall.O_RDONLY|syscall.O_DIRECTORY|openNoFollow, 0)
}

// add puts a file in that the tool did not write itself, unless it did: its own file of that name is the one.
func (c *collection) add(file artifact) {
	if file.size == 0 {
		return
	}
	for _, other := range c.files {
		if other.name == file.name {
			return
		}
	}
	c.files = append(c.files, file)
	c.total += file.size
	sort.Slice(c.files, func(i, j int) bool { return c.files[i].name < c.files[j].name })
}

// tooLarge tells why the files cannot leave the pod, or nothing.
func (c *collection) tooLarge(most bounds) string {
	if len(c.files) > most.files {
		return fmt.Sprintf("the tool wrote %d files, at most %d leave the pod%s", len(c.files), most.files, most.how)
	}
	if c.total > most.bytes {
		return fmt.Sprintf("the tool wrote %d bytes in %d files, at most %d leave the pod%s",
			c.total, len(c.files), most.bytes, most.how)
	}
	return ""
}

// bounds are how much may leave the pod, and which way.
type bounds struct {
	bytes int64
	files int
	how   string
}

// shortName is a name that has not been looked at yet, for a message.
func shortName(path string) string { return oneLine(path, 100) }

// unfitName tells why a name cannot be written into a line that people and programs read.
func unfitName(path string) string {
	if len(path) > nameMost {
		return fmt.Sprintf("a name is longer than %d bytes", nameMost)
	}
	if !utf8.ValidString(path) {
		return "a name is not UTF-8"
	}
	for _, r := range path {
		if hidden(r) {
			return "a name has control characters in it"
		}
	}
	return ""
}
