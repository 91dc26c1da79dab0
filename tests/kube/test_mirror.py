"""Promises of the mirror: a copy that is never older than what was heard, whatever comes twice, late or not at all."""

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from toe.api.meta import LabelSelector, LabelSelectorRequirement, ObjectMeta
from toe.api.pod import Pod, PodSpec
from toe.kube.mirror import TOMBSTONES, EventType, Mirror

NAMES = st.sampled_from(["a", "b", "c"])
LABELS = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["x", "y"]), max_size=2)


def a_pod(name: str = "a", version: int = 1, uid: str = "u", *, labels: dict[str, str] | None = None) -> Pod:
    return Pod(
        metadata=ObjectMeta(name=name, namespace="n", uid=uid, resource_version=str(version), labels=labels),
        spec=PodSpec(node_name=(labels or {}).get("tier", "")),
    )


class MirrorMachine(RuleBasedStateMachine):
    """Plays an API server which writes, and a network which delivers its story late, twice and torn.

    The model is the server's present state. The mirror hears a prefix of the story; once it has heard all, both agree.
    """

    def __init__(self) -> None:
        super().__init__()
        self.version = 10
        self.lives = 0
        self.server: dict[str, Pod] = {}
        self.story: list[tuple[EventType, Pod]] = []  # not yet delivered
        self.told: list[tuple[EventType, Pod]] = []  # delivered
        self.answers: list[Pod] = []  # what writes returned
        self.seen: dict[tuple[str, str], Pod] = {}  # what on_change adds up to
        self.mirror: Mirror[Pod] = Mirror(self._changed, {"node": lambda pod: [pod.spec.node_name]})

    def _changed(self, old: Pod | None, new: Pod | None) -> None:
        key = (new or old).metadata.key  # type: ignore[union-attr]
        assert self.seen.get(key) == old, "on_change is told another past than it was told before"
        if new is None:
            del self.seen[key]
        else:
            assert old is None or old.metadata.uid == new.metadata.uid, "two lives are one change"
            self.seen[key] = new

    @rule(name=NAMES, labels=LABELS)
    def write(self, name: str, labels: dict[str, str]) -> None:
        self.version += 1
        old = self.server.get(name)
        if old is None:
            self.lives += 1
        uid = old.metadata.uid if old else f"u{self.lives}"
        pod = self.server[name] = a_pod(name, self.version, uid, labels=labels)
        self.story.append(("MODIFIED" if old else "ADDED", pod))
        self.answers.append(pod)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        pod = self.server.pop(name, None)
        if pod is not None:
            self.version += 1
            self.story.append(("DELETED", a_pod(name, self.version, pod.metadata.uid, labels=pod.metadata.labels)))

    @precondition(lambda self: self.story)
    @rule(count=st.integers(1, 4))
    def deliver(self, count: int) -> None:
        for _ in range(min(count, len(self.story))):
            event = self.story.pop(0)
            self.told.append(event)
            self.mirror.apply(*event)

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        self.mirror.apply(*data.draw(st.sampled_from(self.told)))

    @precondition(lambda self: len(self.story) > 1)
    @rule(data=st.data())
    def deliver_out_of_order(self, data: st.DataObject) -> None:
        event = data.draw(st.sampled_from(self.story))
        self.mirror.apply(*event)
        position = self.mirror.position
        for earlier in self.story:  # the rest of the torn stretch arrives too, in some order
            if int(earlier[1].metadata.resource_version) <= position:
                self.mirror.apply(*earlier)
                self.told.append(earlier)
        self.story = [e for e in self.story if int(e[1].metadata.resource_version) > position]

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def observe(self, data: st.DataObject) -> None:
        self.mirror.observe(data.draw(st.sampled_from(self.answers)))

    @rule()
    def relist(self) -> None:
        self.mirror.replace(self.server.values(), self.version, asked_at=self.mirror.position)
        self.told += self.story
        self.story.clear()

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def list_that_was_overtaken(self, data: st.DataObject) -> None:
        """A list is answered, then more happens and is observed before the list arrives."""
        listed, version = [*self.server.values()], self.version
        position = self.mirror.position
        self.write("a", {"app": "x"})
        self.mirror.observe(self.server["a"])
        self.mirror.replace(listed, version, asked_at=position)
        self.told += [e for e in self.story if int(e[1].metadata.resource_version) <= version]
        self.story = [e for e in self.story if int(e[1].metadata.resource_version) > version]
        assert self.mirror.get("n", "a") == self.server["a"]

    @invariant()
    def changes_add_up(self) -> None:
        assert self.seen == {pod.metadata.key: pod for pod in self.mirror.list()}

    @invariant()
    def nothing_is_older_than_heard(self) -> None:
        heard: dict[str, tuple[EventType, Pod]] = {}
        for kind, pod in sorted(self.told, key=lambda event: int(event[1].metadata.resource_version)):
            heard[pod.metadata.name] = (kind, pod)
        for name, (kind, pod) in heard.items():
            held = self.mirror.get("n", name)
            if held is None:
                assert kind == "DELETED"
            else:
                floor = int(pod.metadata.resource_version)
                assert int(held.metadata.resource_version) >= floor
                assert kind != "DELETED" or int(held.metadata.resource_version) > floor

    @invariant()
    def agrees_once_all_is_heard(self) -> None:
        if not self.story:
            assert {pod.metadata.name: pod for pod in self.mirror.list()} == self.server

    @invariant()
    def indexes_agree_with_objects(self) -> None:
        pods = self.mirror.list()
        for value in ("x", "y", ""):
            expected = {pod.metadata.name for pod in pods if pod.spec.node_name == value}
            assert {pod.metadata.name for pod in self.mirror.by_index("node", value)} == expected
        for selector in (
            LabelSelector(match_labels={"app": "x"}),
            LabelSelector(match_labels={"app": "x", "tier": "y"}),
            LabelSelector(match_expressions=(LabelSelectorRequirement("app", "DoesNotExist"),)),
            LabelSelector(),
        ):
            expected = {pod.metadata.name for pod in pods if selector.matches(pod.metadata.labels)}
            assert {pod.metadata.name for pod in self.mirror.select("n", selector)} == expected
            assert self.mirror.select("other", selector) == []
        assert {pod.metadata.name for pod in self.mirror.list("n")} == {pod.metadata.name for pod in pods}
        if not pods:
            assert not self.mirror._labels
            assert not self.mirror._namespaces
            assert not any(self.mirror._indexes.values())


TestMirrorMachine = MirrorMachine.TestCase
TestMirrorMachine.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestMirrorMachine.__doc__ = (
    "Whatever the network does to the server's story, the mirror never goes back and ends equal."
)


def a_mirror(*, partial: bool = False) -> tuple[Mirror[Pod], list[tuple[str, str]]]:
    """Builds a mirror and the list of changes it tells, as (old version, new version)."""
    changes: list[tuple[str, str]] = []

    def changed(old: Pod | None, new: Pod | None) -> None:
        changes.append((old.metadata.resource_version if old else "", new.metadata.resource_version if new else ""))

    return Mirror(changed, partial=partial), changes


def test_an_object_made_again_is_two_changes() -> None:
    """A missed deletion shows as gone and new when the same name comes with another uid."""
    mirror, changes = a_mirror()
    mirror.apply("ADDED", a_pod(version=5, uid="first"))
    mirror.apply("ADDED", a_pod(version=9, uid="second"))
    assert changes == [("", "5"), ("5", ""), ("", "9")]


def test_a_late_event_of_an_earlier_life_is_ignored() -> None:
    """Neither a change nor the deletion of the object that had this name before touches the present one."""
    mirror, changes = a_mirror()
    mirror.apply("ADDED", a_pod(version=9, uid="second"))
    mirror.apply("MODIFIED", a_pod(version=6, uid="first"))
    mirror.apply("DELETED", a_pod(version=7, uid="first"))
    assert changes == [("", "9")]


def test_a_deleted_object_is_not_brought_back_by_a_late_write_answer() -> None:
    """The answer to a write that arrives after the deletion was heard changes nothing."""
    mirror, changes = a_mirror()
    mirror.apply("ADDED", a_pod(version=5))
    mirror.apply("DELETED", a_pod(version=8))
    mirror.observe(a_pod(version=7))
    assert mirror.get("n", "a") is None
    assert changes == [("", "5"), ("5", "")]


def test_a_deletion_learnt_from_a_list_is_not_undone_either() -> None:
    """What a relist found missing stays missing, even when its uid's grave was forgotten."""
    mirror, _ = a_mirror()
    mirror.apply("ADDED", a_pod(version=5))
    mirror.replace([], 8, asked_at=5)
    mirror._graves.clear()
    mirror.observe(a_pod(version=7))
    assert len(mirror) == 0


def test_writers_read_their_writes() -> None:
    """What a write returned is there at once, and the watch event of the same version is no second change."""
    mirror, changes = a_mirror()
    mirror.apply("ADDED", a_pod(version=5))
    mirror.observe(a_pod(version=7))
    mirror.apply("MODIFIED", a_pod(version=6))
    mirror.apply("MODIFIED", a_pod(version=7))
    assert changes == [("", "5"), ("5", "7")]


def test_a_partial_mirror_takes_no_strangers() -> None:
    """Where a selector applies, a write's answer updates what is known and adds nothing."""
    mirror, changes = a_mirror(partial=True)
    mirror.observe(a_pod(version=7))
    assert changes == []
    mirror.apply("ADDED", a_pod(version=8))
    mirror.observe(a_pod(version=9))
    assert changes == [("", "8"), ("8", "9")]


def test_an_object_that_leaves_and_reenters_a_selector_is_there_again() -> None:
    """DELETED may mean "no longer selected": a newer state of the same uid is taken in again."""
    mirror, changes = a_mirror(partial=True)
    mirror.apply("ADDED", a_pod(version=5))
    mirror.apply("DELETED", a_pod(version=6))
    mirror.apply("ADDED", a_pod(version=7))
    assert changes == [("", "5"), ("5", ""), ("", "7")]


def test_a_state_that_cannot_be_understood_counts_as_absent() -> None:
    """An older state is not kept for an object whose newest state is unreadable; a later good state brings it back."""
    mirror, changes = a_mirror()
    mirror.apply("ADDED", a_pod(version=5))
    mirror.forget("n", "a", 6)
    mirror.observe(a_pod(version=5))
    mirror.apply("MODIFIED", a_pod(version=8))
    mirror.forget("n", "a", 7)
    assert changes == [("", "5"), ("5", ""), ("", "8")]


def test_a_history_that_was_set_back_is_believed() -> None:
    """After a restore from backup versions are lower than before: then the list alone is true."""
    mirror, changes = a_mirror()
    mirror.apply("ADDED", a_pod("a", 50, "u1"))
    mirror.apply("ADDED", a_pod("b", 60, "u2"))
    mirror.apply("DELETED", a_pod("c", 70, "u3"))
    mirror.replace([a_pod("a", 20, "u1"), a_pod("c", 15, "u3")], 30, asked_at=70)
    assert {pod.metadata.name: pod.metadata.resource_version for pod in mirror.list()} == {"a": "20", "c": "15"}
    assert mirror.position == 30
    assert changes[-4:] == [("50", ""), ("60", ""), ("", "20"), ("", "15")]


def test_a_list_that_tells_nothing_new_is_silent() -> None:
    """A relist after a cut calls on_change for what changed and for nothing else."""
    mirror, changes = a_mirror()
    mirror.replace([a_pod("a", 5, "u1"), a_pod("b", 6, "u2")], 10)
    changes.clear()
    mirror.replace([a_pod("a", 5, "u1"), a_pod("b", 12, "u2")], 15, asked_at=10)
    assert changes == [("6", "12")]


def test_graves_are_bounded() -> None:
    """However many pods come and go, what is remembered of them stays small."""
    mirror, _ = a_mirror()
    for version in range(1, TOMBSTONES + 100):
        mirror.apply("DELETED", a_pod(version=version, uid=str(version)))
    assert len(mirror._graves) == TOMBSTONES


def test_an_index_that_nobody_defined_is_a_mistake() -> None:
    """Asking for an unknown index raises instead of finding nothing for ever."""
    mirror, _ = a_mirror()
    with pytest.raises(KeyError):
        mirror.by_index("nope", "x")
