"""One cgroup per cluster: it bounds nothing, but whoever is in it is ours, however it was started and whoever died."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devcluster.errors import DevClusterError

# Components and pods apart: in cgroup v2 a group that has controllers for its children holds no process itself.
COMPONENTS = "components"
PODS = "pods"


@dataclass(frozen=True)
class Hierarchy:
    """One mounted tree of cgroups."""

    root: Path
    unified: bool
    controllers: frozenset[str]


def hierarchies(mountinfo: str | None = None) -> list[Hierarchy]:
    """All trees: the one of cgroup v2, one per controller of cgroup v1, or both."""
    found = []
    for line in (mountinfo or Path("/proc/self/mountinfo").read_text()).splitlines():
        before, _, after = line.partition(" - ")
        root = Path(before.split()[4])
        kind, _, options = after.split()[:3]
        if kind == "cgroup2":
            found.append(Hierarchy(root, unified=True, controllers=frozenset()))
        elif kind == "cgroup":
            found.append(Hierarchy(root, unified=False, controllers=frozenset(options.split(","))))
    return found


@dataclass(frozen=True)
class Cgroup:
    """The cgroup with this name below the root of every hierarchy."""

    name: str
    trees: tuple[Hierarchy, ...]

    @classmethod
    def of_this_machine(cls, name: str) -> "Cgroup":
        return cls(name, tuple(hierarchies()))

    @property
    def components(self) -> Path:
        """Where components and their children are."""
        return self._tracking.root / self.name / COMPONENTS

    @property
    def pods(self) -> str:
        """Below which the kubelet puts pods, as it wants it named."""
        return f"/{self.name}/{PODS}"

    @property
    def _tracking(self) -> Hierarchy:
        # In cgroup v1 one hierarchy is enough to know our own; runc puts containers into all of them.
        if not self.trees:
            raise DevClusterError("no cgroup filesystem is mounted", hint="Expected one below /sys/fs/cgroup.")
        return next((tree for tree in self._managed if "pids" in tree.controllers), self._managed[0])

    @property
    def _managed(self) -> list[Hierarchy]:
        """The trees with controllers. A machine with both kinds counts as v1, as runc and the kubelet count it."""
        return [tree for tree in self.trees if not tree.unified] or list(self.trees)

    def create(self) -> None:
        """Make the groups in every hierarchy; what exists stays."""
        try:
            for tree in self._managed:
                group = tree.root / self.name
                for path in (group, group / COMPONENTS, group / PODS):
                    path.mkdir(exist_ok=True)
                    if "cpuset" in tree.controllers:
                        _inherit_cpuset(path)
                if tree.unified:
                    _delegate(tree.root)
                    _delegate(group)
        except OSError as error:
            raise DevClusterError(
                f"cannot make the cgroup {self.name}: {error}",
                hint="In a container this needs a writable /sys/fs/cgroup (docker run --privileged).",
            ) from error

    def members(self) -> list[int]:
        """The processes in it, components and pods."""
        found: set[int] = set()
        for path in self._paths():
            with suppress(OSError):
                found.update(int(line) for line in (path / "cgroup.procs").read_text().split())
        # 0 stands for processes of another PID namespace, which cannot be ours.
        return sorted(found - {0})

    def kill(self, *, seconds: float = 20.0) -> None:
        """Kill every process in it, until none is left."""
        deadline = time.monotonic() + seconds
        while members := self.members():
            for pid in members:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            if time.monotonic() > deadline:
                raise DevClusterError(f"processes of the cgroup {self.name} do not end: {members}")
            time.sleep(0.02)

    def remove(self) -> None:
        """Kill what is left in it and remove the groups from every hierarchy."""
        deadline = time.monotonic() + 10.0
        while True:
            # Again each time: a program that was just being started enters a moment later.
            self.kill()
            for path in self._paths():
                with suppress(OSError):
                    path.rmdir()
            left = list(self._paths())
            if not left:
                return
            # The kernel takes a moment to let go of a group whose last process has just ended.
            if time.monotonic() > deadline:
                raise DevClusterError(f"cannot remove the cgroup {left[0]}")
            time.sleep(0.05)

    def _paths(self) -> Iterator[Path]:
        """Every group of ours that exists, children before parents."""
        for tree in self.trees:
            for path, _, _ in os.walk(tree.root / self.name, topdown=False):
                yield Path(path)


def _inherit_cpuset(path: Path) -> None:
    """A new group of cgroup v1 has no CPUs and no memory nodes, and no process can enter it."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        if not (path / file).read_text().strip():
            (path / file).write_text((path.parent / file).read_text())


def _delegate(path: Path) -> None:
    """Give the children of a group of cgroup v2 the controllers that the kubelet asks for, where there are such."""
    for controller in (path / "cgroup.controllers").read_text().split():
        with suppress(OSError):
            (path / "cgroup.subtree_control").write_text(f"+{controller}")
