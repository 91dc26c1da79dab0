package main

import (
	"strings"
	"testing"
)

var (
	wanted   = strings.Repeat("ab", 32)
	stranger = strings.Repeat("cd", 32)
)

func v1(id string) string {
	return "9:memory:/kubepods/pod1/" + id + "\n1:name=systemd:/kubepods/pod1/" + id + "\n"
}
func v2(id string) string { return "0::/../cri-containerd-" + id + ".scope\n" }

func TestTheTarget(t *testing.T) {
	own := strings.Repeat("ef", 32)
	for name, c := range map[string]struct {
		id        string
		self      int
		processes []madeUp
		want      int // 0: not found
	}{
		"is PID 1 in the ordinary case": {wanted, 7, []madeUp{
			{pid: 1, cgroup: v1(wanted)}, {pid: 4, parent: 1, started: 5, cgroup: v1(wanted)}, {pid: 7, cgroup: v1(own)}}, 1},
		"is PID 1 on cgroup v2": {wanted, 7, []madeUp{{pid: 1, cgroup: v2(wanted)}, {pid: 7, cgroup: "0::/\n"}}, 1},
		"is PID 1 when the runtime hides the id": {wanted, 7, []madeUp{
			{pid: 1, cgroup: "0::/\n"}, {pid: 7, cgroup: "0::/\n"}}, 1},
		"is PID 1 when the id is not known": {"", 7, []madeUp{{pid: 1, cgroup: v1(stranger)}, {pid: 7, cgroup: v1(own)}}, 1},
		"is found by id in a shared PID namespace": {wanted, 18, []madeUp{
			{pid: 1, cgroup: v1(stranger)}, {pid: 12, started: 50, cgroup: v1(wanted)},
			{pid: 9, started: 40, cgroup: v1(stranger)}, {pid: 18, cgroup: v1(own)}}, 12},
		"is found by id in the host's PID namespace": {wanted, 400, []madeUp{
			{pid: 1}, {pid: 90, parent: 1, started: 20}, {pid: 300, parent: 90, started: 30, cgroup: v2(wanted)},
			{pid: 301, parent: 300, started: 31, cgroup: v2(wanted)}, {pid: 400, parent: 90, cgroup: v2(own)}}, 300},
		"is the process that started first, not the lowest number": {wanted, 18, []madeUp{
			{pid: 1}, {pid: 5, parent: 17, started: 90, cgroup: v1(wanted)}, {pid: 17, started: 80, cgroup: v1(wanted)}, {pid: 18}}, 17},
		"is the parent when both started in the same tick": {wanted, 18, []madeUp{
			{pid: 1}, {pid: 5, parent: 17, started: 80, cgroup: v1(wanted)}, {pid: 17, started: 80, cgroup: v1(wanted)}, {pid: 18}}, 17},
		"is no zombie": {wanted, 18, []madeUp{
			{pid: 1, cgroup: v1(stranger)}, {pid: 5, state: "Z", cgroup: v1(wanted)}, {pid: 18}}, 0},
		"is never toe-run or its child, whatever its cgroup": {wanted, 18, []madeUp{
			{pid: 1, cgroup: v1(stranger)}, {pid: 18, cgroup: v1(wanted)}, {pid: 19, parent: 18, cgroup: v1(wanted)}}, 0},
		"is not the pause process":                           {wanted, 18, []madeUp{{pid: 1, cgroup: v1(stranger)}, {pid: 18}}, 0},
		"is not a container that took the first one's place": {wanted, 7, []madeUp{{pid: 1, cgroup: v2(stranger)}, {pid: 7}}, 0},
		"is not the node's init":                             {wanted, 400, []madeUp{{pid: 1}, {pid: 90, parent: 1}, {pid: 400, parent: 90}}, 0},
		"is not the node's init without an id either":        {"", 400, []madeUp{{pid: 1}, {pid: 90, parent: 1}, {pid: 400, parent: 90}}, 0},
		"is not toe-run as PID 1":                            {wanted, 1, []madeUp{{pid: 1}}, 0},
		"is not there when nothing is":                       {wanted, 7, []madeUp{{pid: 7}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, found := table(t, c.self, c.processes...).findTarget(c.id)
			if found != (c.want != 0) || (found && got != c.want) {
				t.Fatalf("got %d, %v", got, found)
			}
		})
	}
}

func TestARunThatFindsNoTargetSaysSoAndStartsNothing(t *testing.T) {
	r := play(t, scene{
		command: shell("echo started {target.pid}"), env: map[string]string{"TOE_CONTAINER_ID": wanted},
	})
	r.must(t, 125, targetNotFound)
	if r.out != "" || r.took < targetPatience {
		t.Fatalf("%q after %s", r.out, r.took)
	}
}
