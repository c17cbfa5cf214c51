"""One Redis subscription for each web process, and a small mailbox for each browser."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import orjson
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from apps.live.publish import PREFIX

ROOM = 32  # messages that wait for a slow browser; older ones are dropped, and read from the database
RETRY = 0.5  # seconds between attempts to reach Redis
LOOK = 2.0  # seconds between pings
SILENCE = 6.0  # seconds without any answer after which the connection counts as dead

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """The events `first` to `last` as JSON, without the brackets of their list."""

    first: int
    last: int
    body: bytes

    @classmethod
    def of(cls, data: bytes) -> "Message":
        number, _, payload = data.partition(b":")
        first = int(number)
        return cls(first, first + len(orjson.loads(payload)) - 1, payload.strip()[1:-1])


class Mailbox:
    """Drops its oldest message when it is full, and remembers that something was missed."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque(maxlen=ROOM)
        self._news = False
        self._waiting: asyncio.Future[None] | None = None
        self.miss()  # what was stored before it was opened

    def put(self, message: Message) -> None:
        self._missed = self._missed or len(self._messages) == ROOM
        self._messages.append(message)
        self._ring()

    def miss(self) -> None:
        self._missed = True
        self._ring()

    def _ring(self) -> None:
        self._news = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(None)

    async def wait(self, timeout: float) -> bool:
        """Whether there is news; False after `timeout` seconds without. One at a time may wait.

        A bare future and a timer: an event in a time-out took an eighth of a web process with 500 browsers.
        """
        if self._news:
            return True
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        timer = loop.call_later(timeout, self._wake)
        try:
            await self._waiting
        finally:
            timer.cancel()
            self._waiting = None
        return self._news

    def take(self) -> tuple[list[Message], bool]:
        """Everything that waits, and whether anything may have been missed since the last call."""
        taken, missed = list(self._messages), self._missed
        self._messages.clear()
        self._missed = self._news = False
        return taken, missed


class Relay:
    """Hands each message of Redis to the mailboxes of its channel; reconnects for ever."""

    _here: WeakKeyDictionary[asyncio.AbstractEventLoop, "Relay"] = WeakKeyDictionary()

    def __init__(self, url: str) -> None:
        self.url = url
        self.connected = False
        self._boxes: dict[str, set[Mailbox]] = {}
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def here(cls) -> "Relay":
        """The relay of this event loop."""
        loop = asyncio.get_running_loop()
        relay = cls._here.get(loop)
        if relay is None or relay.url != settings.REDIS_URL:
            relay = cls._here[loop] = cls(settings.REDIS_URL)
        return relay

    @contextlib.contextmanager
    def listen(self, channel: str) -> Iterator[Mailbox]:
        box = Mailbox()
        self._boxes.setdefault(channel, set()).add(box)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._relay())
        try:
            yield box
        finally:
            self._boxes[channel].discard(box)
            if not self._boxes[channel]:
                del self._boxes[channel]
            if not self._boxes:
                self._task.cancel()
                self._task = None
                self.connected = False

    def listening(self, channel: str) -> int:
        """How many browsers follow a channel through this process."""
        return len(self._boxes.get(channel, ()))

    @classmethod
    def watching(cls, channel: str) -> int:
        """The same, over all event loops of this process; from any thread."""
        return sum(relay.listening(channel) for relay in list(cls._here.values()))

    async def _relay(self) -> None:
        while self.url:
            try:
                await self._subscription()
            except (redis.RedisError, OSError) as error:
                if self.connected:
                    log.warning("live: Redis is away, pages read the database meanwhile: %s", error)
            self.connected = False
            self._everyone_missed()
            await asyncio.sleep(RETRY)

    async def _subscription(self) -> None:
        client = redis.asyncio.Redis.from_url(
            self.url, socket_timeout=None, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )
        async with client, client.pubsub() as pubsub:
            await pubsub.psubscribe(PREFIX + "*")
            heard = asked = time.monotonic()
            while True:
                message = await pubsub.get_message(timeout=LOOK)
                now = time.monotonic()
                if message is not None:
                    heard = now
                    self._receive(message)
                elif now - heard > SILENCE:
                    raise ConnectionError("no answer")
                if now - asked >= LOOK:
                    asked = now
                    await pubsub.ping()

    def _receive(self, message: dict) -> None:
        if message["type"] == "psubscribe":
            self.connected = True
            self._everyone_missed()
        if message["type"] != "pmessage":
            return
        boxes = self._boxes.get(message["channel"].decode().removeprefix(PREFIX))
        if not boxes:
            return
        try:
            parsed = Message.of(message["data"])
        except (ValueError, TypeError) as error:
            log.error("live: a message that is none of ours on %s: %s", message["channel"], error)
            return
        for box in boxes:
            box.put(parsed)

    def _everyone_missed(self) -> None:
        for boxes in self._boxes.values():
            for box in boxes:
                box.miss()
