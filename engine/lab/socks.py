"""A SOCKS 5 server for each member of a system: `python -m engine.lab.socks FILE`.

Members that all know each other by one name (as etcd's do) are led over different links by it: FILE holds
{listening port: {name of a member: "host:port" of the link to it}}. It asks for no password and answers
CONNECT with a name, which is all that Go's HTTP client needs of it.
"""

import asyncio
import json
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from engine.target import split_address

HELLO, GRANTED, REFUSED = b"\x05\x00", b"\x05\x00", b"\x05\x04"
NOWHERE = b"\x00\x01\x00\x00\x00\x00\x00\x00"
BY_NAME = 3


async def _lead(ways: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(HELLO)
        _, _, _, kind = await reader.readexactly(4)
        name = (
            (await reader.readexactly((await reader.readexactly(1))[0])).decode() if kind == BY_NAME else ""
        )
        await reader.readexactly(2)
        host, port = split_address(ways[name])
        far_reader, far_writer = await asyncio.open_connection(host, port)
    except (KeyError, ValueError, OSError, EOFError):
        writer.write(REFUSED + NOWHERE)
        writer.close()
        return
    writer.write(GRANTED + NOWHERE)
    async with asyncio.TaskGroup() as both:
        both.create_task(_pass(reader, far_writer))
        both.create_task(_pass(far_reader, writer))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until its end, which is passed on too; a connection that breaks, breaks on the other side."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()
    except OSError:
        writer.transport.abort()


async def main(file: Path) -> None:
    tasks = []
    for port, ways in json.loads(file.read_text()).items():
        server = await asyncio.start_server(partial(_lead, ways), "127.0.0.1", int(port))
        tasks.append(asyncio.create_task(server.serve_forever()))
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
