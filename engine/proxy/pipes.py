"""Pipes for splicing, made when they are needed and used again: each costs two file descriptors."""

import contextlib
import fcntl
import os

from engine.proxy import files

SIZE = 1 << 20  # bytes; the most that Linux gives everybody
KEPT = 32


class Pipe:
    """`held` is how many bytes are in it."""

    __slots__ = ("held", "inlet", "outlet")

    def __init__(self) -> None:
        self.outlet, self.inlet = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.held = 0
        with contextlib.suppress(OSError):  # those without a larger share keep the usual 64 KiB
            fcntl.fcntl(self.inlet, fcntl.F_SETPIPE_SZ, SIZE)

    def drain(self) -> bytes:
        """What is in it, copied out."""
        found = b""
        while len(found) < self.held:
            found += os.read(self.outlet, self.held - len(found))
        self.held = 0
        return found

    def close(self) -> None:
        files.give_back(2)
        os.close(self.outlet)
        os.close(self.inlet)


_IDLE: list[Pipe] = []


def take() -> Pipe | None:
    """None where no more files can be open: then it is copied."""
    if _IDLE:
        return _IDLE.pop()
    if not files.take(2):
        return None
    try:
        return Pipe()
    except OSError:
        files.give_back(2)
        return None


def give_back(pipe: Pipe) -> None:
    if pipe.held or len(_IDLE) >= KEPT:
        pipe.close()
    else:
        _IDLE.append(pipe)
