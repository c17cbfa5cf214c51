"""Many connections through one proxy process: idle ones, and ones that come and go."""

import os
import random
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from bench import _links as links
from bench._servers import ROOT
from chaosboard import ports
from engine.proxy import files as limits

IDLE, WARM, PASSING = 10_000, 10_000, 100_000
SPARE = 64  # files that the proxy keeps for others
AT_ONCE = 50
RESET = struct.pack("ii", 1, 0)
ECHO = """
import asyncio, sys
async def echo(reader, writer):
    try:
        while data := await reader.read(1000):
            writer.write(data)
    except OSError:
        pass
    writer.close()
async def main():
    async with await asyncio.start_server(echo, "127.0.0.1", int(sys.argv[1]), backlog=4096):
        print("ready", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@contextmanager
def echo() -> Iterator[int]:
    port = ports.choose(1)[0]
    argv = [sys.executable, "-c", ECHO, str(port)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            yield port
        finally:
            process.kill()


def raise_limit() -> int:
    """Before anything is started, for children have the limits of their parent; how many files that are."""
    limits.raise_limit()
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def memory(way: links.Way) -> int:
    return int(psutil.Process(way.pid).memory_info().rss)


def files(way: links.Way) -> int:
    return len(os.listdir(f"/proc/{way.pid}/fd"))


def answers(one: socket.socket) -> bool:
    one.sendall(b"hello")
    return one.recv(5) == b"hello"


def idle() -> bool:
    limit = raise_limit()
    count = min(IDLE, (limit - SPARE) // 2)
    why = "" if count == IDLE else f" (this user may open {limit:,} files, and each takes two)"
    with echo() as port, links.ours(port) as way:
        before, found = memory(way), []
        for _ in range(count):
            found.append(socket.create_connection(("127.0.0.1", way.port), timeout=10))
        good = all(map(answers, [found[0], found[-1], *random.sample(found, 200)]))
        each = (memory(way) - before) / count
        print(f"{count:,} idle connections{why}: {each / 1e3:.1f} kB each in the proxy; "
              f"{'those asked answer' if good else 'NOT all of those asked answer'}")  # fmt: skip
        for one in found:
            one.close()
    return good


def leak() -> bool:
    raise_limit()
    with echo() as port, links.ours(port) as way:
        _pass(way, WARM)
        before = memory(way), settled(way)
        _pass(way, PASSING)
        after = memory(way), settled(way)
    grown = after[0] - before[0]
    good = grown < 2_000_000 and after[1] <= before[1]
    print(f"{PASSING:,} connections come and gone: memory {grown / 1e3:+,.0f} kB, "
          f"open files {after[1] - before[1]:+}{'' if good else ' (it LEAKS)'}")  # fmt: skip
    return good


def settled(way: links.Way) -> int:
    """Its open files when the last connections have gone."""
    end = time.monotonic() + 5
    least = files(way)
    while time.monotonic() < end:
        time.sleep(0.1)
        least = min(least, files(way))
    return least


def _pass(way: links.Way, count: int) -> None:
    """They say something and close, every second one by a reset."""
    for _ in range(count // AT_ONCE):
        some = [socket.create_connection(("127.0.0.1", way.port), timeout=10) for _ in range(AT_ONCE)]
        for one in some:
            one.sendall(b"hello")
        for number, one in enumerate(some):
            with suppress(OSError):
                one.recv(5)
            if number % 2:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            one.close()
