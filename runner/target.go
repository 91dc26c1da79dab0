package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	targetPatience = 5 * time.Second // a target that just starts may not have its cgroup yet
	targetInterval = 100 * time.Millisecond
)

var anyContainerID = regexp.MustCompile(`[0-9a-f]{64}`)

// findTarget returns the PID, as toe-run sees it, of the main process of the container with this id; false when there
// is none.
//
// With a shared or host PID namespace the id in /proc/PID/cgroup tells whose a process is (cgroup v1: the full path;
// v2 with a namespace of its own: a path such as /../cri-containerd-ID.scope). The main process is the one that started
// first. In the ordinary case toe-run joined the target's PID namespace, whose PID 1 is the target; that is also the
// answer when the runtime hides the id. It is not the answer when PID 1 carries another container's id (the pause
// process, or a target that was restarted meanwhile) or when toe-run has a parent in sight (host PID namespace): better
// no target than a wrong one.
func (t processTable) findTarget(id string) (int, bool) {
	own := map[int]bool{t.self: true}
	for _, p := range t.descendants() {
		own[p.pid] = true
	}
	if id != "" {
		if main, found := t.mainOf(id, own); found {
			return main, true
		}
	}
	if own[1] || t.self == 1 {
		return 0, false
	}
	if me, known := t.read(t.self); !known || me.parent != 0 {
		return 0, false
	}
	if _, alive := t.read(1); !alive {
		return 0, false
	}
	if id != "" && anyContainerID.MatchString(t.cgroup(1)) {
		return 0, false
	}
	return 1, true
}

func (t processTable) mainOf(id string, own map[int]bool) (int, bool) {
	members := map[int]process{}
	for _, pid := range t.pids() {
		if own[pid] || !strings.Contains(t.cgroup(pid), id) {
			continue
		}
		if p, alive := t.read(pid); alive && p.state != 'Z' && p.state != 'X' {
			members[pid] = p
		}
	}
	var main process
	earlier := func(a, b process) bool {
		if a.started != b.started {
			return a.started < b.started
		}
		// Born in the same hundredth of a second: a parent is older than its child.
		_, aHasParent := members[a.parent]
		_, bHasParent := members[b.parent]
		if aHasParent != bHasParent {
			return bHasParent
		}
		return a.pid < b.pid
	}
	for _, p := range members {
		if main.pid == 0 || earlier(p, main) {
			main = p
		}
	}
	return main.pid, main.pid != 0
}

func (t processTable) cgroup(pid int) string {
	text, _ := os.ReadFile(t.root + "/" + strconv.Itoa(pid) + "/cgroup")
	return string(text)
}
