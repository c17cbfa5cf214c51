"""A websocket that delivers the events n+1, n+2, … of one channel, without a gap or a repetition."""

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from apps.live.feed import Feed, number

NOT_ALLOWED = 4403
STRAIGHT = "chaosboard.send"
Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
log = logging.getLogger(__name__)


class Straight:
    """Outside of all that wraps a socket: keeps the server's own way to send, for those who send much.

    Channels' session looks at each message whether a cookie is to be set with it, which took a quarter of a web
    process with 500 browsers.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await self.application({**scope, STRAIGHT: send}, receive, send)


class EventStream(AsyncWebsocketConsumer, ABC):
    """`?after=n` says what the browser has; subclasses say who may look, and at what."""

    channel_layer_alias = ""  # nothing comes through the channel layer: see `Relay`

    @abstractmethod
    async def authorise(self) -> bool:
        """Whether this browser may look; a place to look up what it asks for."""

    @abstractmethod
    def feed(self, after: int) -> Feed:
        """What it is told from the event after `after` on."""

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
        self._pump = asyncio.create_task(self._deliver(self.feed(_after(self.scope))))

    async def _stop(self) -> None:
        pump = getattr(self, "_pump", None)
        if pump is not None:
            pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pump

    async def _deliver(self, feed: Feed) -> None:
        send = self.scope.get(STRAIGHT, self.base_send)
        try:
            async with contextlib.aclosing(feed.messages()) as messages:
                async for text in messages:
                    if text:
                        await send({"type": "websocket.send", "text": text})
        except asyncio.CancelledError:
            raise
        except Exception:  # the browser reconnects and resumes; a socket that stays open and mute would lie
            log.exception("live: %s ended", feed.channel)
            await self.close(code=1011)


def _after(scope: dict[str, Any]) -> int:
    text = parse_qs(scope.get("query_string", b"").decode("ascii", "replace")).get("after", ["0"])[0]
    return number(text)
