package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// madeUp is a /proc directory with the processes given.
type madeUp struct {
	pid, parent int
	state       string
	started     int64
	cgroup      string
	cpu, rss    int64
}

func table(t *testing.T, self int, processes ...madeUp) processTable {
	t.Helper()
	root := t.TempDir()
	for _, p := range processes {
		directory := filepath.Join(root, fmt.Sprint(p.pid))
		if err := os.Mkdir(directory, 0o755); err != nil {
			t.Fatal(err)
		}
		if p.state == "" {
			p.state = "S"
		}
		// The name is the worst that a process can give itself.
		stat := fmt.Sprintf("%d (a) R 1 1 (x) %s %d 0 0 0 0 0 0 0 0 0 %d 0 0 0 20 0 1 0 %d 0 %d 0\n",
			p.pid, p.state, p.parent, p.cpu, p.started, p.rss)
		for name, content := range map[string]string{"stat": stat, "cgroup": p.cgroup} {
			if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return processTable{root: root, self: self}
}

func TestAStatLineIsReadWhateverTheProcessCallsItself(t *testing.T) {
	p, known := table(t, 1, madeUp{pid: 7, parent: 3, started: 99, cpu: 5, rss: 2}).read(7)
	if !known || p.parent != 3 || p.started != 99 || p.cpuTicks != 5 || p.rssBytes != 2*pageSize || p.state != 'S' {
		t.Fatalf("%+v", p)
	}
	for _, line := range []string{"", "7", "7 (a", "7 a) S", "7 (a) S 1 2", "x (a) " + string(make([]byte, 50))} {
		if _, known := parseStat([]byte(line)); known {
			t.Errorf("%q was read", line)
		}
	}
}

func TestDescendantsAreThoseBelowToeRunThatLive(t *testing.T) {
	found := table(t, 10,
		madeUp{pid: 1}, madeUp{pid: 2, parent: 1}, madeUp{pid: 10, parent: 0}, madeUp{pid: 11, parent: 10},
		madeUp{pid: 12, parent: 11, state: "Z"}, madeUp{pid: 13, parent: 12}, madeUp{pid: 14, parent: 10, state: "D"},
	).descendants()
	pids := map[int]bool{}
	for _, p := range found {
		pids[p.pid] = true
	}
	if len(pids) != 3 || !pids[11] || !pids[13] || !pids[14] {
		t.Fatal(pids)
	}
}

func TestARealProcessTableKnowsThisProcess(t *testing.T) {
	p, known := processTable{root: "/proc", self: os.Getpid()}.read(os.Getpid())
	if !known || p.parent != os.Getppid() || p.rssBytes < 1<<20 {
		t.Fatalf("%+v", p)
	}
}
