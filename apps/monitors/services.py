"""Between runs: every node of every service is looked at, and what was seen is kept on its row."""

import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any

from django.conf import settings

from apps.targets.models import Target
from apps.targets.services import keep
from engine import drivers, inspect
from engine.errors import EngineError
from engine.target import Target as EngineTarget

AT_ONCE = 8
PATIENCE = 4.0  # seconds for all; a service that takes longer is left out until the next tick


def tick() -> int:
    """Looks at every service once; returns how many were seen. 0 while another tick is at it."""
    with _alone() as alone:
        if not alone:
            return 0
        targets = list(Target.objects.prefetch_related("nodes").select_related("environment"))
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look")
        looks = {pool.submit(_look, target.to_engine()): target for target in targets}
        done, _late = wait(looks, timeout=PATIENCE)
        pool.shutdown(wait=False, cancel_futures=True)
        seen = {looks[look]: look.result() for look in done if _worked(look)}
        keep(seen)
        return len(seen)


def _worked(look: "Future[dict[str, Any]]") -> bool:
    return look.exception() is None


def _look(target: EngineTarget) -> dict[str, Any]:
    """Opens the links that the proxy lost, by a restart of the host or its own, and looks."""
    for node in target.nodes:
        if node.upstream:
            with suppress(EngineError):
                drivers.REGISTRY.get("link")().prepare(node)
    return inspect.check(target).to_dict()


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
