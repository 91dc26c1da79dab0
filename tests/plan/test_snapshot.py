"""One frozen picture of everything a decision needs."""

from tests.builders import a_rival, when


def test_the_older_rival_goes_first_and_the_uid_decides_a_tie() -> None:
    """creationTimestamp, then uid: the same for whoever asks."""
    older, younger = a_rival("a", created=when(0)), a_rival("b", created=when(1))
    twin = a_rival("c", created=when(0), uid="a")
    assert sorted([younger, older, twin], key=lambda rival: rival.order) == [twin, older, younger]
