package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func nothing() error { return nil }

func text(name, content string) source {
	return source{name, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}
}

// placeAt is a place that is no claim: any directory.
func placeAt(t *testing.T, directory string) place {
	t.Helper()
	root, err := syscall.Open(directory, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := place{root}
	t.Cleanup(p.close)
	return p
}

// small mounts a file system of so many bytes; the test is skipped where that is forbidden.
func small(t *testing.T, options string) string {
	t.Helper()
	directory := t.TempDir()
	if err := syscall.Mount("toe-test", directory, "tmpfs", 0, options); err != nil {
		t.Skip("needs the right to mount: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(directory, syscall.MNT_DETACH) })
	return directory
}

// tree lists what is below a directory, with modes.
func tree(t *testing.T, directory string) []string {
	t.Helper()
	var found []string
	err := filepath.Walk(directory, func(path string, info os.FileInfo, err error) error {
		if err == nil && path != directory {
			found = append(found, info.Mode().String()+" "+strings.TrimPrefix(path, directory+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAFileIsKeptPrivatelyAndTold(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	directory := t.TempDir()
	p, err := placeAt(t, directory).again()
	if err == nil {
		p, err = p.below([]string{"toe", "run-1"})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	kept, err := p.keep(text("deep/er/a.txt", "hello"), nothing)
	if err != nil || kept != (described{"deep/er/a.txt", 5, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}) {
		t.Fatal(kept, err)
	}
	want := []string{"drwx------ toe", "drwx------ toe/run-1", "drwx------ toe/run-1/deep", "drwx------ toe/run-1/deep/er",
		"-rw------- toe/run-1/deep/er/a.txt"}
	if got := tree(t, directory); !slices.Equal(got, want) {
		t.Fatalf("%q", got)
	}
}

func TestNothingThatIsThereIsWrittenOver(t *testing.T) {
	directory, outside := t.TempDir(), t.TempDir()
	p := placeAt(t, directory)
	write(t, outside+"/victim", "victim")
	_ = os.Symlink(outside+"/victim", directory+"/a")
	_ = os.Symlink(outside+"/new", directory+"/a.2")
	for i, want := range []string{"a.3", "a.4"} {
		kept, err := p.keep(text("a", strings.Repeat("x", i)), nothing)
		if err != nil || kept.Name != want {
			t.Fatal(kept, err)
		}
	}
	if content, _ := os.ReadFile(outside + "/victim"); string(content) != "victim" || len(tree(t, outside)) != 1 {
		t.Fatalf("%q %q", content, tree(t, outside))
	}
	for range namesakes - 4 {
		if _, err := p.keep(text("a", ""), nothing); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.keep(text("a", ""), nothing); err == nil || !strings.Contains(err.Error(), "99 files of that name") {
		t.Fatal(err)
	}
	if len(tree(t, directory)) != namesakes {
		t.Fatal("something unfinished stayed")
	}
}

func TestNoLinkOnTheVolumeLeadsOut(t *testing.T) {
	outside := t.TempDir()
	for _, steps := range [][]string{{"link"}, {"link", "run-1"}, {"good", "link"}, {"file", "run-1"}} {
		directory := t.TempDir()
		_ = os.Mkdir(directory+"/good", 0o700)
		_ = os.Symlink(outside, directory+"/link")
		_ = os.Symlink(outside, directory+"/good/link")
		write(t, directory+"/file", "")
		p, err := placeAt(t, directory).again()
		if err == nil {
			p, err = p.below(steps)
		}
		if !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.ELOOP) {
			t.Error(steps, err)
		}
		// The same for the directories that the tool made.
		if _, err := placeAt(t, directory).keep(text(strings.Join(steps, "/")+"/a", "a"), nothing); err == nil {
			t.Error(steps, "kept")
		}
	}
	if found := tree(t, outside); len(found) > 0 {
		t.Fatalf("%q", found)
	}
}

// Somebody else on the volume exchanges the directories for links while files are kept. They may be lost to where he moves
// them, and that is an error or not; nothing is ever written outside of the volume.
func TestNobodyCanTurnADirectoryIntoALinkMeanwhile(t *testing.T) {
	directory, outside := t.TempDir(), t.TempDir()
	done, attacker := make(chan bool), sync.WaitGroup{}
	attacker.Add(1)
	go func() {
		defer attacker.Done()
		for {
			select {
			case <-done:
				return
			default:
			}
			_ = os.Rename(directory+"/d", directory+"/moved")
			_ = os.Symlink(outside, directory+"/d")
			_ = os.Remove(directory + "/d")
			_ = os.Rename(directory+"/moved", directory+"/d")
		}
	}()
	p, kept := placeAt(t, directory), 0
	for range 2000 {
		if _, err := p.keep(text("d/e/a", "a"), nothing); err == nil {
			kept++
		}
		_ = os.RemoveAll(directory + "/d/e")
	}
	close(done)
	attacker.Wait()
	if found := tree(t, outside); len(found) > 0 {
		t.Fatalf("%q", found)
	}
	if kept == 0 {
		t.Fatal("the attacker was always faster: nothing was tried")
	}
}

func TestAHalfFileNeverShows(t *testing.T) {
	directory := t.TempDir()
	p := placeAt(t, directory)
	broken := source{"a", func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("half"), brokenReader{})), nil
	}}
	if _, err := p.keep(broken, nothing); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	late := errors.New("too late")
	if _, err := p.keep(text("a", "a"), func() error { return late }); err != late {
		t.Fatal(err)
	}
	missing := source{"a", func() (io.ReadCloser, error) { return nil, syscall.ENOENT }}
	if _, err := p.keep(missing, nothing); err != syscall.ENOENT {
		t.Fatal(err)
	}
	if found := tree(t, directory); len(found) > 0 {
		t.Fatalf("%q", found)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) {
	return 0, &os.PathError{Op: "read", Path: "/secret/place", Err: syscall.EIO}
}

func TestAFullVolumeIsToldAndLeftClean(t *testing.T) {
	directory := small(t, "size=1m")
	p, err := openPlace(directory, []string{"run-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if _, err := p.keep(text("fits", "x"), nothing); err != nil {
		t.Fatal(err)
	}
	if _, err := p.keep(text("large", strings.Repeat("x", 2<<20)), nothing); err != syscall.ENOSPC {
		t.Fatal(err)
	}
	if found := tree(t, directory+"/run-1"); !slices.Equal(found, []string{"-rw------- fits"}) {
		t.Fatalf("%q", found)
	}
}

func TestAVolumeThatCannotBeWrittenIsToldBefore(t *testing.T) {
	directory := small(t, "")
	if err := syscall.Mount("", directory, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skip(err)
	}
	if _, err := openPlace(directory, []string{"run-1"}); !errors.Is(err, syscall.EROFS) {
		t.Fatal(err)
	}
}

func TestWhatIsNotMountedIsNoClaim(t *testing.T) {
	if _, err := openPlace(t.TempDir(), []string{"a"}); err == nil || !strings.Contains(err.Error(), "no mounted claim") {
		t.Fatal(err)
	}
	proc := t.TempDir()
	write(t, proc+"/self/mountinfo", `25 1 0:22 / /data\040of\134us rw - tmpfs x rw`+"\n26 1 0:23 / /data/deeper rw - tmpfs x rw\n")
	for path, is := range map[string]bool{`/data of\us`: true, `/data of\us/`: true, "/data": false, "/data/deeper": true, "/": false} {
		if mounted(proc, path) != is {
			t.Error(path)
		}
	}
}

func TestAVolumeWithoutLinksIsGoodEnough(t *testing.T) {
	directory := t.TempDir()
	p := placeAt(t, directory)
	write(t, directory+"/a", "a")
	write(t, directory+"/b", "b")
	if err := renameat2(p.descriptor, "a", "b", renameNoReplace); err != syscall.EEXIST {
		t.Fatal(err)
	}
	if err := renameat2(p.descriptor, "a", "c", renameNoReplace); err != nil {
		t.Fatal(err)
	}
	if found := tree(t, directory); !slices.Equal(found, []string{"-rw------- b", "-rw------- c"}) {
		t.Fatalf("%q", found)
	}
}

func TestPouringKeepsEveryByte(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), copyBytes/5)
	var copied bytes.Buffer
	size, _, err := pour(&copied, bytes.NewReader(content), nothing)
	if err != nil || size != int64(len(content)) || !bytes.Equal(copied.Bytes(), content) {
		t.Fatal(size, err)
	}
}
