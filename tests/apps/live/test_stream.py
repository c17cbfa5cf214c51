"""A browser gets n+1, n+2, … once each and in order, whatever is lost on the way."""

import asyncio
import json
import time
from types import SimpleNamespace

import orjson

from apps.live.consumer import NOT_ALLOWED, EventStream
from apps.live.feed import PACE, Feed
from apps.live.publish import publish
from apps.live.relay import ROOM, Mailbox, Message, Relay
from tests.apps.browser import DEADLINE, Browser


class Stored:
    """Stands for the table of events."""

    def __init__(self, channel: str) -> None:
        self.channel, self.events, self.reads = channel, [], 0

    async def replay(self, after: int) -> list[dict]:
        self.reads += 1
        return self.events[after : after + 50]

    def add(self, count: int, *, tell: bool = True) -> None:
        first = len(self.events) + 1
        new = [{"n": n, "at": n / 10, "kind": "note", "data": {}} for n in range(first, first + count)]
        self.events += new
        if tell:
            publish(self.channel, first, orjson.dumps(new))


def stream(stored: Stored, *, user: bool = True, query: str = "") -> Browser:
    class Stream(EventStream):
        async def authorise(self):
            return True

        def feed(self, after):
            return Feed(stored.channel, stored.replay, after, {"run": 7})

    browser = Browser(Stream.as_asgi(), f"/ws/?{query}")
    browser.scope["user"] = SimpleNamespace(is_authenticated=user)
    return browser


async def numbers(browser: Browser, until: int) -> list[int]:
    """The numbers of all events that come, until one has the number `until`."""
    found: list[int] = []
    while not found or found[-1] < until:
        message = json.loads(await browser.receive())
        assert message["run"] == 7
        found += [event["n"] for event in message["events"]]
    return found


async def connected(connected: bool = True) -> None:
    async with asyncio.timeout(DEADLINE):
        while Relay.here().connected is not connected:
            await asyncio.sleep(0.01)


async def test_stored_events_come_first_and_live_ones_follow(server) -> None:
    stored = Stored("a")
    stored.add(3)
    browser = stream(stored, query="after=1")
    assert await browser.connect()
    assert await numbers(browser, 3) == [2, 3]
    await connected()
    stored.add(2)
    assert await numbers(browser, 5) == [4, 5]
    await browser.disconnect()


async def test_what_was_published_comes_without_a_look_into_the_database(server) -> None:
    stored = Stored("b")
    browser = stream(stored)
    await browser.connect()
    await connected()
    stored.add(1)
    assert await numbers(browser, 1) == [1]
    reads = stored.reads
    for _ in range(3):
        stored.add(1)
    assert await numbers(browser, 4) == [2, 3, 4]
    assert stored.reads == reads
    await browser.disconnect()


async def test_a_lost_message_is_read_from_the_database(server) -> None:
    stored = Stored("c")
    browser = stream(stored)
    await browser.connect()
    await connected()
    stored.add(2)
    assert await numbers(browser, 2) == [1, 2]
    stored.add(3, tell=False)
    stored.add(1)
    assert await numbers(browser, 6) == [3, 4, 5, 6]
    await browser.disconnect()


async def test_a_hint_without_events_makes_the_browser_catch_up(server) -> None:
    stored = Stored("d")
    browser = stream(stored)
    await browser.connect()
    await connected()
    stored.add(2, tell=False)
    publish("d", 3, b"[]")
    assert await numbers(browser, 2) == [1, 2]
    await browser.disconnect()


async def test_without_redis_the_database_is_asked(settings) -> None:
    settings.REDIS_URL = ""
    stored = Stored("e")
    browser = stream(stored)
    await browser.connect()
    stored.add(2)
    assert await numbers(browser, 2) == [1, 2]
    stored.add(2)
    assert await numbers(browser, 4) == [3, 4]
    await browser.disconnect()


async def test_redis_may_die_and_come_back(server) -> None:
    stored = Stored("f")
    browser = stream(stored)
    await browser.connect()
    await connected()
    stored.add(1)
    assert await numbers(browser, 1) == [1]
    server.kill()
    stored.add(2)
    await connected(False)
    stored.add(2)
    assert await numbers(browser, 5) == [2, 3, 4, 5]
    server.start()
    await connected()
    stored.add(1, tell=False)
    async with asyncio.timeout(DEADLINE):
        while not publish("f", 7, b"[]"):
            await asyncio.sleep(0.05)
    assert await numbers(browser, 6) == [6]
    await browser.disconnect()


async def test_a_flood_reaches_the_browser_whole_and_no_faster_than_it_can_be_drawn(server) -> None:
    stored = Stored("g")
    browser = stream(stored)
    await browser.connect()
    await connected()
    for _ in range(3 * ROOM):
        stored.add(2)
    found, moments = [], []
    while not found or found[-1] < 6 * ROOM:
        message = json.loads(await browser.receive())
        moments.append(time.monotonic())
        found += [event["n"] for event in message["events"]]
    assert found == list(range(1, 6 * ROOM + 1))
    assert moments[-1] - moments[0] > 0.9 * PACE * (len(moments) - 1)
    await browser.disconnect()


async def test_one_subscription_serves_all_browsers_and_ends_with_the_last(server) -> None:
    import redis

    stored = Stored("h")
    browsers = [stream(stored) for _ in range(3)]
    for browser in browsers:
        await browser.connect()
    await connected()
    client = redis.Redis.from_url(server.url)
    assert client.pubsub_numpat() == 1
    for browser in browsers:
        await browser.disconnect()
    async with asyncio.timeout(DEADLINE):
        while client.pubsub_numpat():
            await asyncio.sleep(0.01)


async def test_who_is_not_logged_in_is_refused() -> None:
    browser = stream(Stored("i"), user=False)
    await browser.connect()
    assert await browser.closed() == NOT_ALLOWED
    await browser.disconnect()


async def test_an_after_that_is_no_number_counts_as_none(settings) -> None:
    settings.REDIS_URL = ""
    stored = Stored("j")
    stored.add(1)
    browser = stream(stored, query="after=-1%27")
    await browser.connect()
    assert await numbers(browser, 1) == [1]
    await browser.disconnect()


def test_a_full_mailbox_drops_the_oldest_and_says_so() -> None:
    box = Mailbox()
    assert box.take() == ([], True)
    for n in range(1, ROOM + 2):
        box.put(Message(n, n, b"{}"))
    messages, missed = box.take()
    assert missed
    assert [m.first for m in messages] == list(range(2, ROOM + 2))
    assert box.take() == ([], False)


async def test_a_browser_that_leaves_just_as_news_arrives_is_let_go() -> None:
    box = Mailbox()

    async def wait_for_ever() -> None:
        while True:
            await box.wait(DEADLINE)
            box.take()

    waiting = asyncio.create_task(wait_for_ever())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    box.miss()
    await asyncio.sleep(0)
    waiting.cancel()
    done, _ = await asyncio.wait([waiting], timeout=1)
    assert done
