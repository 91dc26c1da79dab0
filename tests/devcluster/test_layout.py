"""Paths and addresses follow from a name and a number."""

import pytest

from devcluster import DevClusterError
from devcluster.layout import NAME, SLOTS, Addresses, Layout

LONGEST = "a" * 20
# The longest path of a unix socket, see unix(7): 108 bytes with the zero at the end.
SOCKET_PATH = 107


@pytest.mark.parametrize("name", ["toe", "a", "toe-test", "7", LONGEST])
def test_a_name_is_a_label(name: str) -> None:
    """Lower-case letters, digits and dashes make a name."""
    assert Layout(name).name == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "../a", "a/b", "a b", LONGEST + "a", "a\n"])
def test_other_names_are_refused(name: str) -> None:
    """A name never leads out of its directory, and never makes a socket's path too long."""
    with pytest.raises(DevClusterError, match="cannot name a cluster"):
        Layout(name)


def test_the_longest_name_leaves_room_for_a_shims_socket() -> None:
    """containerd takes a socket directory of at most 42 characters, and adds a name of 64."""
    directory = str(Layout(LONGEST).run / "s")
    assert len(directory) <= 42
    assert len(f"{directory}/{'0' * 64}") <= SOCKET_PATH


def test_locks_are_no_clusters() -> None:
    """What lies beside the clusters' directories cannot be the name of one."""
    layout = Layout("toe")
    for lock in (layout.lock, layout.slots_lock):
        assert not NAME.fullmatch(lock.name)


def test_slots_do_not_share_addresses() -> None:
    """Two clusters have no interface and no address in common."""
    everything = [
        value
        for slot in SLOTS
        for addresses in [Addresses(slot)]
        for value in (addresses.interface, addresses.host, addresses.node, addresses.pods, addresses.services)
    ]
    assert len(everything) == len(set(everything))
    assert max(len(Addresses(slot).interface) for slot in SLOTS) <= 15


@pytest.mark.parametrize("slot", [-1, 255, 1000])
def test_a_slot_is_a_byte(slot: int) -> None:
    """A slot outside of the range is refused."""
    with pytest.raises(DevClusterError, match="slot"):
        Addresses(slot)
