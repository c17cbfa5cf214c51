"""A node that talks to others: `python talking.py PORT`. It keeps a connection to whom it has spoken to.

It is told on its input, a line each,
`ADDRESS TEXT` (send this) or `child ADDRESS TEXT` (let a child of yours send this), and prints `heard TEXT` and,
for what came back on a connection of its own, `answer TEXT`.
"""

import os
import socket
import sys
import threading
from contextlib import suppress


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _read(connection: socket.socket, word: str, answers: bool) -> None:
    with suppress(OSError):
        for line in connection.makefile():
            _say(f"{word} {line.strip()}")
            if answers:
                connection.sendall(line.encode())


def _serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_read, args=(connection, "heard", True), daemon=True).start()


def _send(known: dict[str, socket.socket], address: str, text: str) -> None:
    if address not in known:
        host, _, port = address.rpartition(":")
        known[address] = socket.create_connection((host, int(port)))
        threading.Thread(target=_hear, args=(known, address), daemon=True).start()
    known[address].sendall(f"{text}\n".encode())


def _hear(known: dict[str, socket.socket], address: str) -> None:
    """Its answers, until the connection is over: the next one that is sent something is new."""
    _read(known[address], "answer", False)
    del known[address]


def main() -> None:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    threading.Thread(target=_serve, args=(listener,), daemon=True).start()
    known: dict[str, socket.socket] = {}
    _say("up")
    for line in sys.stdin:
        *child, address, text = line.split()
        if not child:
            _send(known, address, text)
        elif not os.fork():
            _send({}, address, text)
            threading.Event().wait()


if __name__ == "__main__":
    main()
