"""No minute sees more than is permitted."""

import random

from toe.controller.pace import MINUTE, Pace


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_permitted_is_counted() -> None:
    """And the rest comes when the first of them is a minute old."""
    clock = Clock()
    pace = Pace(3, clock=clock)
    assert (pace.take(2), pace.wait()) == (2, 0.0)
    clock.now += 10
    assert (pace.take(5), pace.wait()) == (1, MINUTE - 10)
    clock.now += pace.wait()
    assert (pace.take(5), pace.wait()) == (2, 10.0)
    assert pace.take(0) == 0


def test_what_others_add_counts_in_the_same_minute() -> None:
    """Also when it was more than is permitted: then one more is permitted when enough of them are old."""
    clock = Clock()
    pace = Pace(3, clock=clock)
    pace.note(2)
    clock.now += 10
    assert pace.take(5) == 1
    pace.note(2)
    assert (pace.take(1), pace.wait()) == (0, MINUTE)
    clock.now += MINUTE - 10
    assert (pace.take(1), pace.wait()) == (0, 10.0)
    clock.now += 10
    assert pace.take(5) == 3


def test_no_minute_sees_more() -> None:
    """Whenever it is asked, for how many at once."""
    clock, chance = Clock(), random.Random(7)
    pace = Pace(20, clock=clock)
    taken: list[float] = []
    for _ in range(3000):
        clock.now += chance.choice((0.0, 0.1, 1.0, 7.0, 61.0))
        taken += [clock.now] * pace.take(chance.randrange(1, 8))
        assert sum(moment > clock.now - MINUTE for moment in taken) <= 20
    assert len(taken) > 1000
