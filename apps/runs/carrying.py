"""Messages to agents: the workers of other hosts, each with a queue of its own, `host.<name>`.

The warden of this host cannot reach them, as it knows no broker. What it left unverified is healed from
here, again and again, until the agent answers.
"""

import fcntl
import json
import logging
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import redis
from celery import current_app
from celery.exceptions import CeleryError
from django.conf import settings
from kombu.exceptions import KombuError
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.live.publish import reachable
from apps.runs.mirror import state_directory
from engine import undo
from engine.drivers import REGISTRY as DRIVERS
from engine.drivers import Carrier
from engine.errors import Unreachable

ANSWERS = "chaosboard:answer:"  # and a name: the list in Redis at which one answer is waited for
BRIEF = 2.0  # seconds after which a renewal that no agent took is worthless
LOOKS = {"hello", "refusal", "victim"}  # what is asked for a page, of many nodes one after another
REST = 5.0  # seconds in which an agent that did not answer is not asked again for a page
AWAY = (CeleryError, KombuError, redis.RedisError, OSError)

log = logging.getLogger(__name__)
_silent: dict[str, float] = {}  # when agents did not answer, in monotonic seconds


def queue(host: str) -> str:
    return f"host.{host}"


def post(host: str, message: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The agent's answer; raises Unreachable. With 0 seconds it waits for nothing and returns {}."""
    if not (settings.REDIS_URL and reachable()):
        raise Unreachable(f"Redis is away, so the agent of {host} cannot be asked.", "Start it again.")
    if message["do"] in LOOKS and time.monotonic() - _silent.get(host, -REST) < REST:
        raise _no_answer(host)
    to = f"{ANSWERS}{uuid.uuid4().hex}" if seconds else ""
    how = {"queue": queue(host), "retry": False, "expires": seconds or BRIEF}
    try:
        current_app.send_task("runs.far", args=[message, to], **how)
        found = _redis(settings.REDIS_URL).blpop([to], seconds) if to else (to, b"{}")
    except AWAY as error:
        raise Unreachable(f"The agent {host} cannot be asked: {error}.", "Is Redis up?") from None
    if not found:
        _silent[host] = time.monotonic()
        raise _no_answer(host)
    answered: dict[str, Any] = json.loads(found[1])
    return answered


def reply(to: str, answered: dict[str, Any]) -> None:
    """The answer of this host to whoever waits at `to`; "" where nobody does. Unread, it lasts a minute."""
    if to:
        with _redis(settings.REDIS_URL).pipeline() as both:
            both.rpush(to, json.dumps(answered)).expire(to, 60).execute()


@cache
def _redis(url: str) -> redis.Redis:
    """Waits longer than any answer may take: see `engine.drivers.patience`."""
    return redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=60, retry=Retry(NoBackoff(), 1))


def _no_answer(host: str) -> Unreachable:
    remedy = f"Does it run? On that host: python manage.py agent {host}"
    return Unreachable(f"The agent {host} does not answer.", remedy)


def overdue() -> list[undo.UndoRecord]:
    """What other hosts should have healed by now, and nobody has read back."""
    state = state_directory()
    return [
        r
        for r in undo.records(state)
        if r.driver in DRIVERS and issubclass(DRIVERS.get(r.driver), Carrier) and undo.expired(state, r)
    ]


def enqueue_healing() -> None:
    """A task of its own: an agent that is away is waited for, and the tick must not be."""
    if overdue() and settings.REDIS_URL and reachable():
        try:
            current_app.send_task("runs.heal_far", retry=False, expires=BRIEF)
        except AWAY as error:
            log.warning("what other hosts should have healed is asked for later: %s", error)


def heal() -> int:
    """Asks those hosts; how many are clean now. Nobody else does so at the same time."""
    path = state_directory() / "undo" / ".lock" / "far"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        with ThreadPoolExecutor(undo.AT_ONCE) as pool:
            healed = list(pool.map(lambda record: undo.heal(state_directory(), record.id), overdue()))
    return sum(one is not None and one.state == "clean" for one in healed)
