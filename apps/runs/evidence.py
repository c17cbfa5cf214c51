"""What is hurt right now, with what the systems themselves show of it; and what was healed last."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from apps.runs.halting import name_of
from apps.runs.mirror import refresh, state_directory
from apps.runs.models import Injection, Run
from engine import undo
from engine.capabilities import ReadBack
from engine.undo import Healed, UndoRecord

LOOKS = 8  # systems that are looked at side by side
HEALED = 25  # of the last that were healed

STATES = {
    "planned": "Its time has not come; nothing is hurt.",
    "injecting": "What undoes it is on disk; it is being done.",
    "active": "It hurts. Its run renews the lease; silence heals.",
    "healing": "It is being taken back.",
    "clean": "Healed, and the system was read: nothing of it is left.",
    "unverified": "Healed, but the system could not be read. It is tried again.",
    "stuck": "The system shows that it is still there. It is tried again, and stays red.",
    "acknowledged": "It could not be read back as gone; a person looked at the system and answers for it.",
}


@dataclass(frozen=True)
class Hurt:
    """One fault on one node; `seen` is what the system shows now, None where no record is left to ask by."""

    line: str
    node: str
    state: str
    text: str
    run: Run | None
    record: UndoRecord | None = None
    seen: ReadBack | None = None
    injected_at: datetime | None = None
    ends_at: datetime | None = None
    heard_at: datetime | None = None


def hurt_now() -> list[Hurt]:
    """Every undo record that is not clean, each looked at; then what only the database still knows of."""
    state = state_directory()
    records = undo.records(state)
    runs = _runs([record.run for record in records])
    with ThreadPoolExecutor(max_workers=LOOKS, thread_name_prefix="look") as pool:
        seen = list(pool.map(undo.look, records))
    found = [_hurt(record, look, runs) for record, look in zip(records, seen, strict=True)]
    known = {record.id for record in records}
    orphans = Injection.objects.filter(state__in=("unverified", "stuck")).select_related("run__target")
    found += [
        Hurt(row.line, row.node, row.state, row.text, row.run)
        for row in orphans
        if row.record_id not in known and not undo.record_of(state, row.record_id)
    ]
    return found


def _hurt(record: UndoRecord, seen: ReadBack, runs: dict[str, Run]) -> Hurt:
    heard = undo.lease_of(state_directory(), record)
    return Hurt(
        line=record.line, node=record.node_name, state=record.state, text=record.text,
        run=runs.get(record.run), record=record, seen=seen,
        injected_at=_time(record.injected_at), ends_at=_time(record.expires_at - undo.LEASE),
        heard_at=_time(heard - undo.LEASE) if heard else None,
    )  # fmt: skip


def healed_last() -> list[Hurt]:
    """The faults that were read back as clean, or closed by a person, the newest first."""
    records = undo.recent(state_directory(), HEALED)
    runs = _runs([record.run for record in records])
    return [
        Hurt(
            line=record.line, node=record.node_name, state=record.state, text=record.text,
            run=runs.get(record.run), record=record, injected_at=_time(record.injected_at),
            ends_at=_time(record.healed_at) if record.healed_at else None,
        )
        for record in records
    ]  # fmt: skip


def heal(id: str) -> Healed | None:
    """Heals one fault at once, whatever its run does; None where it was clean already."""
    healed = undo.heal(state_directory(), id)
    refresh()
    return healed


def acknowledge(id: str, by: object) -> UndoRecord | None:
    """Closes a fault that could not be read back as gone; None where it is closed already. Raises Refused."""
    closed = undo.acknowledge(state_directory(), id, name_of(by))
    refresh()
    return closed


def _runs(ids: list[str]) -> dict[str, Run]:
    wanted = [int(id) for id in ids if id.isdecimal()]
    found = Run.objects.select_related("version__experiment", "target").defer("result", "target_document")
    return {str(pk): run for pk, run in found.in_bulk(wanted).items()}


def _time(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)
