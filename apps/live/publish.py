"""From a worker to every browser that looks: one Redis message, whatever their number.

What is published has been stored before, so a lost message delays a page and never falsifies it:
the page fetches what it missed from the database.
"""

import logging
import threading
import time

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

PREFIX = "chaosboard:live:"
PATIENCE = 0.1  # seconds for connecting, and again for the answer
BREAK = 1.0  # seconds in which a server that was away is not asked again

log = logging.getLogger(__name__)


class Publisher:
    """One connection to Redis that is never waited for: a publish takes at most twice PATIENCE."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(
            url,
            socket_connect_timeout=PATIENCE,
            socket_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
        self._away_until = 0.0

    def reachable(self) -> bool:
        try:
            return bool(self._client.ping())
        except (redis.RedisError, OSError):
            return False

    def publish(self, channel: str, first_n: int, payload: bytes) -> bool:
        """Whether the message went out; `payload` is a JSON list of events numbered from `first_n`."""
        if time.monotonic() < self._away_until:
            return False
        try:
            self._client.publish(PREFIX + channel, b"%d:%s" % (first_n, payload))
        except (redis.RedisError, OSError) as error:
            self._away_until = time.monotonic() + BREAK
            log.info("live: %s was not published: %s", channel, error)
            return False
        return True


_publishers: dict[str, Publisher] = {}
_lock = threading.Lock()


def publish(channel: str, first_n: int, payload: bytes) -> bool:
    publisher = _publisher()
    return publisher is not None and publisher.publish(channel, first_n, payload)


def reachable() -> bool:
    """Whether Redis answers, within twice PATIENCE."""
    publisher = _publisher()
    return publisher is not None and publisher.reachable()


def _publisher() -> Publisher | None:
    url = settings.REDIS_URL
    if not url:
        return None
    with _lock:
        return _publishers.get(url) or _publishers.setdefault(url, Publisher(url))
