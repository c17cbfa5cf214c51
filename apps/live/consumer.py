"""A websocket that delivers the events n+1, n+2, … of one channel, without a gap or a repetition.

Whatever is lost on the way (a message, Redis, this process) is read from the database instead.
"""

import asyncio
import contextlib
import logging
import time
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

import orjson
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from apps.live.relay import Mailbox, Message, Relay

PACE = 0.04  # seconds between two messages to a browser, at least
POLL = 1.0  # seconds between two looks into the database while Redis is away
LOOK = 5.0  # the same while Redis is there and silent: the last message of all may be the lost one
NOT_ALLOWED = 4403
log = logging.getLogger(__name__)


class EventStream(AsyncWebsocketConsumer, ABC):
    """`?after=n` says what the browser has; subclasses say who may look, at what, and replay it."""

    channel_layer_alias = ""  # nothing comes through the channel layer: see `Relay`

    @abstractmethod
    async def authorise(self) -> bool:
        """Whether this browser may look; a place to look up what it asks for."""

    @abstractmethod
    def channel(self) -> str:
        """The name under which its messages are published."""

    def head(self) -> dict[str, Any]:
        """What each message says besides its events."""
        return {}

    @abstractmethod
    async def replay(self, after: int) -> list[dict[str, Any]]:
        """The stored events that follow `after`, in order; as many as make one message."""

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Without the housekeeping of the database that Channels does on each message (channels#2090)."""
        match message["type"]:
            case "websocket.connect":
                await self.connect()
            case "websocket.disconnect":
                await self._stop()
                raise StopConsumer
            case _:
                pass  # browsers have nothing to say here

    async def connect(self) -> None:
        user = self.scope.get("user")
        if user is None or not user.is_authenticated or not await self.authorise():
            await self.accept()  # a handshake that is refused would hide the code from the page
            await self.close(code=NOT_ALLOWED)
            return
        await self.accept()
        self._next = _after(self.scope) + 1
        self._sent_at = 0.0
        self._pump = asyncio.create_task(self._deliver())

    async def _stop(self) -> None:
        pump = getattr(self, "_pump", None)
        if pump is not None:
            pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pump

    async def _deliver(self) -> None:
        relay = Relay.here()
        try:
            with relay.listen(self.channel()) as box:
                while True:
                    await self._round(relay, box)
        except asyncio.CancelledError:
            raise
        except Exception:  # the browser reconnects and resumes; a socket that stays open and mute would lie
            log.exception("live: %s ended", self.channel())
            await self.close(code=1011)

    async def _round(self, relay: Relay, box: Mailbox) -> None:
        news = await box.wait(LOOK if relay.connected else POLL)
        await self._pace()
        messages, missed = box.take()
        if missed or not news:
            await self._catch_up()
        await self._send(messages)

    async def _send(self, messages: list[Message]) -> None:
        bodies, following = [], self._next
        for message in messages:
            if message.first == following <= message.last:
                bodies.append(message.body)
                following = message.last + 1
            elif message.last >= following or message.first > following:
                await self._catch_up()  # a gap, or half of it is known: the database has it whole
                return
        await self._write(bodies, following)

    async def _catch_up(self) -> None:
        while events := await self.replay(self._next - 1):
            following = self._next
            for event in events:
                if event["n"] != following:
                    raise LookupError(f"event {following} of {self.channel()} is missing")
                following += 1
            await self._write([orjson.dumps(events)[1:-1]], following)

    async def _write(self, bodies: list[bytes], following: int) -> None:
        if not bodies:
            return
        await self._pace()
        await self.send(text_data=_framed(orjson.dumps(self.head()), tuple(bodies)))
        self._next = following
        self._sent_at = time.monotonic()

    async def _pace(self) -> None:
        if (wait := self._sent_at + PACE - time.monotonic()) > 0:
            await asyncio.sleep(wait)


@lru_cache(maxsize=64)
def _framed(head: bytes, bodies: tuple[bytes, ...]) -> str:
    """One message; nearly all who look at a run get the same, so it is made once for all of them."""
    comma = b"," if len(head) > 2 else b""
    return (b'%s%s"events":[%s]}' % (head[:-1], comma, b",".join(bodies))).decode()


def _after(scope: dict[str, Any]) -> int:
    """The number in `?after=`; whatever is none counts as 0."""
    text = parse_qs(scope.get("query_string", b"").decode("ascii", "replace")).get("after", ["0"])[0]
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
