"""Cuts a stream of chunks into lines, however long a line is and wherever a chunk ends."""

from toe.errors import UnavailableError

LONGEST_LINE = 64 * 1024 * 1024


class Lines:
    """Collects chunks and gives back whole lines without their newline, empty lines left out.

    The bytes of a long line are joined once, when its end has come (aiohttp's own reader gives up on long lines and a
    naive concatenation costs the square of the length). A line over ``longest`` bytes raises UnavailableError: no
    object of etcd comes near 64 MiB, so that is not an API server.
    """

    __slots__ = ("_longest", "_parts", "_size")

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._longest = longest

    def feed(self, chunk: bytes) -> list[bytes]:
        """Returns the lines that ``chunk`` completes, in order."""
        first, *rest = chunk.split(b"\n")
        if first:
            self._keep(first)
        if not rest:
            return []
        lines = [self.rest(), *rest[:-1]]
        if rest[-1]:
            self._keep(rest[-1])
        return [line for line in lines if line]

    def rest(self) -> bytes:
        """Hands over the unfinished line."""
        line = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return line

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._longest:
            raise UnavailableError(f"the stream has a line of more than {self._longest} bytes")
        self._parts.append(part)
