"""As much HTTP/1.1 as an API needs: whole requests out of bytes, and answers as bytes."""

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

MOST_HEAD, MOST_BODY = 64 * 1024, 16 << 20  # bytes
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")


class BadRequest(Exception):
    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # decoded, without its query
    headers: dict[str, str]  # names in lower case
    body: bytes
    keep: bool  # the connection stays open


def take_request(come: bytearray) -> Request | None:
    """Takes the first request out of `come`; None where it is not whole yet. Raises BadRequest."""
    end = come.find(b"\r\n\r\n")
    if end < 0:
        if len(come) > MOST_HEAD:
            raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head is too long")
        return None
    first, *lines = bytes(come[:end]).decode("latin-1").split("\r\n")
    method, target, version = _first_line(first)
    headers = dict(_header(line) for line in lines)
    body = _body(come, end + 4, headers)
    if body is None:
        return None
    content, length = body
    del come[:length]
    path = unquote(target.partition("?")[0])
    connection = headers.get("connection", "").lower()
    keep = "close" not in connection if version == "HTTP/1.1" else "keep-alive" in connection
    return Request(method, path, headers, content, keep)


def _first_line(line: str) -> tuple[str, str, str]:
    words = line.split(" ")
    if len(words) != 3 or not words[0].isalpha() or not words[1].startswith("/"):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "malformed request")
    if words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "unsupported protocol version")
    return words[0], words[1], words[2]


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name or name != name.strip():
        raise BadRequest(HTTPStatus.BAD_REQUEST, "malformed header")
    return name.lower(), value.strip()


def _body(come: bytearray, start: int, headers: dict[str, str]) -> tuple[bytes, int] | None:
    """The body, and where it ends in `come`; None where it is not whole."""
    if "transfer-encoding" in headers:
        if headers["transfer-encoding"].lower() != "chunked" or "content-length" in headers:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "unsupported transfer encoding")
        return _chunked(come, start)
    told = headers.get("content-length", "0")
    if not (told.isascii() and told.isdigit()):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "bad Content-Length")
    if len(told) > 12 or int(told) > MOST_BODY:
        raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request body too large")
    end = start + int(told)
    return (bytes(come[start:end]), end) if len(come) >= end else None


def _chunked(come: bytearray, at: int) -> tuple[bytes, int] | None:
    body = bytearray()
    while True:
        head = _CHUNK.match(come, at)
        if head is None:
            if len(come) - at > 64 or b"\r\n" in come[at:]:
                raise BadRequest(HTTPStatus.BAD_REQUEST, "malformed chunked encoding")
            return None
        size = int(head[1], 16)
        if size + len(body) > MOST_BODY:
            raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request body too large")
        end = head.end() + size
        if len(come) < end + 2:
            return None
        if come[end : end + 2] != b"\r\n":
            raise BadRequest(HTTPStatus.BAD_REQUEST, "malformed chunked encoding")
        if not size:
            return bytes(body), end + 2
        body += come[head.end() : end]
        at = end + 2


def answer(status: int, content: Any = None, *, kind: str = "application/json", keep: bool = True) -> bytes:
    """`content` is text, or what is to be JSON; None is an answer without a body."""
    body = b"" if content is None else content.encode() if isinstance(content, str) else _json(content)
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    if status != HTTPStatus.NO_CONTENT:
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    if not keep:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
