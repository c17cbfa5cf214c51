"""The engines of other hosts over SSH: one connection to each host, kept, and opened again when it broke.

All connections live in one background thread of this process. Over a connection runs one
`python3 -m engine.far`, which speaks JSON lines; the connection's end is its end, and whatever it was
told to hurt then heals there when its lease is over.
"""

import asyncio
import concurrent.futures
import contextlib
import itertools
import json
import os
import threading
from collections import deque
from collections.abc import Coroutine
from typing import Any, TypeVar

from engine.drivers._ssh_host import Place, connect, library, start
from engine.errors import EngineError, Unreachable

SETS_UP = 60.0  # seconds to copy the engine and start it
T = TypeVar("T")


class Line:
    """The engine of one place, over a connection that is opened when it is needed."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._process: Any = None
        self._opening: asyncio.Task[Any] | None = None

    async def ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        process = await self._opened()
        n = next(self._numbers)
        answer = self._waiting[n] = asyncio.get_running_loop().create_future()
        try:
            process.stdin.write(f"{json.dumps({**message, 'n': n})}\n")
            return await asyncio.wait_for(answer, seconds)
        except TimeoutError:
            raise Unreachable(
                f"The engine on {self.place} did not answer within {seconds:g} s.", "Is the host busy?"
            ) from None
        except OSError as error:
            raise Unreachable(f"The connection to {self.place} broke: {error}.") from None
        finally:
            self._waiting.pop(n, None)

    async def tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(EngineError, OSError):
            process = await self._opened()
            process.stdin.write(f"{json.dumps({**message, 'n': next(self._numbers)})}\n")

    async def _opened(self) -> Any:
        """The engine's process; whoever needs it while it is being opened waits for the same opening."""
        if self._process is not None:
            return self._process
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(self._has_opened)
        return await asyncio.shield(self._opening)

    def _has_opened(self, task: "asyncio.Task[Any]") -> None:
        self._opening = None
        if not task.cancelled():
            task.exception()  # told to those who waited

    async def _open(self) -> Any:
        connection = await connect(self.place)
        try:
            async with asyncio.timeout(SETS_UP):
                process = await start(connection, self.place)
        except TimeoutError:
            connection.abort()
            raise Unreachable(f"{self.place} did not take the engine within {SETS_UP:g} s.") from None
        except BaseException:
            connection.abort()
            raise
        self._process = process
        self._reading = asyncio.create_task(self._read(connection, process))
        return process

    async def _read(self, connection: Any, process: Any) -> None:
        """Hands each answer to who waits for it, until the connection ends."""
        words: deque[str] = deque(maxlen=5)
        listening = asyncio.create_task(_collect(process.stderr, words))
        with contextlib.suppress(OSError, ValueError, library().Error):
            async for line in process.stdout:
                if not line.startswith("{"):
                    continue  # what a login prints
                answered = json.loads(line)
                waiting = self._waiting.get(answered.pop("n"))
                if waiting and not waiting.done():
                    waiting.set_result(answered)
        self._process = None
        connection.abort()
        await listening
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Unreachable(f"The connection to {self.place} broke.", " ".join(words)))


async def _collect(stream: Any, words: "deque[str]") -> None:
    with contextlib.suppress(OSError, library().Error):
        async for line in stream:
            words.append(line.strip())


# The thread in which all this happens: one a process, none inherited by a fork


class _Thread:
    def __init__(self) -> None:
        self.lines: dict[Place, Line] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def line(self, place: Place) -> Line:
        with self._lock:
            return self.lines.setdefault(place, Line(place))

    def do(self, work: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="ssh", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)


_thread = _Thread()


def _forked() -> None:
    global _thread
    _thread = _Thread()


os.register_at_fork(after_in_child=_forked)


def ask(place: Place, message: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The answer of the engine at `place`. Raises Unreachable where none comes within `seconds`."""
    return _thread.do(_thread.line(place).ask(message, seconds)).result()


def tell(place: Place, message: dict[str, Any]) -> None:
    """As `ask`, but waits for nothing and complains of nothing."""
    _thread.do(_thread.line(place).tell(message))
