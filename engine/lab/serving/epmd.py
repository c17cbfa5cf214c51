"""Erlang's port mapper (epmd) for nodes behind link proxies: whoever asks for a node is sent to its door.

    python -m engine.lab.serving.epmd HOST PORT NAME=PORT …

A node registers with the port on which it listens, and stays registered as long as that connection is open. Who
asks for NAME is told the PORT given here, and for any other name the port that was registered. After "Distribution
Protocol" in the ERTS guide of Erlang/OTP, as far as nodes use it.
"""

import asyncio
import struct
import sys
from collections.abc import Mapping
from contextlib import suppress

# The first byte of a request, and of an answer
REGISTER, PORT_OF, NAMES = b"x", b"z", b"n"
REGISTERED, REGISTERED_OLD, PORT = b"v", b"y", b"w"
_ABOUT = struct.Struct("!HBBHHH")  # port, kind, protocol, highest and lowest version, length of the name
_WIDE = 6  # the version from which on a node is given four bytes to tell it from those of its name before it


class Mapper:
    """`doors` are ports by the name of a node."""

    def __init__(self, port: int, doors: Mapping[str, int]) -> None:
        self._port, self._doors = port, doors
        self._about: dict[str, bytes] = {}  # what each registered node told of itself
        self._creation = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, struct.error, UnicodeDecodeError):
            try:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                request = await reader.readexactly(length)
                kind, told = request[:1], request[1:]
                if kind == REGISTER:
                    await self._register(told, reader, writer)
                elif kind == PORT_OF:
                    writer.write(self._where(told.decode()))
                elif kind == NAMES:
                    writer.write(struct.pack("!I", self._port) + self._names().encode())
                await writer.drain()
            finally:
                writer.close()

    async def _register(
        self, about: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Until its connection ends; a name that is taken is refused."""
        *_, highest, _, length = _ABOUT.unpack_from(about)
        name = about[_ABOUT.size : _ABOUT.size + length].decode()
        taken = name in self._about
        self._creation += 1
        form = (REGISTERED, "!BI") if highest >= _WIDE else (REGISTERED_OLD, "!BH")
        writer.write(form[0] + struct.pack(form[1], taken, self._creation))
        await writer.drain()
        if taken:
            return
        self._about[name] = about
        try:
            while await reader.read(1024):
                pass  # nothing is told on it
        finally:
            del self._about[name]

    def _where(self, name: str) -> bytes:
        if name not in self._about:
            return PORT + b"\1"
        return PORT + b"\0" + struct.pack("!H", self._port_of(name)) + self._about[name][2:]

    def _port_of(self, name: str) -> int:
        return self._doors.get(name) or int.from_bytes(self._about[name][:2], "big")

    def _names(self) -> str:
        return "".join(f"name {name} at port {self._port_of(name)}\n" for name in self._about)


async def serve(host: str, port: int, doors: Mapping[str, int]) -> None:
    server = await asyncio.start_server(Mapper(port, doors).talk, host, port)
    async with server:
        await server.serve_forever()


def main(host: str, port: str, *doors: str) -> None:
    told = (door.partition("=") for door in doors)
    asyncio.run(serve(host, int(port), {name: int(at) for name, _, at in told}))


if __name__ == "__main__":
    main(*sys.argv[1:])
