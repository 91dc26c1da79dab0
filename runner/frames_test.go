package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// unframe reads a log the way the operator's side does, and fails on anything that is not as promised.
func unframe(t *testing.T, log string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	var begin, done struct {
		V, Files int
		Bytes    int64
	}
	var open *described
	var content []byte
	var total int64
	state := "text"
	for _, line := range strings.Split(log, "\n") {
		kind, rest, isFrame := strings.Cut(strings.TrimPrefix(line, framePrefix), " ")
		if !strings.HasPrefix(line, framePrefix) || kind == "text" {
			if state != "text" && line != "" {
				t.Fatalf("%q among the frames", line)
			}
			continue
		}
		if !isFrame {
			t.Fatalf("%q", line)
		}
		read := func(into any) {
			if err := json.Unmarshal([]byte(rest), into); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		}
		switch {
		case kind == "begin" && state == "text":
			read(&begin)
			state = "between"
		case kind == "file" && state == "between":
			open, content, state = &described{}, nil, "inside"
			read(open)
		case kind == "data" && state == "inside":
			part, err := base64.StdEncoding.DecodeString(rest)
			if err != nil || len(part) == 0 || len(part) > dataBytes || len(line) > longestLine+200 {
				t.Fatalf("%q: %v", line, err)
			}
			content = append(content, part...)
		case kind == "end" && state == "inside":
			var end described
			read(&end)
			sum := sha256.Sum256(content)
			if end.Name != open.Name || int64(len(content)) != open.Bytes || hex.EncodeToString(sum[:]) != open.SHA256 {
				t.Fatalf("%+v does not match its content", open)
			}
			files[open.Name] = content
			total += open.Bytes
			state = "between"
		case kind == "done" && state == "between":
			read(&done)
			state = "done"
		default:
			t.Fatalf("%q in state %s", line, state)
		}
	}
	if state != "done" || begin.V != 1 || begin.Files != len(files) || done.Files != len(files) || begin.Bytes != total {
		t.Fatalf("%s %+v %+v", state, begin, done)
	}
	return files
}

func TestFramesCarryAnyFilesThroughALogOfLines(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var files []artifact
		for range random.IntN(5) {
			content := make([]byte, random.IntN(3*dataBytes))
			for i := range content {
				content[i] = byte(random.UintN(256))
			}
			name := make([]byte, 1+random.IntN(20))
			for i := range name {
				name[i] = byte(' ' + random.IntN(95))
			}
			files = append(files, artifact{name: string(name) + "/é" + string(rune('a'+len(files))),
				size: int64(len(content)), content: content})
		}
		var log bytes.Buffer
		log.WriteString("text\n#toe-text #toe-begin {}\n")
		if err := frames(&log, files); err != nil {
			t.Fatal(err)
		}
		got := unframe(t, log.String())
		for _, file := range files {
			if !bytes.Equal(got[file.name], file.content) {
				t.Fatalf("%q came out different", file.name)
			}
		}
	}
}

func TestTheFrameFormatIsThis(t *testing.T) {
	var log bytes.Buffer
	_ = frames(&log, []artifact{{name: "a<b>.txt", size: 5, content: []byte("hello")}, {name: "empty"}})
	want := `#toe-begin {"v":1,"files":2,"bytes":5}
#toe-file {"name":"a<b>.txt","bytes":5,"sha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}
#toe-data aGVsbG8=
#toe-end {"name":"a<b>.txt"}
#toe-file {"name":"empty","bytes":0,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
#toe-end {"name":"empty"}
#toe-done {"files":2}
`
	if log.String() != want {
		t.Fatal(log.String())
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("nobody reads") }

func TestALogThatCannotBeWrittenIsReported(t *testing.T) {
	if frames(broken{}, nil) == nil {
		t.Fatal("no error")
	}
}
