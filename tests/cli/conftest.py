"""A person at a keyboard, in front of a cluster that is not there."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.builders import NOW
from tests.cli.fakecluster import CONFIGS, PODS, FakeCluster, serving
from tests.cli.scene import Person, Ran, a_running_pod, a_tool
from toe.cli.program import run
from toe.main import Surroundings


@pytest.fixture
def cluster() -> FakeCluster:
    """A cluster with the namespace shop, the tool py-spy, and two pods that it may join."""
    made = FakeCluster()
    made.put(f"{CONFIGS}/py-spy", a_tool("py-spy", arguments={"options": [{"flag": "--gil"}]}))
    for name in ("shop-1", "shop-2"):
        made.put(f"{PODS}/{name}", a_running_pod(name))
    return made


@pytest.fixture
def person(cluster: FakeCluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Person]:
    """Types a command line of ``kubectl toe`` into a pipe, with the cluster as the current context."""
    with serving(cluster, tmp_path) as kubeconfig:
        around = Surroundings(environment={"KUBECONFIG": str(kubeconfig)}, home=str(tmp_path), is_plugin=True)

        began = time.monotonic()

        def now() -> datetime:
            return NOW + timedelta(seconds=time.monotonic() - began)

        def type_in(*words: str) -> Ran:
            capfd.readouterr()
            status = run(words, around, now)
            return Ran(status, *capfd.readouterr())

        yield type_in
