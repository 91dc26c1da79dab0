package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func names(c collection) string {
	var all []string
	for _, file := range c.files {
		all = append(all, file.name)
	}
	return strings.Join(all, " ")
}

func TestFilesAreFoundInAllDirectoriesAndSorted(t *testing.T) {
	directory := t.TempDir()
	write(t, directory+"/b", "bb")
	write(t, directory+"/a/z", "z")
	write(t, directory+"/a/a/y", "")
	found := collect(directory, 100, true)
	if names(found) != "a/a/y a/z b" || found.total != 3 || found.left != 0 || string(found.files[2].content) != "bb" {
		t.Fatalf("%+v", found)
	}
}

func TestNothingButRegularFilesIsTaken(t *testing.T) {
	directory, outside := t.TempDir(), t.TempDir()
	write(t, outside+"/secret", "secret")
	write(t, directory+"/good", "good")
	for _, err := range []error{
		os.Symlink(outside+"/secret", directory+"/link"),
		os.Symlink(outside, directory+"/directory"),
		syscall.Mkfifo(directory+"/pipe", 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	found := collect(directory, 100, true)
	if names(found) != "good" || found.left != 3 {
		t.Fatalf("%+v", found)
	}
	if err := os.Symlink(directory, outside+"/out"); err != nil {
		t.Fatal(err)
	}
	if found := collect(outside+"/out", 100, true); len(found.files) != 0 || found.left != 1 {
		t.Fatalf("the output directory itself may be a link: %+v", found)
	}
}

func TestNamesThatWouldMisleadAreLeftAndReported(t *testing.T) {
	directory := t.TempDir()
	for _, name := range []string{"new\nline", "\x1b[2J", "\xff", "a\u202egpj.exe", "good"} {
		write(t, directory+"/"+name, "x")
	}
	long := directory + "/" + strings.Repeat("d", 200) + "/" + strings.Repeat("e", 200) + "/" + strings.Repeat("f", 200)
	write(t, long, "x")
	found := collect(directory, 100, true)
	if names(found) != "good" || found.left != 5 || strings.ContainsFunc(found.because, hidden) {
		t.Fatalf("%+v", found)
	}
}

func TestDepthAndEntriesAreBounded(t *testing.T) {
	deep := t.TempDir()
	write(t, deep+strings.Repeat("/d", depthMost+5)+"/x", "x")
	if found := collect(deep, 100, true); len(found.files) != 0 || found.left != 1 {
		t.Fatalf("%+v", found)
	}
	wide := t.TempDir()
	for i := range entriesMost + 10 {
		write(t, fmt.Sprintf("%s/%d", wide, i), "")
	}
	found := collect(wide, 100, true)
	if len(found.files) != entriesMost || found.left == 0 {
		t.Fatal(len(found.files), found.left)
	}
	contains(t, found.tooLarge(throughLog(100)), "at most 256 leave the pod")
}

func TestTooManyBytesAreCountedNotRead(t *testing.T) {
	directory := t.TempDir()
	write(t, directory+"/a", "0123456789")
	write(t, directory+"/b", "0123456789")
	if found := collect(directory, 20, true); found.tooLarge(throughLog(20)) != "" {
		t.Fatalf("%+v", found)
	}
	found := collect(directory, 19, true)
	if found.total != 20 || found.tooLarge(throughLog(19)) != "the tool wrote 20 bytes in 2 files, at most 19 leave the pod through its log" {
		t.Fatal(found.total, found.tooLarge(throughLog(19)))
	}
}

func TestAFileOfTheToolGoesBeforeWhatItPrinted(t *testing.T) {
	c := collection{}
	c.add(artifact{name: "stderr.txt"})
	c.add(artifact{name: "stdout.txt", size: 1, content: []byte("a")})
	c.add(artifact{name: "stdout.txt", size: 1, content: []byte("b")})
	if names(c) != "stdout.txt" || string(c.files[0].content) != "a" || c.total != 1 {
		t.Fatalf("%+v", c)
	}
}

func TestTheOutputDirectoryIsPrivate(t *testing.T) {
	path := t.TempDir() + "/deep/out"
	if err := makeOutput(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatal(info, err)
	}
	if err := makeOutput(path); err != nil {
		t.Fatal("an existing one is refused:", err)
	}
	write(t, path+"/file", "")
	for _, bad := range []string{path + "/file", "/proc/none/out"} {
		if err := makeOutput(bad); err == nil || !strings.HasPrefix(err.Error(), "BadEnvironment: TOE_OUTPUT") {
			t.Error(bad, err)
		}
	}
}

func throughLog(most int64) bounds {
	return settings{mode: modeLog, limits: limits{artifactBytes: most}}.bounds(nil)
}
