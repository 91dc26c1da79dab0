"""The trees of cgroups are found on machines of both kinds."""

import os
from pathlib import Path

import pytest

from devcluster.cgroups import Cgroup, Hierarchy, hierarchies

V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1 = """\
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"""


def test_version_2_is_one_tree() -> None:
    """A laptop of today has one tree, and everything is in it."""
    assert [tree.root for tree in hierarchies(V2)] == [Path("/sys/fs/cgroup")]
    group = Cgroup("toe-a", tuple(hierarchies(V2)))
    assert group.components == Path("/sys/fs/cgroup/toe-a/components")
    assert group.pods == "/toe-a/pods"


def test_version_1_is_tracked_by_its_pids() -> None:
    """With a tree per controller, one that every container is in tells whose a process is."""
    group = Cgroup("toe-a", tuple(hierarchies(V1)))
    assert group.components == Path("/sys/fs/cgroup/pids/toe-a/components")


def test_members_of_all_trees_are_found(tmp_path: Path) -> None:
    """Members are looked for in every tree, at every depth, in the one of version 2 of a mixed machine as well."""
    trees = tuple(
        Hierarchy(tmp_path / name, unified=name == "unified", controllers=frozenset([name]))
        for name in ("pids", "unified")
    )
    for place, content in (("pids/toe-a/components", "11\n12\n"), ("unified/toe-a/pods/x/y", "12\n0\n13\n")):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "cgroup.procs").write_text(content)
    assert Cgroup("toe-a", trees).members() == [11, 12, 13]
    assert Cgroup("toe", trees).members() == []


def test_a_group_of_version_1_gets_cpus_and_memory(tmp_path: Path) -> None:
    """A new cpuset is empty, and takes no process before it has what its parent has."""
    tree = Hierarchy(tmp_path, unified=False, controllers=frozenset(["cpuset"]))
    # The kernel makes these files with each directory.
    for place in (tmp_path, tmp_path / "toe-a", tmp_path / "toe-a/components", tmp_path / "toe-a/pods"):
        place.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            (place / file).write_text("0-1\n" if place == tmp_path else "\n")
    Cgroup("toe-a", (tree,)).create()
    assert (tmp_path / "toe-a/pods/cpuset.cpus").read_text() == "0-1\n"
    assert (tmp_path / "toe-a/components/cpuset.mems").read_text() == "0-1\n"


def test_a_group_of_version_2_passes_controllers_on(tmp_path: Path) -> None:
    """What the kernel offers is enabled for the children, one by one."""
    tree = Hierarchy(tmp_path, unified=True, controllers=frozenset())
    for place in (tmp_path, tmp_path / "toe-a"):
        place.mkdir(exist_ok=True)
        (place / "cgroup.controllers").write_text("cpu memory\n")
    Cgroup("toe-a", (tree,)).create()
    assert (tmp_path / "toe-a/cgroup.subtree_control").read_text() == "+memory"
    assert not (tmp_path / "toe-a/pods/cgroup.subtree_control").exists()


@pytest.mark.skipif(os.geteuid() != 0 or not os.access("/sys/fs/cgroup", os.W_OK), reason="needs root and cgroups")
def test_create_and_remove_leave_nothing() -> None:
    """On this machine, whichever kind it is."""
    group = Cgroup.of_this_machine(f"toe-unit-{os.getpid()}")
    group.create()
    group.create()
    assert group.components.is_dir()
    assert group.members() == []
    group.remove()
    group.remove()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{group.name}"))
