"""The stages that come before all others on the two directions of a connection of HTTP/2."""

from typing import TYPE_CHECKING, ClassVar

from engine.proxy.http2.frames import Cutter
from engine.proxy.toxics import Stage, Toxic
from engine.proxy.toxics._requests import _Requests

if TYPE_CHECKING:
    from engine.proxy.flow import Flow
    from engine.proxy.http2.session import Session

PREFACE = 24  # bytes


class _End(Stage):
    fixed: ClassVar[bool] = True
    flow: "Flow"

    def __init__(self, session: "Session", flow: "Flow", first: int) -> None:
        super().__init__(flow, Toxic("", "", flow.side.stream, 1.0, {}, type(self)))
        self._session, self._cutter = session, Cutter(first)
        self.next = flow.chain[0] if flow.chain else flow
        flow.chain = (self, *flow.chain)

    def rest(self) -> bytes:
        """What was kept because it was not whole."""
        rest, self._cutter.rest = self._cutter.rest, b""
        return rest

    def end(self) -> None:
        if rest := self.rest():
            self.next.take(rest)
        self.next.end()

    def stop(self) -> None:
        """Ends also the ring of who knows whom."""
        self._session.stop()
        del self._session


class Up(_End):
    def __init__(self, session: "Session", flow: "Flow") -> None:
        super().__init__(session, flow, PREFACE)

    def rules(self) -> list[_Requests]:
        return [stage for stage in self.flow.chain if isinstance(stage, _Requests)]

    def take(self, data: bytes) -> None:
        session = self._session
        if session.lost:
            return self.next.take(data)
        passed = b""
        for frame in self._cutter.cut(data):
            passed += frame.raw if session.lost else session.from_client(frame)
            if self.flow.connection.closed:
                return None
        if session.lost:
            passed += self.rest()
        if passed:
            self.next.take(passed)
        return None

    def end(self) -> None:
        self._session.release(None)
        super().end()


class Down(_End):
    def __init__(self, session: "Session", flow: "Flow") -> None:
        super().__init__(session, flow, 0)
        self._unsaid = b""
        self._began = False  # a node's first frame comes before all others

    def take(self, data: bytes) -> None:
        session = self._session
        if session.lost:
            return self.next.take(self.rest() + data)
        passed = []
        for frame in self._cutter.cut(data):
            passed.append(session.from_node(frame))
            self._began = True
            if self._unsaid and session.between():
                passed.append(self._unsaid)
                self._unsaid = b""
        if passed:
            self.next.take(b"".join(passed))
        return None

    def say(self, data: bytes) -> None:
        """Says something to the client between what the node says."""
        if self.flow.connection.closed:
            return
        if self._began and self._session.between():
            self.next.take(data)
        else:
            self._unsaid += data
