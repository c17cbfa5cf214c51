"""Frames of HTTP/2 out of bytes, and those that are made here."""

from typing import NamedTuple

from hyperframe import frame as frames

DATA, HEADERS, PRIORITY, RST_STREAM = 0, 1, 2, 3
PUSH_PROMISE, GOAWAY, CONTINUATION, PRIORITY_UPDATE = 5, 7, 9, 16
PREFACE = -1  # what a client says before its first frame, as if it were one
END_STREAM, END_HEADERS = 0x1, 0x4  # flags
HEAD = 9  # bytes
PIECE = 16_384  # bytes of a frame's content that everybody takes
_NUMBER = 0x7FFFFFFF


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    raw: bytes  # as it came, with its head

    def on(self, stream: int) -> bytes:
        """The same, of another stream."""
        return (
            self.raw if stream == self.stream else self.raw[:5] + stream.to_bytes(4, "big") + self.raw[HEAD:]
        )

    def ends(self) -> bool:
        """Whether it is the last one that its sender sends on the stream."""
        return self.kind == RST_STREAM or (self.kind in (DATA, HEADERS) and bool(self.flags & END_STREAM))


class Cutter:
    """Cuts a stream of bytes into whole frames. `first` is how many bytes come before the first one."""

    def __init__(self, first: int = 0) -> None:
        self._first, self.rest = first, b""

    def cut(self, data: bytes) -> list[Frame]:
        data = self.rest + data if self.rest else data
        found, at, size = [], 0, len(data)
        if self._first and size >= self._first:
            at, self._first = self._first, 0
            found.append(Frame(PREFACE, 0, 0, data[:at]))
        while not self._first and size - at >= HEAD:
            end = at + HEAD + int.from_bytes(data[at : at + 3], "big")
            if end > size:
                break
            stream = int.from_bytes(data[at + 5 : at + HEAD], "big") & _NUMBER
            found.append(Frame(data[at + 3], data[at + 4], stream, data[at:end]))
            at = end
        self.rest = data[at:]
        return found


def fragment(frame: Frame) -> bytes:
    """The part of a header block in it. Raises hyperframe's errors, which are ValueErrors or its own."""
    if frame.kind == CONTINUATION:
        return frame.raw[HEAD:]
    read, _ = frames.Frame.parse_frame_header(memoryview(frame.raw[:HEAD]))
    read.parse_body(memoryview(frame.raw[HEAD:]))
    assert isinstance(read, frames.HeadersFrame)
    return read.data


def headers(stream: int, block: bytes, ended: bool) -> bytes:
    pieces = [block[start : start + PIECE] for start in range(0, len(block), PIECE)] or [b""]
    made: list[frames.Frame] = [frames.HeadersFrame(stream, pieces[0], flags=["END_STREAM"] if ended else [])]
    made += [frames.ContinuationFrame(stream, piece) for piece in pieces[1:]]
    made[-1].flags.add("END_HEADERS")
    return b"".join(one.serialize() for one in made)


def reset(stream: int, code: int) -> bytes:
    return frames.RstStreamFrame(stream, code).serialize()


def window(size: int) -> bytes:
    """Lets the whole connection send `size` bytes more; nothing for none."""
    return frames.WindowUpdateFrame(0, size).serialize() if size else b""


def goaway(frame: Frame, last: int) -> bytes:
    """The same farewell, with another last stream."""
    return frame.raw[:HEAD] + last.to_bytes(4, "big") + frame.raw[HEAD + 4 :]


def last_of(goaway: Frame) -> int:
    return int.from_bytes(goaway.raw[HEAD : HEAD + 4], "big") & _NUMBER
