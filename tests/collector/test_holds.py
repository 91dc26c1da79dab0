"""A label on a run keeps its files, and taking it away lets them go."""

from pathlib import Path

import msgspec

from tests.builders import a_powertool
from toe.api.powertool import PowerTool
from toe.collector.holds import LABEL, Holds
from toe.store.directory import DirectoryStore
from toe.store.names import HOLDS, hold_key


class Labelled:
    """Is the runs there are; those with the label are held."""

    def __init__(self, *runs: PowerTool) -> None:
        self.runs, self.live = list(runs), True

    def held(self) -> list[PowerTool]:
        """Returns the runs with the label."""
        return [run for run in self.runs if (run.metadata.labels or {}).get(LABEL) == "true"]

    def find(self, namespace: str, name: str, uid: str) -> PowerTool | None:
        """Returns the run of this very UID."""
        return next((r for r in self.runs if (r.metadata.key, r.metadata.uid) == ((namespace, name), uid)), None)


def a_run(label: str = "") -> PowerTool:
    """Is a run, with the label where it has a value."""
    run = a_powertool()
    labels = {LABEL: label} if label else None
    return msgspec.structs.replace(run, metadata=msgspec.structs.replace(run.metadata, labels=labels))


KEY = hold_key("production", a_run().metadata.uid)


async def keys(store: DirectoryStore) -> set[str]:
    """Returns all holds."""
    return {kept.key async for kept in store.list(HOLDS)}


async def test_a_label_is_a_hold_for_as_long_as_it_is_there(tmp_path: Path) -> None:
    """Made once, and lifted with the label."""
    store, runs = DirectoryStore(tmp_path), Labelled(a_run("true"))
    holds = Holds(store, runs)
    await holds.follow()
    await holds.follow()
    assert await keys(store) == {KEY}
    runs.runs = [a_run()]
    await holds.follow()
    assert await keys(store) == set()


async def test_a_hold_outlives_its_run(tmp_path: Path) -> None:
    """Deleting the run is no way around it."""
    store, runs = DirectoryStore(tmp_path), Labelled(a_run("true"))
    holds = Holds(store, runs)
    await holds.follow()
    runs.runs = []
    await holds.follow()
    assert await keys(store) == {KEY}


async def test_another_value_is_no_hold(tmp_path: Path) -> None:
    """Only ``true`` is."""
    store = DirectoryStore(tmp_path)
    await Holds(store, Labelled(a_run("false"))).follow()
    assert await keys(store) == set()


async def test_a_hold_of_a_person_s_is_left_alone(tmp_path: Path) -> None:
    """Whatever it says."""
    store = DirectoryStore(tmp_path)
    await store.create(KEY, b"by order of the court")
    await Holds(store, Labelled(a_run())).follow()
    assert await keys(store) == {KEY}


async def test_nothing_is_lifted_on_old_news(tmp_path: Path) -> None:
    """While the watches are not live, nobody knows what the labels are."""
    store, runs = DirectoryStore(tmp_path), Labelled(a_run("true"))
    holds = Holds(store, runs)
    await holds.follow()
    runs.runs, runs.live = [a_run()], False
    await holds.follow()
    assert await keys(store) == {KEY}
