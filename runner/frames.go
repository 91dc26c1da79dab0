package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
)

// dataBytes of a file make one line of 4096 base64 characters.
const dataBytes = 3072

// frames prints the files so that they can be told from the lines of the tool and checked:
//
//	#toe-begin {"v":1,"files":1,"bytes":5}
//	#toe-file {"name":"a.txt","bytes":5,"sha256":"..."}
//	#toe-data aGVsbG8=
//	#toe-end {"name":"a.txt"}
//	#toe-done {"files":1}
func frames(to io.Writer, files []artifact) error {
	w := bufio.NewWriterSize(to, 64<<10)
	var total int64
	for _, file := range files {
		total += file.size
	}
	frame(w, "begin", struct {
		V     int   `json:"v"`
		Files int   `json:"files"`
		Bytes int64 `json:"bytes"`
	}{1, len(files), total})
	for _, file := range files {
		frame(w, "file", describe(file))
		for rest := file.content; len(rest) > 0; {
			part := rest[:min(dataBytes, len(rest))]
			rest = rest[len(part):]
			_, _ = w.WriteString(framePrefix + "data " + base64.StdEncoding.EncodeToString(part) + "\n")
		}
		frame(w, "end", struct {
			Name string `json:"name"`
		}{file.name})
	}
	frame(w, "done", struct {
		Files int `json:"files"`
	}{len(files)})
	return w.Flush() // keeps the first error of all writes
}

func frame(w *bufio.Writer, kind string, content any) {
	_, _ = w.WriteString(framePrefix + kind + " " + string(compact(content)) + "\n")
}

// described is a file as the frames and the summary tell it.
type described struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func describe(file artifact) described {
	sum := sha256.Sum256(file.content)
	return described{Name: file.name, Bytes: file.size, SHA256: hex.EncodeToString(sum[:])}
}

// compact is JSON in one line, with < > & as they are.
func compact(content any) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(content); err != nil {
		panic("toe-run: a type that is no JSON: " + err.Error()) // only the types of this program come here
	}
	return bytes.TrimSuffix(text.Bytes(), []byte{'\n'})
}
