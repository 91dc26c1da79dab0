"""How many containers are added in a minute: what thousands of runs at once may do to the API server and its nodes."""

import time
from collections import deque
from collections.abc import Callable

MINUTE = 60.0


class Pace:
    """Permits at most so many in any minute; ``clock`` tells seconds that only grow."""

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._taken: deque[float] = deque()

    def take(self, wanted: int) -> int:
        """Returns how many of those wanted are permitted now, and counts them."""
        now = self._clock()
        self._forget(now)
        permitted = max(0, min(wanted, self._most - len(self._taken)))
        self._taken.extend([now] * permitted)
        return permitted

    def note(self, others: int) -> None:
        """Counts what somebody else has just added: it is of the same minute."""
        now = self._clock()
        self._forget(now)
        self._taken.extend([now] * others)

    def wait(self) -> float:
        """Returns the seconds until one more is permitted."""
        too_many = len(self._taken) - self._most
        if too_many < 0:
            return 0.0
        return max(0.0, self._taken[too_many] + MINUTE - self._clock())

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0] <= now - MINUTE:
            self._taken.popleft()
