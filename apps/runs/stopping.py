"""Whether this worker was told to stop. A run that notices ends as aborted and heals first.

Celery tells its main process only; the runs are in its children. The flag lies in memory that both
share since the fork, and is written without a lock, as a signal handler must.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from multiprocessing.sharedctypes import RawValue
from typing import Any

from celery.signals import worker_shutting_down

REASON = "the worker was stopped"
_told = RawValue("b", 0)


def told() -> bool:
    return bool(_told.value)


def tell(*_args: Any, **_kwargs: Any) -> None:
    _told.value = 1


worker_shutting_down.connect(tell, dispatch_uid="chaosboard.stopping")


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Takes a SIGTERM that was meant for the whole group the same way: dying of it could leave a fault."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, tell)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
