"""Messages that carry the instant at which they were sent, and a sink that writes down when they came.

python -m bench._stamps PORT      a sink: `ready`; for each line on its input one of JSON, [[sent, came], …] in ns
"""

import json
import os
import select
import socket
import struct
import sys
import time

from engine.clock import hurry

STAMP = struct.Struct("q")


class Sink:
    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._poll, self._connections = select.epoll(), dict[int, socket.socket]()
        self._poll.register(self._listener, select.EPOLLIN)
        self._poll.register(0, select.EPOLLIN)
        self._found: list[tuple[int, int]] = []

    def run(self) -> None:
        while True:
            events = self._poll.poll()
            came = time.monotonic_ns()
            for fd, _ in events:
                if fd == self._listener.fileno():
                    self._accept()
                elif fd == 0:
                    if not sys.stdin.readline():
                        return
                    print(json.dumps(self._found), flush=True)
                    self._found = []
                else:
                    self._take(fd, came)

    def _accept(self) -> None:
        one, _ = self._listener.accept()
        self._connections[one.fileno()] = one
        self._poll.register(one, select.EPOLLIN)

    def _take(self, fd: int, came: int) -> None:
        try:
            data = self._connections[fd].recv(65536)
        except OSError:
            data = b""
        if data:
            self._found += [(sent, came) for (sent,) in STAMP.iter_unpack(data)]
        else:
            self._poll.unregister(fd)
            self._connections.pop(fd).close()


def urgent() -> None:
    """What measures must not be late itself: real time where it may be had."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
    except OSError:
        hurry()


def stamp() -> bytes:
    return STAMP.pack(time.monotonic_ns())


if __name__ == "__main__":
    urgent()
    sink = Sink(int(sys.argv[1]))
    print("ready", flush=True)
    sink.run()
