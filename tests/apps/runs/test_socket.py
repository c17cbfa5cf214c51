"""The socket of a run, through the board's own ASGI application: who may listen, and that nothing is lost."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator

import pytest
from asgiref.sync import sync_to_async

from apps.live.consumer import NOT_ALLOWED
from apps.live.relay import Relay
from apps.runs import recorder, services, transitions
from apps.runs.models import Run
from apps.runs.recorder import Recorder
from chaosboard.asgi import application
from tests.apps import factories
from tests.apps.browser import DEADLINE, Browser
from tests.apps.valkey import Server

pytestmark = pytest.mark.django_db(transaction=True)
HOST = "localhost"


@pytest.fixture
def cookie(client, person) -> str:
    client.force_login(person("ada"), backend="django.contrib.auth.backends.ModelBackend")
    return "; ".join(f"{key}={morsel.value}" for key, morsel in client.cookies.items())


@pytest.fixture
def server(settings) -> Iterator[Server]:
    server = Server()
    server.start()
    settings.REDIS_URL = server.url
    yield server
    server.kill()


@pytest.fixture
def run() -> Run:
    return services.claim(factories.run().pk)


def socket(run: Run, cookie: str, *, after: int = 0, origin: str = f"http://{HOST}") -> Browser:
    headers = {"Host": HOST, "Origin": origin, "Cookie": cookie}
    return Browser(application, f"/ws/runs/{run.pk}/?after={after}", headers)


async def numbers(browser: Browser, run: Run, until: int) -> list[int]:
    found: list[int] = []
    while not found or found[-1] < until:
        message = json.loads(await browser.receive())
        assert message["run"] == run.pk
        found += [event["n"] for event in message["events"]]
    return found


async def refused(browser: Browser) -> bool:
    await browser.connect()
    code = await browser.closed()
    await browser.disconnect()
    return code == NOT_ALLOWED


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not holds():
            await asyncio.sleep(0.01)


async def test_the_logged_in_get_every_event_as_it_is_stored(server, run, cookie) -> None:
    browser = socket(run, cookie)
    assert await browser.connect()
    with Recorder(run) as recording:
        for n in range(1, 20):
            recording(factories.notes(n, n))
        assert await numbers(browser, run, 19) == list(range(1, 20))
    await browser.disconnect()


async def test_others_do_not(run, cookie) -> None:
    assert await refused(socket(run, ""))


async def test_pages_of_other_sites_do_not(run, cookie) -> None:
    assert not await socket(run, cookie, origin="https://example.org").connect()


async def test_a_run_that_is_not_there_is_refused(run, cookie) -> None:
    assert await refused(socket(Run(pk=run.pk + 1), cookie))


async def test_nothing_is_lost_when_redis_restarts_and_the_browser_comes_back(
    server, run, cookie, monkeypatch
) -> None:
    monkeypatch.setattr(recorder, "TICK", 0.02)
    monkeypatch.setattr(recorder, "BEAT", 0.05)
    first = socket(run, cookie)
    assert await first.connect()
    with Recorder(run) as recording:
        recording(factories.notes(1, 5))
        assert await numbers(first, run, 5) == [1, 2, 3, 4, 5]
        await eventually(lambda: Relay.here().connected)
        server.kill()
        recording(factories.notes(6, 8))
        await eventually(lambda: not Relay.here().connected)
        assert await numbers(first, run, 8) == [6, 7, 8]
        await first.disconnect()
        recording(factories.notes(9, 10))
        second = socket(run, cookie, after=8)
        assert await second.connect()
        assert await numbers(second, run, 10) == [9, 10]
        server.start()
        await eventually(lambda: Relay.here().connected)
        recording(factories.notes(11, 30))
        assert await numbers(second, run, 30) == list(range(11, 31))
        await second.disconnect()


async def test_the_end_reaches_a_browser_although_its_message_was_lost(run, cookie) -> None:
    browser = socket(run, cookie)
    assert await browser.connect()
    with Recorder(run) as recording:
        recording(factories.notes(1, 2))
        assert await numbers(browser, run, 2) == [1, 2]
    await sync_to_async(services.finish)(run, {"verdict": "held"}, factories.notes(3, 3))
    assert await numbers(browser, run, 3) == [3]
    await browser.disconnect()


async def test_the_same_events_come_without_a_websocket(server, run, client, cookie, async_client) -> None:
    async_client.cookies = client.cookies
    await sync_to_async(transitions.store)(run, factories.notes(1, 3))
    answer = await async_client.get(f"/runs/{run.pk}/stream/?after=1")
    assert answer["Content-Type"] == "text/event-stream"
    async with asyncio.timeout(DEADLINE), contextlib.aclosing(aiter(answer)) as parts:
        text = await _first_event(parts)
    assert text.startswith("id: 3\n")
    assert [e["n"] for e in json.loads(text.partition("data: ")[2])["events"]] == [2, 3]


async def test_the_stream_resumes_where_the_browser_says_that_it_was(
    server, run, client, cookie, async_client
) -> None:
    async_client.cookies = client.cookies
    await sync_to_async(transitions.store)(run, factories.notes(1, 3))
    headers = {"last-event-id": "2"}
    answer = await async_client.get(f"/runs/{run.pk}/stream/?after=0", headers=headers)
    async with asyncio.timeout(DEADLINE), contextlib.aclosing(aiter(answer)) as parts:
        text = await _first_event(parts)
    assert [e["n"] for e in json.loads(text.partition("data: ")[2])["events"]] == [3]


async def test_the_stream_is_for_those_who_are_signed_in(run, async_client) -> None:
    answer = await async_client.get(f"/runs/{run.pk}/stream/")
    assert answer.status_code == 302


async def _first_event(parts) -> str:
    async for part in parts:
        if part.startswith(b"id:"):
            return part.decode()
    raise AssertionError("the stream ended without an event")
