"""Between runs: every service is looked at in its own pace, and what was seen is kept."""

import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from apps.monitors import keeping
from apps.monitors.models import Watch
from apps.targets.models import Target
from apps.targets.services import keep
from engine import drivers, inspect
from engine.errors import EngineError
from engine.target import Target as EngineTarget

AT_ONCE = 8
PATIENCE = 4.0  # seconds for all; a service that takes longer is left out until its next look
EARLY = 0.4  # seconds: a metronome of one second may be a little late, and must not leave a beat out


def tick(now: datetime | None = None) -> int:
    """Looks at every service that is due; returns how many were seen. 0 while another tick is at it."""
    now = now or timezone.now()
    with _alone() as alone:
        if not alone:
            return 0
        targets = _due(now)
        if not targets:
            return 0
        seen = _look_at_all(targets)
        keep(seen)
        keeping.keep(seen, now)
        for target, found in seen.items():
            Watch.objects.filter(target=target).update(status=keeping.status_of(found["nodes"]))
        return len(seen)


def _due(now: datetime) -> list[Target]:
    """The services whose turn it is; each is taken by one tick alone, on whichever host."""
    known = Target.objects.values_list("pk", "look_every", "watch__looked_at")
    due = [pk for pk, every, last in known if _is_due(last, every, now)]
    if not due:
        return []
    targets = Target.objects.prefetch_related("nodes", "depends_on").select_related("environment", "watch")
    return [target for target in targets.filter(pk__in=due) if _take(target, now)]


def _is_due(last: datetime | None, every: float, now: datetime) -> bool:
    return not (last and last <= now < last + timedelta(seconds=every - EARLY))


def _take(target: Target, now: datetime) -> bool:
    watch = getattr(target, "watch", None) or Watch.objects.get_or_create(target=target)[0]
    last = watch.looked_at
    return _is_due(last, target.look_every, now) and bool(
        Watch.objects.filter(pk=watch.pk, looked_at=last).update(looked_at=now)
    )


def _look_at_all(targets: list[Target]) -> dict[Target, dict[str, Any]]:
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look")
    looks = {pool.submit(_look, target.to_engine()): target for target in targets}
    done, _late = wait(looks, timeout=PATIENCE)
    pool.shutdown(wait=False, cancel_futures=True)
    return {looks[look]: look.result() for look in done if _worked(look)}


def _worked(look: "Future[dict[str, Any]]") -> bool:
    return look.exception() is None


def _look(target: EngineTarget) -> dict[str, Any]:
    """Opens the links that the proxy lost, by a restart of the host or its own, and looks."""
    for node in target.nodes:
        if node.upstream:
            with suppress(EngineError):
                drivers.REGISTRY.get("link")().prepare(node)
    return {"nodes": inspect.glance(target)}


@contextmanager
def _alone() -> Iterator[bool]:
    descriptor = os.open(settings.CHAOSBOARD_STATE / "monitors.lock", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)
