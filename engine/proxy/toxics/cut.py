from collections import deque
from typing import ClassVar

from engine.proxy.toxics import Stage


class Cut(Stage):
    """A black hole: nothing passes and nothing is lost; all of it goes on when the toxic is removed.

    Datagrams are lost.
    """

    last: ClassVar[bool] = True
    holds: ClassVar[bool] = True

    def start(self, before: Stage | None) -> None:
        self._waiting: deque[bytes | None] = deque()

    def take(self, data: bytes) -> None:
        if not self.flow.datagrams:
            self.flow.pending += len(data)
            self._waiting.append(data)
            self.flow.side.holding.add(self.flow)

    def end(self) -> None:
        self._waiting.append(None)

    def release(self) -> None:
        while self._waiting:
            data = self._waiting.popleft()
            if data is None:
                self.next.end()
            else:
                self.flow.pending -= len(data)
                self.next.take(data)

    def stop(self) -> None:
        self._waiting.clear()
