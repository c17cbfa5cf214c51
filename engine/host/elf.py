"""What an executable file says of itself: which linker loads it, and which libraries it asks for."""

import struct
from dataclasses import dataclass

MACHINES = {3: "x86", 40: "ARM", 62: "x86-64", 183: "ARM64", 243: "RISC-V"}
_LOAD, _DYNAMIC, _INTERP, _NOTE = 1, 2, 3, 4
_NEEDED, _STRTAB = 1, 5
Segment = tuple[int, int, int, int]  # kind, place in the file, virtual address, bytes in the file


@dataclass(frozen=True)
class Program:
    """`interpreter` is the dynamic linker, "" for a static program; `needed` are its libraries."""

    machine: str
    interpreter: str
    needed: tuple[str, ...]
    go: bool


def read(path: str) -> Program | None:
    """None for a file that is no ELF file. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:4] != b"\x7fELF":
        return None
    try:
        return _program(data)
    except (struct.error, IndexError, ValueError):
        return None


def _program(data: bytes) -> Program:
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    (number,) = struct.unpack_from(f"{order}H", data, 18)
    segments = _segments(data, wide, order)
    named = [data[at : at + size].rstrip(b"\0").decode() for kind, at, _, size in segments if kind == _INTERP]
    return Program(
        MACHINES.get(number, f"machine {number}"),
        named[0] if named else "",
        _needed(data, segments, wide, order),
        any(kind == _NOTE and b"Go\0\0" in data[at : at + size] for kind, at, _, size in segments),
    )


def _segments(data: bytes, wide: bool, order: str) -> list[Segment]:
    (table,) = struct.unpack_from(f"{order}Q" if wide else f"{order}I", data, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}HH", data, 54 if wide else 42)
    found = []
    for i in range(count):
        if wide:
            kind, _, at, address, _, length = struct.unpack_from(f"{order}IIQQQQ", data, table + i * size)
        else:
            kind, at, address, _, length = struct.unpack_from(f"{order}IIIII", data, table + i * size)
        found.append((kind, at, address, length))
    return found


def _needed(data: bytes, segments: list[Segment], wide: bool, order: str) -> tuple[str, ...]:
    pair = f"{order}qQ" if wide else f"{order}iI"
    entries = [
        entry
        for kind, at, _, size in segments
        if kind == _DYNAMIC
        for entry in struct.iter_unpack(pair, data[at : at + size - size % struct.calcsize(pair)])
    ]
    texts = next((_place(value, segments) for tag, value in entries if tag == _STRTAB), 0)
    return tuple(_text(data, texts + value) for tag, value in entries if tag == _NEEDED)


def _place(address: int, segments: list[Segment]) -> int:
    """Where in the file that lies which is loaded at `address`."""
    for kind, at, start, size in segments:
        if kind == _LOAD and start <= address < start + size:
            return at + address - start
    raise ValueError(f"nothing is loaded at {address}")


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()
