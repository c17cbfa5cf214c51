"""What the engine emits, into rows and to the browsers, without ever holding the engine up.

One thread writes whatever has come since it last wrote, so a slow database makes larger batches and
not a later run. It is also the run's heartbeat. Only a fault about to be injected is waited for.
"""

import logging
import threading
import time
from types import TracebackType

from django.db import DatabaseError, connection

from apps.runs import ordering, stopping, transitions
from apps.runs.mirror import state_directory
from apps.runs.models import Run
from apps.runs.transitions import Lost
from engine import state as files
from engine.errors import Refused
from engine.events import Event
from engine.orders import Order

BEAT = 0.5  # seconds between two signs of life
TICK = 0.1  # seconds between two batches, at least
PATIENCE = 5.0  # seconds to wait for the database before an injection is refused
TAKEN = "another process has taken the run over"
LAST_PATIENCE = 60.0  # seconds to wait for it at the end; then the reaper brings in what is missing

log = logging.getLogger(__name__)


class Recorder:
    """`emit`, `stop` and `orders` of one run. `after` is the number of the last event that is stored."""

    def __init__(self, run: Run, *, after: int = 0) -> None:
        self.run, self.last, self.stored = run, after, after
        self.lost: Lost | None = None
        self._reason = ""
        self._pending: list[Event] = []
        self._orders: list[Order] = []
        self.held_back: list[Event] = []
        self._told = True
        self._urgent = self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=f"recorder of {run.pk}", daemon=True)

    def __enter__(self) -> "Recorder":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stores what waits; what cannot be stored is brought in from the run's files by the reaper."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(LAST_PATIENCE)

    def __call__(self, events: list[Event]) -> None:
        with self._changed:
            for event in events:
                if event.n != self.last + 1:
                    raise ValueError(f"event {self.last + 1} is missing before event {event.n}")
                self.last = event.n
                # from the verdict on, events are stored in the same step as the result: see `finish`
                (self.held_back if self.held_back or event.kind == "verdict" else self._pending).append(event)
            self._changed.notify_all()
        if any(e.kind == "fault" and e.data.get("state") == "injecting" for e in events):
            self._wait_until_stored(events[-1].n)

    @property
    def complete(self) -> bool:
        """Whether everything is stored but what belongs into the same step as the result."""
        return not self.lost and not self._pending

    def stop(self) -> str:
        """Why the run should end, or "". Cheap: the engine asks often."""
        if self.lost:
            return TAKEN
        if stopping.told():
            return stopping.REASON
        if halt := files.halted(state_directory()):
            return f"halted by {halt.get('by', '?')}: {halt.get('reason', '')}"
        return self._reason

    def orders(self) -> list[Order]:
        """What people asked for since it was last called. Cheap: the engine asks often."""
        with self._changed:
            taken, self._orders = self._orders, []
        return taken

    def _wait_until_stored(self, n: int) -> None:
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            stored = self._changed.wait_for(lambda: self.stored >= n or self.lost, PATIENCE)
        if self.lost:
            raise Refused(f"Nothing is injected: {TAKEN}.")
        if not stored:
            raise Refused("The database cannot be written, so nothing is injected.", "Look at its log.")

    def _work(self) -> None:
        try:
            while (self._pending or not self._closing) and not self.lost:
                with self._changed:
                    self._changed.wait_for(lambda: self._pending or self._closing, BEAT)
                self._write()
        finally:
            connection.close()

    def _write(self) -> None:
        batch = list(self._pending)
        try:
            transitions.store(self.run, batch)
            self._reason = Run.objects.values_list("stop_reason", flat=True).get(pk=self.run.pk)
            orders = ordering.take(self.run)
        except (Lost, Run.DoesNotExist) as error:
            with self._changed:
                self.lost = error if isinstance(error, Lost) else Lost(f"{self.run} was deleted")
                self._changed.notify_all()
            return
        except DatabaseError as error:
            log.warning("run %s: %d events wait for the database: %s", self.run.pk, len(batch), error)
            connection.close()
            time.sleep(TICK)
            return
        with self._changed:
            del self._pending[: len(batch)]
            self._orders += orders
            self.stored = batch[-1].n if batch else self.stored
            self._urgent = False
            self._changed.notify_all()
        self._tell(batch)
        if batch:
            with self._changed:
                self._changed.wait_for(lambda: self._urgent or self._closing, TICK)

    def _tell(self, batch: list[Event]) -> None:
        """Where Redis was away, an empty list tells the browsers later that there is something to fetch."""
        if batch:
            self._told = transitions.tell(self.run, batch)
        elif not self._told:
            self._told = transitions.hint(self.run, self.stored + 1)
