"""HTTP/1.1 requests as they pass: where each begins, what it asks for, and where it ends."""

import re
from collections.abc import Iterator
from typing import NamedTuple

MOST = 64 * 1024  # bytes of a head
_FIRST = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.[01]\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked[ \t]*\r\n", re.IGNORECASE)
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,15})[^\r\n]*\r\n")


class Head(NamedTuple):
    method: str
    path: str  # as it was sent, with its query
    content_type: str = ""  # only read of HTTP/2


class Requests:
    """Cuts a stream at the heads of its requests. What is no HTTP/1.1 is one piece without a head."""

    def __init__(self) -> None:
        self._rest = b""  # of a head, or of the size of a chunk
        self._left = 0  # bytes of the body, or of the chunk, that are still to come
        self._chunked = self._other = False

    def cut(self, data: bytes) -> Iterator[tuple[Head | None, bytes]]:
        """Each piece is a head with what it says, or bytes of a body."""
        data, self._rest = self._rest + data, b""
        while data:
            if self._other:
                yield None, data
                return
            if self._left:
                piece, data = data[: self._left], data[self._left :]
                self._left -= len(piece)
                yield None, piece
            elif self._chunked:
                piece, data = self._next_chunk(data)
                if not piece:
                    return
                yield None, piece
            else:
                head, piece, data = self._next_head(data)
                if not piece:
                    return
                yield head, piece

    def end(self) -> bytes:
        """What was kept because it was not whole."""
        rest, self._rest = self._rest, b""
        return rest

    def _next_head(self, data: bytes) -> tuple[Head | None, bytes, bytes]:
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 and len(data) < MOST and _may_begin(data):
            self._rest = data
            return None, b"", b""
        first = _FIRST.match(data) if end >= 4 else None
        if first is None:
            self._other = True
            return None, data, b""
        head = data[:end]
        length = _LENGTH.search(head)
        self._chunked = bool(_CHUNKED.search(head))
        self._left = int(length[1]) if length and not self._chunked else 0
        self._other = bool(_UPGRADE.search(head)) or first[1] == b"CONNECT"
        return Head(first[1].decode(), first[2].decode("latin-1")), head, data[end:]

    def _next_chunk(self, data: bytes) -> tuple[bytes, bytes]:
        head = _CHUNK.match(data)
        if head is None:
            if len(data) < 100 and b"\n" not in data:
                self._rest = data
                return b"", b""
            self._other = True
            return data, b""
        size = int(head[1], 16)
        if size:
            self._left = size + 2
            return data[: head.end()], data[head.end() :]
        end = head.end() if data[head.end() : head.end() + 2] == b"\r\n" else data.find(b"\r\n\r\n") + 2
        if end < 2 or len(data) < end + 2:
            self._rest = data
            return b"", b""
        self._chunked = False
        return data[: end + 2], data[end + 2 :]


def _may_begin(data: bytes) -> bool:
    """Whether a request may begin so: a method in capitals."""
    word, space, _ = data.partition(b" ")
    return word.isalpha() and word.isupper() and (bool(space) or len(word) < 20)
