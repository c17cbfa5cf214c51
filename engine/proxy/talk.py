"""Those who give orders: small requests and answers on stream sockets, beside the links."""

import contextlib
import socket
from collections.abc import Callable

from engine.proxy import files
from engine.proxy.loop import IN_OR_OVER, OUT, Loop

SILENCE = 60.0  # seconds after which a caller that says nothing is let go
MOST = 64 * 1024

# Takes a whole request out of what has come, and answers: the answer, and whether to go on. None: more must come.
Answerer = Callable[[bytearray], tuple[bytes, bool] | None]


class Listener:
    """Answers everybody who connects to `listener`."""

    def __init__(self, loop: Loop, listener: socket.socket, answerer: Answerer) -> None:
        self._loop, self._listener, self._answerer = loop, listener, answerer
        listener.setblocking(False)
        loop.watch(listener.fileno(), self._accept)

    def _accept(self, mask: int = 0) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                self._loop.after(files.PAUSE, self._accept)
                return
            _Caller(self._loop, caller, self._answerer)


class _Caller:
    def __init__(self, loop: Loop, caller: socket.socket, answerer: Answerer) -> None:
        self._loop, self._caller, self._answerer = loop, caller, answerer
        self._come, self._unsent = bytearray(), b""
        self._last = self._heard = False
        caller.setblocking(False)
        if caller.family != socket.AF_UNIX:
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.watch(caller.fileno(), self._says)
        self._timer = loop.after(SILENCE, self._look)

    def _look(self) -> None:
        if not self._heard:
            return self._close()
        self._heard = False
        self._timer = self._loop.after(SILENCE, self._look)
        return None

    def _says(self, mask: int) -> None:
        if mask & OUT and self._unsent:
            self._send()
        if mask & IN_OR_OVER and self._caller.fileno() >= 0:
            self._read()

    def _read(self) -> None:
        self._heard = True
        over = False
        try:
            while data := self._caller.recv(MOST):
                self._come += data
            over = True
        except BlockingIOError:
            pass
        except OSError:
            return self._close()
        while not self._last and (answer := self._answerer(self._come)) is not None:
            self._unsent += answer[0]
            self._last = not answer[1]
        self._last = self._last or over
        return self._send()

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._caller.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            return self._close()
        if self._last:
            self._close()

    def _close(self) -> None:
        self._timer.cancel()
        if self._caller.fileno() >= 0:
            self._loop.forget(self._caller.fileno())
            with contextlib.suppress(OSError):
                self._caller.close()
