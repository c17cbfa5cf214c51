"""Messages that carry the instant at which they were sent, and a sink that writes down when they came.

The kernel tells when a message came (SO_TIMESTAMPNS): how long the sink takes to wake up is in no figure.

python -m bench._stamps PORT      a sink: `ready`; for each line on its input one of JSON, [[sent, came], …] in ns
"""

import json
import os
import select
import socket
import struct
import sys
import time

from engine.clock import NS, hurry

STAMP = struct.Struct("q")
CAME = struct.Struct("qq")  # seconds and ns
_TIMESTAMPNS = 35  # SO_TIMESTAMPNS, which Python does not name


class Sink:
    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._poll, self._connections = select.epoll(), dict[int, socket.socket]()
        self._poll.register(self._listener, select.EPOLLIN)
        self._poll.register(0, select.EPOLLIN)
        self._found: list[tuple[int, int]] = []

    def run(self) -> None:
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._listener.fileno():
                    self._accept()
                elif fd == 0:
                    if not sys.stdin.readline():
                        return
                    print(json.dumps(self._found), flush=True)
                    self._found = []
                else:
                    self._take(fd)

    def _accept(self) -> None:
        one, _ = self._listener.accept()
        one.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
        self._connections[one.fileno()] = one
        self._poll.register(one, select.EPOLLIN)

    def _take(self, fd: int) -> None:
        try:
            data, said, _, _ = self._connections[fd].recvmsg(65536, 64)
        except OSError:
            data, said = b"", []
        if data:
            seconds, ns = CAME.unpack(said[0][2])
            came = seconds * NS + ns
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
    return STAMP.pack(time.time_ns())


if __name__ == "__main__":
    urgent()
    sink = Sink(int(sys.argv[1]))
    print("ready", flush=True)
    sink.run()
