import socket
import time

import redis

from apps.live.publish import PREFIX, Publisher, publish


def test_a_message_goes_to_the_subscribers(server) -> None:
    client = redis.Redis.from_url(server.url)
    with client.pubsub() as pubsub:
        pubsub.subscribe(PREFIX + "run.1")
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"
        assert publish("run.1", 5, b"[{}]")
        assert pubsub.get_message(timeout=5)["data"] == b"5:[{}]"


def test_a_server_that_is_away_costs_nothing_but_the_message() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    publisher = Publisher(f"redis://127.0.0.1:{port}/0")
    begun = time.monotonic()
    assert not publisher.publish("run.1", 1, b"[]")
    assert time.monotonic() - begun < 0.2


def test_a_server_that_accepts_and_says_nothing_is_not_waited_for() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        publisher = Publisher(f"redis://127.0.0.1:{listening.getsockname()[1]}/0")
        begun = time.monotonic()
        assert not publisher.publish("run.1", 1, b"[]")
        assert not publisher.publish("run.1", 2, b"[]")
        assert time.monotonic() - begun < 0.25


def test_without_an_address_nothing_is_published(settings) -> None:
    settings.REDIS_URL = ""
    assert not publish("run.1", 1, b"[]")
