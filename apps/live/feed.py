"""What one browser is told of a channel: the events n+1, n+2, … without a gap or a repetition.

Whatever is lost on the way (a message, Redis, this process) is read from the database instead.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import lru_cache
from typing import Any

import orjson

from apps.live.relay import Message, Relay

PACE = 0.04  # seconds between two messages to a browser, at least
POLL = 1.0  # seconds between two looks into the database while Redis is away
LOOK = 5.0  # the same while Redis is there and silent: the last message of all may be the lost one

Replay = Callable[[int], Awaitable[list[dict[str, Any]]]]


class Feed:
    """`replay(n)` gives the stored events that follow n, in order; as many as make one message."""

    def __init__(self, channel: str, replay: Replay, after: int, head: dict[str, Any]) -> None:
        self.channel, self.replay, self.head = channel, replay, head
        self.next = after + 1
        self._told_at = 0.0
        self._watching = -1

    async def messages(self) -> AsyncIterator[str]:
        """JSON texts, for ever; an empty one where there was nothing to tell for a while."""
        relay = Relay.here()
        with relay.listen(self.channel) as box:
            while True:
                news = await box.wait(LOOK if relay.connected else POLL)
                await self._pace()
                messages, missed = box.take()
                watching = relay.listening(self.channel)
                if missed or not news:
                    async for text in self._catch_up(watching):
                        yield text
                async for text in self._fresh(messages, watching):
                    yield text
                if not news:
                    yield ""

    async def _fresh(self, messages: list[Message], watching: int) -> AsyncIterator[str]:
        bodies, following = [], self.next
        for message in messages:
            if message.first == following <= message.last:
                bodies.append(message.body)
                following = message.last + 1
            elif message.last >= following or message.first > following:
                async for text in self._catch_up(watching):  # a gap, or half of it is known
                    yield text
                return
        if bodies:
            yield self._told(bodies, following, watching)

    async def _catch_up(self, watching: int) -> AsyncIterator[str]:
        while events := await self.replay(self.next - 1):
            following = self.next
            for event in events:
                if event["n"] != following:
                    raise LookupError(f"event {following} of {self.channel} is missing")
                following += 1
            await self._pace()
            yield self._told([orjson.dumps(events)[1:-1]], following, watching)

    def _told(self, bodies: list[bytes], following: int, watching: int) -> str:
        self.next = following
        self._told_at = time.monotonic()
        return _framed(self._head(watching), tuple(bodies))

    def _head(self, watching: int) -> bytes:
        if watching != self._watching:
            self._watching = watching
            self._headed = orjson.dumps({**self.head, "watching": watching})
        return self._headed

    async def _pace(self) -> None:
        if (wait := self._told_at + PACE - time.monotonic()) > 0:
            await asyncio.sleep(wait)


@lru_cache(maxsize=64)
def _framed(head: bytes, bodies: tuple[bytes, ...]) -> str:
    """One message; nearly all who look at a run get the same, so it is made once for all of them."""
    return (b'%s,"events":[%s]}' % (head[:-1], b",".join(bodies))).decode()


def number(text: str) -> int:
    """The number of the last event that a browser has; whatever is none counts as 0."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
