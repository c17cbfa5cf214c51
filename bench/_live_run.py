"""A run that goes on, somebody who may look at it, and its ticks. Needs Django set up."""

import time
from collections.abc import Callable

import orjson
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command

from apps.runs import transitions
from apps.runs.models import Run
from bench._live_group import GROUP
from engine.events import Event
from tests.apps import factories

WIDTH = 0.1


def make() -> tuple[Run, str]:
    """A running run on a new database, and the cookie of a person who is signed in."""
    call_command("migrate", verbosity=0)
    person = get_user_model().objects.create_superuser("watcher", password="not used: the session is made")
    session = SessionStore()
    session[SESSION_KEY] = str(person.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[-1]
    session[HASH_SESSION_KEY] = person.get_session_auth_hash()
    session.save()
    run = factories.run()
    claimed = transitions.claim(run.pk)
    assert claimed
    return claimed, f"{settings.SESSION_COOKIE_NAME}={session.session_key}"


def interval(tick: int) -> Event:
    """As a run of three nodes, two probes and a load reports it; `tick` and `sent` are for the bench."""
    probe = {"good": 30, "total": 30, "p50": 0.000412, "p99": 0.003118, "max": 0.003999}
    node = {"good": 10, "total": 10}
    data = {
        "tick": tick, "sent": time.time_ns(), "t": tick * WIDTH, "width": WIDTH,
        "probes": {"etcd": probe, "http": probe}, "nodes": dict.fromkeys(("n1", "n2", "n3"), node),
        "ops": {"ok": 50, "fail": 0, "info": 0, "p50": 0.002, "p99": 0.011},
    }  # fmt: skip
    return Event(tick, tick * WIDTH, "interval", data)


def teller(run: Run) -> Callable[[int], None]:
    def tell(tick: int) -> None:
        events = [interval(tick)]
        transitions.store(run, events)
        transitions.tell(run, events)

    return tell


def group_teller() -> Callable[[int], None]:
    send = async_to_sync(get_channel_layer().group_send)

    def tell(tick: int) -> None:
        text = orjson.dumps({"run": 1, "events": [interval(tick).to_dict()]}).decode()
        send(GROUP, {"type": "tick", "text": text})

    return tell
