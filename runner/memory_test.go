package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// Whatever a tool writes, toe-run holds 32 MiB at most: its memory counts for the target's pod.
func TestMemoryStaysFlatWhateverAToolWrites(t *testing.T) {
	t.Parallel()
	size := "1G"
	if testing.Short() {
		size = "64M"
	}
	for name, scene := range map[string]scene{
		"a file":          {command: shell("truncate -s " + size + " {output}/big")},
		"a file, as zstd": {command: shell("truncate -s " + size + " {output}/big"), env: map[string]string{"TOE_COMPRESS": "zstd"}},
		"what it prints":  {command: shell("yes 'a line that nobody will ever read' | head -c 200M")},
		"many files":      {command: shell("cd {output}; for i in $(seq 500); do echo $i >$i; done"), env: map[string]string{"TOE_ROLLING": "1s"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFake(t)
			c.discard, c.chunkBytes = true, 4<<20
			env := c.variables("TOE_MODE", "collector", "TOE_DURATION", "5m", "TOE_NOT_AFTER",
				time.Now().Add(10*time.Minute).UTC().Format(time.RFC3339))
			for variable, value := range scene.env {
				env[variable] = value
			}
			scene.env = env
			var held int
			scene.during = func(process *os.Process, _ string) { held = highest(process.Pid) }
			r := play(t, scene)
			r.must(t, 0, completed)
			t.Logf("%d KiB, %s for %d bytes", held, r.took.Round(time.Millisecond), r.summary.Bytes)
			if held == 0 || held > 32<<10 {
				t.Errorf("%d KiB were held", held)
			}
		})
	}
}

// highest is the most memory that a process ever had, in KiB. It waits for the process to end.
func highest(pid int) int {
	most := 0
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		found := highWater.FindSubmatch(status)
		if err != nil || found == nil { // gone, or a zombie without memory
			return most
		}
		most, _ = strconv.Atoi(string(found[1]))
		time.Sleep(20 * time.Millisecond)
	}
}
