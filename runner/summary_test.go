package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func full(files int) summary {
	s := summary{V: 1, Exit: 0, Reason: completed, Message: "ended by itself", UID: 1001, GID: 1001,
		CapEff: "0000000000000000", NoNewPrivs: true, Seccomp: 2, Stopped: true}
	s.took(10*time.Second + 17*time.Millisecond)
	for i := range files {
		s.Files = append(s.Files, described{fmt.Sprintf("file-%03d", i), int64(i), strings.Repeat("0", 64)})
		s.Bytes += int64(i)
	}
	return s
}

func TestTheSummaryIsThisLine(t *testing.T) {
	want := `{"v":1,"exit":0,"reason":"Completed","message":"ended by itself","uid":1001,"gid":1001,` +
		`"capEff":"0000000000000000","noNewPrivs":true,"seccomp":2,"seconds":10.02,"stopped":true,` +
		`"files":[{"name":"file-000","bytes":0,"sha256":"` + strings.Repeat("0", 64) + `"}],"bytes":0}`
	if got := string(full(1).encode(1024)); got != want {
		t.Fatal(got)
	}
}

func TestTheSummaryGivesUpFilesThenWordsThenAllButTheReason(t *testing.T) {
	var got summary
	text := full(50).encode(1024)
	if err := json.Unmarshal(text, &got); err != nil || len(got.Files) == 0 || len(got.Files)+got.More != 50 ||
		got.Files[0].Name != "file-000" || got.Bytes != 49*50/2 || got.Message == "" {
		t.Fatalf("%s %v", text, err)
	}
	got = summary{}
	if text = full(50).encode(180); json.Unmarshal(text, &got) != nil || got.More != 50 || got.Message != "" || got.UID != 1001 {
		t.Fatalf("%s", text)
	}
	if text := full(50).encode(64); string(text) != `{"v":1,"exit":0,"reason":"Completed"}` {
		t.Fatalf("%s", text)
	}
}

func FuzzTheSummaryIsOneShortLineOfJSON(f *testing.F) {
	f.Add("message", "name", 1024, 3, 0)
	f.Add(strings.Repeat("\x00\"\\", 400), "\u2028\xff", 64, 300, -1)
	f.Add(strings.Repeat("ä", 2000), strings.Repeat("n", 512), 150, 1, 137)
	f.Fuzz(func(t *testing.T, message, name string, most, files, exit int) {
		most = summaryFloor + abs(most)%(summaryCeiling-summaryFloor+1)
		s := full(0)
		s.Message, s.Exit, s.Reason = message, abs(exit)%256, memoryLimitExceeded
		for range abs(files) % 300 {
			s.Files = append(s.Files, described{name, 1, strings.Repeat("f", 64)})
		}
		text := s.encode(most)
		var got summary
		if len(text) > most || bytes.ContainsAny(text, "\n\r\x00") {
			t.Fatalf("%d bytes of %d: %q", len(text), most, text)
		}
		if err := json.Unmarshal(text, &got); err != nil || got.Reason != s.Reason || got.Exit != s.Exit {
			t.Fatalf("%q: %v", text, err)
		}
		if got.CapEff != "" && len(got.Files)+got.More != len(s.Files) {
			t.Fatalf("%d + %d of %d files", len(got.Files), got.More, len(s.Files))
		}
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}

func TestEveryReasonFitsIntoTheSmallestSummary(t *testing.T) {
	for _, reason := range []string{completed, toolFailed, graceExceeded, memoryLimitExceeded, cpuLimitExceeded,
		notAfterPassed, terminated, artifactTooLarge, toolNotFound, toolNotExecutable, targetNotFound, badEnvironment} {
		s := full(3)
		s.Exit, s.Reason = 255, reason
		if text := s.encode(summaryFloor); len(text) > summaryFloor {
			t.Errorf("%s: %d bytes", text, len(text))
		}
	}
}

func TestTheSummaryReplacesWhatWasThere(t *testing.T) {
	path := t.TempDir() + "/log"
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 5000), 0o666); err != nil {
		t.Fatal(err)
	}
	full(0).leave(path, 64)
	if text, _ := os.ReadFile(path); string(text) != `{"v":1,"exit":0,"reason":"Completed"}` {
		t.Fatalf("%q", text)
	}
	full(0).leave("/nonexistent/log", 64) // must not panic
}
