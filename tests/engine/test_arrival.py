"""What the kernel says of when bytes came, and when that is not believed."""

import socket
import struct
import time

import pytest

from engine.proxy import arrival
from engine.proxy.arrival import OLDEST, ROOM, came

SLACK = OLDEST // 30  # the two clocks are not read at one instant


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        return one, server.accept()[0]


def test_bytes_came_when_they_were_sent_and_not_when_they_were_read() -> None:
    one, other = pair()
    with one, other:
        arrival.ask(other)
        for _ in range(100):  # a busy machine may be too late once
            began = time.monotonic_ns()
            one.send(b"x")
            sent = time.monotonic_ns()
            while time.monotonic_ns() < sent + OLDEST // 3:
                pass
            _, said, _, _ = other.recvmsg(10, ROOM)
            if began - SLACK <= came(said, -1) <= sent + SLACK:
                return
    pytest.fail("it never told when they were sent")


def test_what_is_not_said_or_cannot_be_is_not_believed() -> None:
    def said(ago: int) -> list[tuple[int, int, bytes]]:
        at = time.time_ns() - ago
        return [(socket.SOL_SOCKET, 35, struct.pack("qq", at // 10**9, at % 10**9))]

    assert came([], 5) == 5
    assert came(said(10 * OLDEST), 5) == 5  # it has waited, or the clock was set
    assert came(said(-10 * OLDEST), 5) == 5  # it comes from the future
    assert came([(socket.SOL_SOCKET, 35, b"")], 5) == 5
    assert came([(socket.SOL_SOCKET, 1, bytes(16))], 5) == 5
    assert came(said(1_000_000), 5) == pytest.approx(time.monotonic_ns() - 1_000_000, abs=OLDEST)
