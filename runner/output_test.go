package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// say pumps a stream through as the tool's stdout and returns what is shown and what is kept.
func say(t *testing.T, text string) (out, err string, kept *capture) {
	t.Helper()
	var shown, errors bytes.Buffer
	c := newConsole(&shown, &errors)
	kept = &capture{most: frameMost}
	read, write, failure := os.Pipe()
	if failure != nil {
		t.Fatal(failure)
	}
	go func() { _, _ = io.WriteString(write, text); _ = write.Close() }()
	pump(read, kept, c, c.stdout)
	c.flush()
	return shown.String(), errors.String(), kept
}

func TestLinesAreShownAsTheyAre(t *testing.T) {
	for said, want := range map[string]string{
		"": "", "a\n": "a\n", "a\n\nb": "a\n\nb\n", "\x00\xff\r\n": "\x00\xff\r\n", " #toe-x\n": " #toe-x\n",
	} {
		if out, _, kept := say(t, said); out != want || string(kept.content) != said {
			t.Errorf("%q: shown %q, kept %q", said, out, kept.content)
		}
	}
}

func TestNoLineOfTheToolCanBeTakenForAFrame(t *testing.T) {
	out, _, _ := say(t, "#toe-begin {}\n#toe-text x\n"+strings.Repeat("a", longestLine)+"#toe-done {}\n#toe-end")
	for _, line := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
		if strings.HasPrefix(line, framePrefix) && !strings.HasPrefix(line, "#toe-text #toe-") {
			t.Errorf("%q", line)
		}
		if len(line) > longestLine+len("#toe-text ") {
			t.Errorf("a line of %d bytes would be split by the runtime", len(line))
		}
	}
	contains(t, out, "#toe-text #toe-text x\n")
}

func TestALongLineIsShownInPiecesAndKeptWhole(t *testing.T) {
	for _, length := range []int{longestLine - 1, longestLine, longestLine + 1, 3 * longestLine} {
		said := strings.Repeat("x", length) + "\nnext\n"
		out, _, kept := say(t, said)
		if strings.ReplaceAll(out, "\n", "") != strings.ReplaceAll(said, "\n", "") || strings.Contains(out, "\n\n") ||
			string(kept.content) != said || kept.last() != "next" {
			t.Errorf("%d: %.50q", length, out)
		}
	}
}

func TestTooMuchIsNotShownButCounted(t *testing.T) {
	said := strings.Repeat(strings.Repeat("y", 99)+"\n", 60_000)
	out, err, kept := say(t, said)
	if len(out) > forwardMost || len(out) < forwardMost/2 {
		t.Errorf("%d bytes shown", len(out))
	}
	if err != "toe-run: the tool printed more than 2097152 bytes; the rest is not shown\n" {
		t.Errorf("%q", err)
	}
	if kept.size() != int64(len(said)) || kept.content != nil {
		t.Errorf("%d bytes counted, %d kept", kept.size(), len(kept.content))
	}
}

// blocked is a log that nobody reads.
type blocked struct{ release chan bool }

func (b blocked) Write(p []byte) (int, error) { <-b.release; return len(p), nil }

func TestALogThatIsNotReadNeverHoldsUpTheTool(t *testing.T) {
	log := blocked{make(chan bool)}
	c := newConsole(log, log)
	read, write, _ := os.Pipe()
	done := make(chan bool)
	go func() { pump(read, &capture{most: 1}, c, log); done <- true }()
	_, _ = write.Write(bytes.Repeat([]byte("line\n"), 500_000))
	_ = write.Close()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the tool would be waiting")
	}
	close(log.release)
	c.flush()
}

func TestTheLargestLogStaysBelowTheRotation(t *testing.T) {
	// The worst files: as many as may be, the longest names in characters that JSON doubles, all bytes used.
	var files []artifact
	content := make([]byte, frameMost/filesMost)
	for range filesMost {
		files = append(files, artifact{name: strings.Repeat(`"`, nameMost), size: int64(len(content)), content: content})
	}
	var log bytes.Buffer
	if err := frames(&log, files); err != nil {
		t.Fatal(err)
	}
	total := log.Len() + bytes.Count(log.Bytes(), []byte{'\n'})*lineOverhead + forwardMost + 10*longestLine
	if total >= 10<<20 {
		t.Fatalf("%d bytes", total)
	}
	t.Logf("at most %d of %d bytes", total, 10<<20)
}

func TestOneLineIsShortValidAndHarmless(t *testing.T) {
	for text, want := range map[string]string{
		"a\nb\tc":         "a b c",
		"\x1b[31mred\x07": "[31mred",
		"a\u202eb\u2028c": "abc",
		"\xff":            "?",
		"  x  ":           "x",
	} {
		if got := oneLine(text, 100); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	if got := oneLine("ääää", 6); got != "ä..." {
		t.Errorf("%q", got)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		raw := make([]byte, random.IntN(80))
		for i := range raw {
			raw[i] = byte(random.UintN(256))
		}
		most := 3 + random.IntN(60)
		got := oneLine(string(raw), most)
		if len(got) > most || !utf8.ValidString(got) || strings.ContainsFunc(got, hidden) {
			t.Fatalf("%q in %d: %q", raw, most, got)
		}
	}
}

func TestTheStreamsAreNeverMixed(t *testing.T) {
	r := play(t, scene{command: shell(`i=0; while [ $i -lt 300 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done`)})
	r.must(t, 0, completed)
	got := unframe(t, r.out)
	if strings.Contains(string(got["stdout.txt"]), "err") || strings.Contains(string(got["stderr.txt"]), "out") ||
		bytes.Count(got["stdout.txt"], []byte{'\n'}) != 300 || bytes.Count(got["stderr.txt"], []byte{'\n'}) != 300 {
		t.Fatalf("%q", got)
	}
	if strings.Contains(r.err, "out") || strings.Contains(strings.Split(r.out, "#toe-")[0], "err") {
		t.Fatal("mixed on the way out")
	}
}
