"""A child process that is told what to do on its standard input and ends with it.

Its parent writes one line of JSON, later perhaps `stop`. The end of the input means that the
parent is dead: whatever the child does, it must end too.
"""

import asyncio
import os
import sys
from typing import Any, Literal

import orjson

from engine.errors import BadInput, Problem

_STDIN = 0


class Leash:
    def __init__(self) -> None:
        self._rest = b""
        self._pulled: asyncio.Future[Literal["stop", "eof"]] | None = None

    def spec(self) -> dict[str, Any]:
        """Blocks for the first line; raises BadInput if it is not a JSON mapping."""
        while b"\n" not in self._rest:
            data = os.read(_STDIN, 65536)
            if not data:
                break
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            spec = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise BadInput([Problem("", f"the first line is not JSON: {error}")]) from None
        if not isinstance(spec, dict):
            raise BadInput([Problem("", "the first line must be a mapping")])
        return spec

    def hold(self) -> "asyncio.Future[Literal['stop', 'eof']]":
        """A future that is done when the parent says stop, or is gone."""
        loop = asyncio.get_running_loop()
        self._pulled = loop.create_future()
        if self._take(b""):
            return self._pulled
        os.set_blocking(_STDIN, False)
        loop.add_reader(_STDIN, self._readable)
        return self._pulled

    def _readable(self) -> None:
        try:
            data = os.read(_STDIN, 65536)
        except BlockingIOError:
            return
        if self._take(data) or not data:
            asyncio.get_running_loop().remove_reader(_STDIN)
        if not data:
            self._end("eof")

    def _take(self, data: bytes) -> bool:
        """Whether `stop` was among the lines."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if b"stop" in (line.strip() for line in lines):
            self._end("stop")
            return True
        return False

    def _end(self, how: Literal["stop", "eof"]) -> None:
        if self._pulled and not self._pulled.done():
            self._pulled.set_result(how)


def say(word: str) -> None:
    """One line to the parent; a parent that no longer listens is no error."""
    try:
        sys.stdout.write(word + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
