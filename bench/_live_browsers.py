"""Many browsers at one stream, as a process: `python -m bench._live_browsers URL COUNT TICKS [COOKIE]`.

It says `ready` when all are connected, and at the end prints one JSON line: the delays in ms of all
ticks that came, how many were missing, and how many came twice. A tick carries `"tick":n` and
`"sent":ns` of the wall clock, somewhere in a message that may hold several.
"""

import asyncio
import json
import re
import sys
import time

from websockets.asyncio.client import ClientConnection, connect

TICK = re.compile(rb'"tick":(\d+),"sent":(\d+)')
AT_ONCE = 25  # connections opened at a time
PATIENCE = 15.0  # seconds without a message after which the rest counts as missing


class Watcher:
    def __init__(self, ticks: int) -> None:
        self.ticks, self.delays, self.seen, self.repeated = ticks, [0.0] * 0, set[int](), 0

    async def follow(self, socket: ClientConnection) -> None:
        while len(self.seen) < self.ticks:
            try:
                async with asyncio.timeout(PATIENCE):
                    message = await socket.recv(decode=False)
            except TimeoutError:
                return
            now = time.time_ns()
            for number, sent in TICK.findall(message):
                self.repeated += int(number) in self.seen
                self.seen.add(int(number))
                self.delays.append((now - int(sent)) / 1e6)


async def main(url: str, count: int, ticks: int, cookie: str) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    headers = {"Cookie": cookie} if cookie else None
    origin = re.sub(r"^ws(://[^/]+).*", r"http\1", url)

    async def opened() -> ClientConnection:
        async with gate:
            return await connect(
                url,
                additional_headers=headers,
                origin=origin,
                open_timeout=60,
                compression=None,
                ping_interval=None,
            )

    sockets = await asyncio.gather(*(opened() for _ in range(count)))
    watchers = [Watcher(ticks) for _ in sockets]
    following = [asyncio.create_task(w.follow(s)) for w, s in zip(watchers, sockets, strict=True)]
    print("ready", flush=True)
    await asyncio.gather(*following)
    print(
        json.dumps(
            {
                "delays": [round(d, 2) for w in watchers for d in w.delays],
                "missing": sum(ticks - len(w.seen) for w in watchers),
                "repeated": sum(w.repeated for w in watchers),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    import uvloop

    url, count, ticks, *cookie = sys.argv[1:]
    uvloop.run(main(url, int(count), int(ticks), cookie[0] if cookie else ""))
