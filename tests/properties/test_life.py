"""Runs, pods, two controllers and everything that goes wrong: what must hold at every moment, and that all ends well.

A small model of an API server (versions, conflicts, answers that are lost) and of a kubelet (tools that start, wait,
end and are killed). Each controller acts on what it saw, which may be old by the time it acts.
"""

from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.builders import SETTINGS, Raw, a_config, a_container_status, a_pod, a_powertool, a_snapshot, at, merged, when
from toe.api.meta import Struct
from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.plan.actions import AddEphemeralContainer, Plan, WriteStatus
from toe.plan.planner import plan
from toe.plan.snapshot import Rival, Snapshot
from toe.plan.targets import ENDED, OVERRUN, find_container, find_status, live_tools

RUNS = ("run-a", "run-b", "run-c")
PODS = ("web-1", "web-2", "web-3")
CONTROLLERS = ("one", "two")
BOUND = SETTINGS.start_deadline + SETTINGS.start_allowance + SETTINGS.grace + OVERRUN
"""The longest that a run may take beyond its own duration: wait, start, grace, overrun."""

FAULTS = st.sampled_from(["none"] * 4 + ["status lost", "status answer lost", "pod lost"])
"""What may happen to the writes of one plan."""


class View(Struct, frozen=True):
    """Is what a controller saw: runs and pods of a moment that may be past."""

    runs: dict[str, PowerTool]
    pods: dict[str, Pod]
    config: PowerToolConfig | None


def held(run: PowerTool) -> frozenset[str]:
    """Returns the pods that an unfinished run holds, as the controller's index has it."""
    if run.status.is_finished:
        return frozenset()
    return frozenset(target.pod_uid for target in run.status.targets if target.state not in ENDED)


def rivals_of(run: PowerTool, view: View) -> tuple[Rival, ...]:
    """Returns the runs that hold, or wait in conflict for, pods of this one."""
    found = []
    for other in view.runs.values():
        if other.metadata.uid == run.metadata.uid or other.status.is_finished:
            continue
        holds = bool(held(other))
        if not holds and (other.status.phase != "Conflicted" or run.status.is_frozen):
            continue
        pods = held(other) if holds else frozenset(pod.metadata.uid for pod in view.pods.values())
        tools = frozenset(target.tool_container for target in other.status.targets if target.tool_container)
        found.append(
            Rival(
                name=other.metadata.name,
                uid=other.metadata.uid,
                created=other.metadata.creation_timestamp,
                pods=pods,
                tools=tools,
                holds=holds,
            )
        )
    return tuple(found)


class Life(RuleBasedStateMachine):
    """Is a cluster in which anything may happen in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.runs: dict[str, PowerTool] = {}
        self.pods: dict[str, Pod] = {}
        self.config: PowerToolConfig | None = a_config()
        self.views: dict[str, View] = {}
        self.made: dict[tuple[str, str], int] = {}
        self.sets: dict[str, set[tuple[str, str]]] = {}
        self.ends: dict[str, PowerTool] = {}
        self.codes: dict[str, int] = {}
        self.kubelet_works, self.last_codes = False, [0]

    # The cluster

    @initialize(
        pods=st.integers(1, 3), works=st.booleans(), codes=st.lists(st.sampled_from([0, 0, 0, 1, 137]), min_size=1)
    )
    def begins(self, pods: int, works: bool, codes: list[int]) -> None:
        """A run and some pods are there; both controllers saw them. It is drawn now how the kubelet is in the end."""
        for name in PODS[:pods]:
            self.pods[f"uid-{name}"] = a_pod(name)
        self.create("run-a")
        for who in CONTROLLERS:
            self.looks(who)
        self.kubelet_works, self.last_codes = works, codes

    def create(self, name: str) -> None:
        metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": "1", "creationTimestamp": when(self.now)}
        self.runs[name] = a_powertool(metadata)

    def store(self, run: PowerTool) -> None:
        """Stores a run in its next version, and remembers what may never change again."""
        name, status = run.metadata.name, run.status
        version = str(int(self.runs[name].metadata.resource_version) + 1)
        stored = msgspec.structs.replace(run, metadata=msgspec.structs.replace(run.metadata, resource_version=version))
        assert name not in self.ends or status == self.ends[name].status, "a terminal status was changed"
        self.runs[name] = stored
        targets = {(target.pod_uid, target.container) for target in status.targets}
        if status.is_finished:
            self.ends[name] = stored
        if targets:
            assert self.sets.setdefault(name, targets) == targets, "the set of targets was changed"

    def change(self, uid: str, difference: Raw) -> None:
        """Stores a pod in its next version."""
        pod = self.pods[uid]
        version = {"resourceVersion": str(int(pod.metadata.resource_version) + 1)}
        raw = merged(merged(msgspec.to_builtins(pod), difference), {"metadata": version})
        self.pods[uid] = msgspec.convert(raw, Pod)

    def view(self) -> View:
        """Returns the truth."""
        return View(runs=dict(self.runs), pods=dict(self.pods), config=self.config)

    def snapshot(self, name: str, view: View) -> Snapshot:
        """Returns what a controller with this view observes of a run, now."""
        run = view.runs[name]
        configs = [view.config] if view.config is not None else []
        return a_snapshot(run, view.pods.values(), configs=configs, now=at(self.now), rivals=rivals_of(run, view))

    # The controllers

    @rule(name=st.sampled_from(RUNS), fault=FAULTS)
    def reconciles(self, name: str, fault: str) -> None:
        """A controller looks, decides and acts, all in one go."""
        if name in self.runs:
            was_frozen, taken = self.runs[name].status.is_frozen, self.held_by_others(name)
            self.apply(plan(self.snapshot(name, self.view())), fault)
            if not was_frozen:
                assert not taken & held(self.runs[name]), "a run took a pod that another one holds"

    def held_by_others(self, name: str) -> frozenset[str]:
        return frozenset(uid for other, run in self.runs.items() if other != name for uid in held(run))

    @rule(names=st.permutations(RUNS), fault=FAULTS)
    def race(self, names: list[str], fault: str) -> None:
        """Two controllers see the same, decide about two runs, or twice about one, and act in turn."""
        view = self.view()
        made = [plan(self.snapshot(name, view)) for name in (*names[:2], names[0]) if name in view.runs]
        for one, each in zip(made, [fault, "none", "none"], strict=False):
            self.apply(one, each)

    @rule(who=st.sampled_from(CONTROLLERS))
    def looks(self, who: str) -> None:
        """A controller's caches catch up."""
        self.views[who] = self.view()

    @rule(who=st.sampled_from(CONTROLLERS), name=st.sampled_from(RUNS), fault=FAULTS, fresh_pods=st.booleans())
    def acts_on_old_news(self, who: str, name: str, fault: str, fresh_pods: bool) -> None:
        """A controller decides out of what it saw some time ago; perhaps its pods are newer than its runs."""
        view = self.views[who]
        if fresh_pods:
            view = View(runs=view.runs, pods=self.view().pods, config=view.config)
        if name in view.runs:
            self.apply(plan(self.snapshot(name, view)), fault)

    def apply(self, made: Plan, fault: str = "none") -> None:
        """Executes a plan as the API server would let it."""
        for action in made.actions:
            if isinstance(action, WriteStatus):
                current = self.runs[action.run.metadata.name]
                if fault == "status lost" or current.metadata.resource_version != action.run.metadata.resource_version:
                    return
                self.store(msgspec.structs.replace(current, status=action.status))
                if fault == "status answer lost":
                    return
        for action in made.actions:
            if isinstance(action, AddEphemeralContainer) and fault != "pod lost":
                self.add(action)

    def add(self, action: AddEphemeralContainer) -> None:
        """Adds a container to the very pod and version that was seen, unless its name is taken."""
        pod = self.pods.get(action.pod_uid)
        if pod is None or pod.metadata.resource_version != action.resource_version:
            return
        if find_container(pod, action.container.name):
            return
        have = msgspec.to_builtins(pod.spec.ephemeral_containers)
        self.change(action.pod_uid, {"spec": {"ephemeralContainers": [msgspec.to_builtins(action.container), *have]}})
        run = action.container.env[0].value
        self.made[run, action.pod_uid] = self.made.get((run, action.pod_uid), 0) + 1

    # The kubelet

    def tools(self) -> list[tuple[str, str]]:
        """Returns (pod, container) of every tool that has not ended."""
        return [(uid, name) for uid, pod in self.pods.items() for name in sorted(live_tools(pod))]

    def tell(self, uid: str, name: str, state: Raw) -> None:
        told = msgspec.to_builtins(self.pods[uid].status.ephemeral_container_statuses)
        others = [status for status in told if status["name"] != name]
        self.change(uid, {"status": {"ephemeralContainerStatuses": [*others, {"name": name, "state": state}]}})

    def end(self, uid: str, name: str, code: int) -> None:
        self.codes[name] = code
        self.tell(uid, name, {"terminated": {"exitCode": code, "finishedAt": when(self.now)}})

    @precondition(lambda self: self.tools())
    @rule(data=st.data(), state=st.sampled_from(["creating", "pull error", "running", "running"]))
    def starts(self, data: st.DataObject, state: str) -> None:
        """A tool is pulled, fails to be, or starts."""
        uid, name = data.draw(st.sampled_from(self.tools()))
        states: dict[str, Raw] = {
            "creating": {"waiting": {"reason": "ContainerCreating"}},
            "pull error": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}},
            "running": {"running": {"startedAt": when(self.now)}},
        }
        self.tell(uid, name, states[state])

    @precondition(lambda self: self.tools())
    @rule(data=st.data(), code=st.sampled_from([0, 0, 0, 1, 137]))
    def finishes(self, data: st.DataObject, code: int) -> None:
        """A tool ends, well or not."""
        uid, name = data.draw(st.sampled_from(self.tools()))
        self.end(uid, name, code)

    def restart_the_target(self, uid: str, *, told: bool) -> None:
        """A target container ends and takes the tools with it; the kubelet may tell of the tools first."""
        for name in sorted(live_tools(self.pods[uid])):
            self.end(uid, name, 137)
        if told:
            status = a_container_status("app", container_id=f"c-{self.now}")
            self.change(uid, {"status": {"containerStatuses": [status]}})

    @rule(codes=st.lists(st.sampled_from([0, 0, 0, 1, 137]), min_size=1, max_size=3))
    def works(self, codes: list[int]) -> None:
        """The kubelet starts what waits, and ends what runs."""
        for number, (uid, name) in enumerate(self.tools()):
            status = find_status(self.pods[uid], name)
            if status is not None and status.state is not None and status.state.running is not None:
                self.end(uid, name, codes[number % len(codes)])
            else:
                self.tell(uid, name, {"running": {"startedAt": when(self.now)}})

    # People, mishaps and time

    @rule(name=st.sampled_from(RUNS[1:]))
    def applies(self, name: str) -> None:
        """Somebody wants another run on the same pods."""
        if name not in self.runs:
            self.create(name)

    @rule(data=st.data(), kind=st.sampled_from(["restart", "late restart", "going", "gone", "cancel", "config"]))
    def mishap(self, data: st.DataObject, kind: str) -> None:
        """A target restarts, a pod goes, a run is canceled, an administrator changes the tool."""
        match kind:
            case "config":
                changes = [{}, {}, {"suspended": True}, {"allowedNamespaces": ["other"]}, None]
                change = data.draw(st.sampled_from(changes))
                self.config = None if change is None else a_config(**change)
            case "cancel":
                self.cancel(data.draw(st.sampled_from(sorted(self.runs))))
            case _ if not self.pods:
                pass
            case "gone":
                del self.pods[data.draw(st.sampled_from(sorted(self.pods)))]
            case "going":
                uid = data.draw(st.sampled_from(sorted(self.pods)))
                self.change(uid, {"metadata": {"deletionTimestamp": when(self.now)}})
            case _:
                self.restart_the_target(data.draw(st.sampled_from(sorted(self.pods))), told=kind == "restart")

    def cancel(self, name: str) -> None:
        run = self.runs[name]
        spec = msgspec.structs.replace(run.spec, cancel=True)
        metadata = msgspec.structs.replace(run.metadata, generation=2)
        self.store(msgspec.structs.replace(run, spec=spec, metadata=metadata))

    @rule(seconds=st.sampled_from([1, 1, 3, 10, 60, 121, 300]))
    def waits(self, seconds: int) -> None:
        """Time passes."""
        self.now += seconds

    # What must hold at every moment

    @invariant()
    def one_container_for_each_run_and_pod(self) -> None:
        """Whatever crashes, repeats or races (I-09)."""
        assert all(count == 1 for count in self.made.values()), self.made

    @invariant()
    def one_live_tool_in_each_pod(self) -> None:
        """As many as the tool's maxConcurrentPerPod accepts, which is one."""
        assert all(len(live_tools(pod)) <= 1 for pod in self.pods.values())

    @invariant()
    def the_end_is_final(self) -> None:
        """A finished run has no next step (I-20)."""
        view = self.view()
        for name in self.ends:
            assert plan(self.snapshot(name, view)) == Plan()

    @invariant()
    def completed_is_when_all_tools_ended_with_0(self) -> None:
        """And with at least one target (I-19)."""
        for run in self.ends.values():
            codes = [self.codes.get(target.tool_container) for target in run.status.targets]
            well = bool(codes) and all(code == 0 for code in codes)
            if run.status.phase == "Completed":
                assert well, run.status
            assert all((t.state == "Succeeded") <= (self.codes.get(t.tool_container) == 0) for t in run.status.targets)

    @invariant()
    def nothing_is_injected_for_a_run_that_is_denied_or_undecided(self) -> None:
        """Suspended, missing and narrowed configs inject nothing (I-14, I-44)."""
        if self.config is None or self.config.spec.suspended or self.config.spec.allowed_namespaces:
            view = self.view()
            for name in self.runs:
                made = plan(self.snapshot(name, view))
                assert not any(isinstance(action, AddEphemeralContainer) for action in made.actions)

    @invariant()
    def a_plan_is_a_function_of_its_snapshot(self) -> None:
        """The same picture gives the same plan."""
        if self.runs:
            name = max(self.runs)
            assert plan(self.snapshot(name, self.view())) == plan(self.snapshot(name, self.view()))

    # What must come

    def teardown(self) -> None:
        """Once faults stop, planning converges at each moment and every run ends within its bound (I-21)."""
        if not self.runs:
            return
        began = self.now
        while unfinished := [name for name, run in self.runs.items() if not run.status.is_finished]:
            if self.kubelet_works:
                self.works(self.last_codes)
            moments = [moment for name in unfinished if (moment := self.settle(name)) is not None]
            if all(self.runs[name].status.is_finished for name in unfinished):
                break
            self.now = int((min(moments) - at(0)).total_seconds())
            assert self.now - began <= 2 * BOUND.total_seconds() + 120, f"a run does not end: {self.runs}"
        self.the_end_is_final()
        self.one_container_for_each_run_and_pod()
        self.one_live_tool_in_each_pod()
        self.completed_is_when_all_tools_ended_with_0()

    def settle(self, name: str) -> Any:
        """Applies plans of a run until there is nothing to do at this moment; returns when to look again."""
        for _ in range(8):
            made = plan(self.snapshot(name, self.view()))
            if not made.actions:
                if self.runs[name].status.is_finished:
                    return None
                assert made.look_again is not None, f"a run sleeps for ever: {self.runs[name]}"
                assert made.look_again > at(self.now), f"a run is looked at again and again: {self.runs[name]}"
                return made.look_again
            self.apply(made)
        raise AssertionError(f"planning does not converge: {made}")


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=max(150, settings().max_examples))
