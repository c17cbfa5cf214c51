"""The lab's port mapper in place of Erlang's: who asks for a node is told its door, as long as the node is there."""

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import ports
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
LISTENS, DOOR = 25672, 12345


@pytest.fixture
def port() -> Iterator[int]:
    port = ports.choose(1)[0]
    argv = [sys.executable, "-m", "engine.lab.serving.epmd", "127.0.0.1", str(port), f"n1={DOOR}"]
    with subprocess.Popen(argv, cwd=ROOT) as mapper:
        until(lambda: not ports.free(port))
        yield port
        mapper.terminate()


def ask(port: int, request: bytes) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port), timeout=10)
    one.sendall(struct.pack("!H", len(request)) + request)
    return one


def told(port: int, request: bytes) -> bytes:
    with ask(port, request) as one:
        return one.makefile("rb").read()


def register(port: int, name: bytes, version: int) -> socket.socket:
    return ask(port, b"x" + struct.pack("!HBBHHH", LISTENS, 77, 0, version, 5, len(name)) + name + b"\0\0")


@pytest.mark.parametrize(("version", "kind", "form"), [(6, b"v", "!BI"), (5, b"y", "!BH")])
def test_a_node_is_told_that_it_is_known_and_others_are_sent_to_its_door(
    port: int, version: int, kind: bytes, form: str
) -> None:
    assert told(port, b"zn1") == b"w\1"
    with register(port, b"n1", version) as node, register(port, b"n1", version) as second:
        assert node.recv(1) == kind
        assert struct.unpack(form, node.recv(struct.calcsize(form)))[0] == 0
        assert second.recv(2) == kind + b"\1"  # the name is taken
        about = struct.pack("!HBBHHH", DOOR, 77, 0, version, 5, 2) + b"n1\0\0"
        assert told(port, b"zn1") == b"w\0" + about
        assert told(port, b"n") == struct.pack("!I", port) + b"name n1 at port %d\n" % DOOR
    until(lambda: told(port, b"zn1") == b"w\1")


def test_of_a_node_without_a_door_the_port_is_told_that_it_registered(port: int) -> None:
    with register(port, b"other", 6) as node:
        assert node.recv(2) == b"v\0"
        assert struct.unpack("!H", told(port, b"zother")[2:4]) == (LISTENS,)
        assert told(port, b"n").endswith(b"name other at port %d\n" % LISTENS)


@pytest.mark.parametrize("said", [b"", b"x", b"x\0\0", b"?", b"z\xff"])
def test_what_is_not_understood_ends_a_connection_and_nothing_else(port: int, said: bytes) -> None:
    assert told(port, said) in (b"", b"w\1")
    assert told(port, b"n") == struct.pack("!I", port)
