"""A process is known by more than its number."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from socket import create_server

import pytest

from devcluster import processes
from devcluster.processes import Process


@pytest.fixture
def sleeper() -> Iterator[Process]:
    """A process that lives until it is stopped."""
    with subprocess.Popen(["sleep", "60"]) as child:
        found = processes.identify(child.pid)
        assert found is not None
        yield found
        child.kill()


def test_a_process_is_itself(sleeper: Process) -> None:
    """Asked twice, it is the same."""
    assert processes.identify(sleeper.pid) == sleeper
    assert processes.is_alive(sleeper)


@pytest.mark.parametrize("change", [{"started": 1}, {"boot": "another"}])
def test_the_same_number_is_not_the_same_process(sleeper: Process, change: dict[str, object]) -> None:
    """A process with our number that started at another time, or in another boot, is a stranger: never signalled."""
    stranger = replace(sleeper, **change)
    assert not processes.is_alive(stranger)
    assert not processes.send(stranger, signal.SIGKILL)
    processes.stop(stranger)
    assert processes.is_alive(sleeper)


def test_a_zombie_is_not_alive() -> None:
    """A process that ended and was not collected yet has ended."""
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert processes.identify(child) is None
    os.waitpid(child, 0)


def test_a_name_with_parentheses_does_not_confuse(tmp_path: Path) -> None:
    """The program's name stands in /proc/PID/stat as it is, and may look like more fields."""
    odd = tmp_path / ") S 1 1"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([str(odd), "60"]) as child:
        plain = processes.identify(os.getpid())
        found = processes.identify(child.pid)
        child.kill()
    assert plain is not None
    assert found is not None
    assert found.started >= plain.started


def test_stop_ends_what_ignores_the_polite_request() -> None:
    """SIGTERM first; who does not follow within the grace is killed."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = processes.identify(child.pid)
        assert found is not None
        processes.stop(found, grace=0.2)
        assert not processes.is_alive(found)


def test_what_listens_is_seen_from_outside() -> None:
    """A port is found in the table of the process's own network namespace."""
    with create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert processes.listens(os.getpid(), port)
    assert not processes.listens(os.getpid(), port)


def test_a_started_process_lives_on_by_itself(tmp_path: Path) -> None:
    """It has a session of its own, its outputs go to the log, and its path starts with our programs."""
    (tmp_path / "cgroup.procs").touch()
    log = tmp_path / "log"
    script = 'echo "$PATH"; echo oops >&2; sleep 60'
    found = processes.start(["sh", "-c", script], log=log, cgroup=tmp_path, programs=Path("/ours"))
    try:
        assert os.getsid(found.pid) == found.pid
        while "oops" not in log.read_text():
            assert processes.is_alive(found)
        assert log.read_text().startswith("/ours:")
        # A real cgroup.procs takes the number and moves the process.
        assert (tmp_path / "cgroup.procs").read_text() == f"{found.pid}\n"
    finally:
        os.killpg(found.pid, signal.SIGKILL)
        assert processes.wait_gone(found, 5.0)
