package main

import (
	"math"
	"os"
	"time"
)

const messageMost = 300 // bytes of the sentence in the summary

// summary is the termination message: all that the operator learns from inside.
type summary struct {
	V          int         `json:"v"`
	Exit       int         `json:"exit"`
	Reason     string      `json:"reason"`
	Message    string      `json:"message,omitempty"`
	UID        int         `json:"uid"`
	GID        int         `json:"gid"`
	CapEff     string      `json:"capEff"`
	NoNewPrivs bool        `json:"noNewPrivs"`
	Seccomp    int         `json:"seccomp"`
	Seconds    float64     `json:"seconds"`
	Stopped    bool        `json:"stopped"`
	Files      []described `json:"files,omitempty"`
	Bytes      int64       `json:"bytes"`
	More       int         `json:"more,omitempty"`
}

func (s *summary) took(d time.Duration) { s.Seconds = math.Round(d.Seconds()*100) / 100 }

func (s *summary) list(files []described) {
	s.Files = append(s.Files, files...)
	for _, file := range files {
		s.Bytes += file.Bytes
	}
}

// encode is one line of JSON of at most so many bytes. What is given up, in this order: files from the end (More counts
// them), the message, everything but v, exit and reason.
func (s summary) encode(most int) []byte {
	s.Message = oneLine(s.Message, messageMost)
	for {
		text := compact(s)
		if len(text) <= most {
			return text
		}
		switch {
		case len(s.Files) > 0:
			s.Files = s.Files[:len(s.Files)-1]
			s.More++
		case s.Message != "":
			s.Message = ""
		default:
			return compact(struct {
				V      int    `json:"v"`
				Exit   int    `json:"exit"`
				Reason string `json:"reason"`
			}{s.V, s.Exit, s.Reason})
		}
	}
}

// leave writes the summary where the kubelet finds it. Nothing can be done about a failure: the exit code remains.
func (s summary) leave(path string, most int) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return
	}
	defer file.Close()
	_, _ = file.Write(s.encode(most))
}
