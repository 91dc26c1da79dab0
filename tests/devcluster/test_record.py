"""What is remembered is read again as it was written."""

from pathlib import Path

import pytest

from devcluster import record
from devcluster.components import Settings
from devcluster.layout import Layout
from devcluster.processes import Process
from devcluster.record import Record

SETTINGS = Settings("v1.36.3", node=True, emulated_version="1.33", extra_apiserver_args=("--v=2",))


def a_layout(place: Path, name: str = "toe") -> Layout:
    return Layout(name, state_root=place / "state", run_root=place / "run")


def test_a_record_survives(tmp_path: Path) -> None:
    """With slot, settings and processes."""
    known = Record(7, "boot", SETTINGS).with_process("etcd", Process(1, 2, "boot"))
    record.save(a_layout(tmp_path), known)
    assert record.load(a_layout(tmp_path)) == known


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"slot": 1}'])
def test_a_broken_record_is_none(tmp_path: Path, content: str | None) -> None:
    """A killed predecessor may leave anything; it is cleared away like everything else of it."""
    layout = a_layout(tmp_path)
    if content is not None:
        layout.state.mkdir(parents=True)
        layout.record.write_text(content)
    assert record.load(layout) is None


def test_each_cluster_gets_a_slot_of_its_own(tmp_path: Path) -> None:
    """The lowest that is free; a cluster that is gone leaves its slot to the next."""
    slots = [record.claim(a_layout(tmp_path, name), SETTINGS).slot for name in ("a", "b", "c")]
    assert len(set(slots)) == 3
    a_layout(tmp_path, "b").record.unlink()
    assert record.claim(a_layout(tmp_path, "d"), SETTINGS).slot == slots[1]
