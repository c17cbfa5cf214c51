"""Which stream is which: a client's streams have other numbers at the node once one was hit."""

from collections import deque

LATE = 1_000  # streams that are over, and of which something may still be under way


class Streams:
    """Those up to `base` have the same number on both sides. Only a client's streams have another one."""

    def __init__(self) -> None:
        self.base = 0
        self._next = 0
        self._there: dict[int, int] = {}  # by the client's number
        self._here: dict[int, int] = {}  # by the node's
        self._ended: dict[int, set[str]] = {}  # by whom, by the client's number
        self._over: deque[int] = deque()

    def begin(self, base: int) -> None:
        """From here on streams are numbered anew."""
        self.base, self._next = base, base + 2 if base % 2 else base + 1

    def open(self, stream: int) -> int:
        """The number of a client's new stream at the node."""
        self._there[stream], self._here[self._next] = self._next, stream
        self._next += 2
        return self._next - 2

    def there(self, stream: int) -> int | None:
        """At the node; None where the node does not know of it."""
        return stream if stream <= self.base else self._there.get(stream)

    def here(self, stream: int) -> int:
        """At the client."""
        return self._here.get(stream, stream)

    def last_here(self, last: int) -> int:
        """The last of the client's streams among those that the node opened up to `last`."""
        return max(
            (here for there, here in self._here.items() if there <= last), default=min(last, self.base)
        )

    def end(self, stream: int, by: str, at_once: bool) -> None:
        """`stream`, by the client's number, is ended by one side; with both, or `at_once`, it is over."""
        if stream not in self._there:
            return
        ended = self._ended.setdefault(stream, set())
        ended |= {"client", "node"} if at_once else {by}
        if len(ended) == 2:
            del self._ended[stream]
            self._over.append(stream)
        if len(self._over) > LATE:
            self._here.pop(self._there.pop(self._over.popleft(), 0), None)
