"""Write-ahead undo records and leases; healing by a process that never injected.

A record is a file `undo/<id>.json` in the state directory, on disk before the fault is injected. Its
lease is `undo/<id>.lease`, the epoch seconds up to which the run that injected it last said that it
lives. When the lease or the record's own end has passed, the warden heals. A record that was read
back as clean moves to `undo/done/`; all others stay, and stay to be healed.
"""

import contextlib
import fcntl
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine import state as files
from engine.capabilities import ReadBack
from engine.drivers import REGISTRY as DRIVERS
from engine.drivers import Carrier, having
from engine.errors import BadInput, EngineError, Refused
from engine.faults import REGISTRY as FAULTS
from engine.faults import Fault
from engine.parameters import build, dump
from engine.target import Node

LEASE = 3.0  # seconds; a run that says nothing for so long is taken for dead
KEPT = 30 * 86400.0  # seconds for which the record of a healed fault is kept
AT_ONCE = 16  # records healed side by side
PATIENCE = 10.0  # seconds in which a healed fault must be read back as gone
STATES = ("injecting", "active", "healing", "clean", "unverified", "stuck", "acknowledged")


@dataclass(frozen=True)
class UndoRecord:
    """What heals one fault on one node. `injected_at` and `expires_at` are epoch seconds."""

    id: str
    run: str
    step: str
    fault: str
    params: dict[str, Any]
    node: dict[str, Any]
    driver: str
    captured: dict[str, Any]
    line: str
    state: str
    injected_at: float
    expires_at: float
    text: str = ""
    healed_at: float | None = None

    @property
    def node_name(self) -> str:
        return str(self.node["name"])


@dataclass(frozen=True)
class Healed:
    record: UndoRecord
    state: str
    text: str


def folder(state: Path) -> Path:
    return state / "undo"


def records(state: Path) -> list[UndoRecord]:
    """All faults that are not known to be clean."""
    return [r for path in sorted(folder(state).glob("*.json")) if (r := _read(path))]


def record_of(state: Path, id: str) -> UndoRecord | None:
    """The record, wherever it is now."""
    return _read(folder(state) / f"{id}.json") or _read(folder(state) / "done" / f"{id}.json")


def _read(path: Path) -> UndoRecord | None:
    found = files.read(path)
    return UndoRecord(**found) if found else None


def _write(state: Path, record: UndoRecord) -> None:
    files.write(folder(state) / f"{record.id}.json", asdict(record))


def prepare(
    state: Path, run: str, step: str, kind: str, fault: Fault, node: Node, seconds: float, *,
    id: str = "", together: bool = False, peers: Sequence[Node] = (),
) -> UndoRecord:  # fmt: skip
    """Writes the record of a fault that is about to be injected for `seconds`; `peers` as in `faults.Piece`.

    A node that is hurt already is refused, but for `together` only where another run hurts it.
    Raises Refused or Unreachable, and then nothing is written; but where another host was asked and it
    is unknown what it did, the record stays and is healed.
    """
    name, driver = having(node, fault.wants())
    if name != "link" and (why := driver.refusal(node)):
        raise Refused(why)
    _refuse_second(state, node, fault, run, step, together)
    captured = {} if isinstance(driver, Carrier) else fault.capture_among(driver, node, peers)
    now = time.time()  # what was looked at may have taken its time
    record = UndoRecord(
        id=id or uuid.uuid4().hex,
        run=run,
        step=step,
        fault=kind,
        params=dump(fault),
        node={**node.to_dict(), "kind": node.kind},
        driver=name,
        captured=captured,
        line=fault.line_among(node, peers),
        state="injecting",
        injected_at=now,
        expires_at=now + seconds,
    )
    _lease(state, record.id)
    _write(state, record)
    return _prepared_there(state, record, driver, together, peers) if isinstance(driver, Carrier) else record


def _prepared_there(
    state: Path, record: UndoRecord, driver: Carrier, together: bool, peers: Sequence[Node]
) -> UndoRecord:
    """Has the host of `driver` write its own record; that it did is kept as what was captured."""
    try:
        driver.prepare_far(record, record.expires_at - record.injected_at, together, peers)
    except Refused:
        _forget(state, record.id)  # it said no, so nothing was done
        raise
    prepared = replace(record, captured={"prepared": "there"})
    _write(state, prepared)
    return prepared


def _refuse_second(state: Path, node: Node, fault: Fault, run: str, step: str, together: bool) -> None:
    """Not for another piece of the same step, nor with `together` for one of the same run."""
    for other in records(state):
        piece = other.step == step and other.params != dump(fault)
        if run and other.run == run and (together or piece):
            continue
        same_link = other.fault == FAULTS.name_of(type(fault))
        if other.node["address"] == node.address and (other.driver != "link" or same_link):
            raise Refused(
                f"{node.name} is being hurt already: {other.line}, {other.state}.",
                "Wait for it to heal, or run `python -m engine heal --all`.",
            )


def inject(state: Path, record: UndoRecord) -> UndoRecord:
    """Injects what `prepare` wrote down. An injection that failed is healed: it may have happened."""
    fault, driver, node = parts(record)
    note = None
    try:
        if isinstance(driver, Carrier):
            driver.inject_far(record.id)
        else:
            note = fault.inject(driver, node, record.captured, record.id, record.expires_at)
    except (EngineError, OSError):
        if heal(state, record.id) is None:  # healed meanwhile, and not of what was done after that
            _heal_and_read_back(record, PATIENCE)
        raise
    active = replace(record, state="active", injected_at=time.time(), text=note or "")
    with _lock(state, record.id):
        if over(state, record):  # healed meanwhile, by the warden or a halt: it must not come back
            _heal_and_read_back(active, PATIENCE)
            raise EngineError(f"{record.line}: it was healed before it was complete.")
        _write(state, active)
    return active


def prolong(state: Path, record: UndoRecord, until: float) -> UndoRecord:
    """Moves the end of an active fault to `until` (epoch s): on disk first, then where the harm lives, then its lease.

    Raises Refused where that cannot be done, and then nothing has changed.
    """
    if why := unmovable(record):
        raise Refused(f"{record.line} cannot be made longer: {why}")
    fault, driver, node = parts(record)
    with _lock(state, record.id):
        found = _read(folder(state) / f"{record.id}.json")
        if found is None or found.state != "active" or expired(state, found):
            raise Refused(f"{record.line} is being healed already.")
        longer = replace(found, expires_at=until)
        _write(state, longer)
        fault.prolong(driver, node, longer.captured, longer.id, until)
        _lease(state, longer.id)
    return longer


def unmovable(record: UndoRecord) -> str:
    """Why the end of a fault cannot be moved, in words; "" where it can."""
    fault, driver, _ = parts(record)
    if isinstance(driver, Carrier):
        return "it is kept by the engine on another host, which holds to the end that it was told."
    return fault.unmovable(record.captured)


def renew(state: Path, record: UndoRecord) -> None:
    """Says that the run that injected it lives: its lease runs for LEASE seconds from now."""
    _lease(state, record.id)
    if issubclass(DRIVERS.get(record.driver), Carrier):
        _, driver, _ = parts(record)
        driver.renew_far(record.id)


def _lease(state: Path, id: str) -> None:
    files.write_quickly(folder(state) / f"{id}.lease", f"{time.time() + LEASE}")


def expired(state: Path, record: UndoRecord) -> bool:
    """Whether the record's end has passed, or its run has fallen silent."""
    now, lease = time.time(), lease_of(state, record)
    return now >= min(lease, record.expires_at) or lease > now + 2 * LEASE  # a clock that was set back


def heal(state: Path, id: str, *, patience: float = PATIENCE) -> Healed | None:
    """Heals one record and reads back. Idempotent; None where it was clean already."""
    with _lock(state, id):
        record = _read(folder(state) / f"{id}.json")
        if record is None:
            return None
        _write(state, replace(record, state="healing"))
        found = _heal_and_read_back(record, patience)
        name = {True: "clean", False: "stuck", None: "unverified"}[found.gone]
        done = replace(record, state=name, text=found.text, healed_at=time.time())
        if name == "clean":
            kept = replace(done, captured={})  # what it captured may hold secrets, and is needed no more
            files.write(folder(state) / "done" / f"{id}.json", asdict(kept))
            _forget(state, id)
        else:
            _write(state, done)
        return Healed(done, name, found.text)


def _forget(state: Path, id: str) -> None:
    (folder(state) / f"{id}.json").unlink(missing_ok=True)
    (folder(state) / f"{id}.lease").unlink(missing_ok=True)


def _heal_and_read_back(record: UndoRecord, patience: float) -> ReadBack:
    try:
        fault, driver, node = parts(record)
        if isinstance(driver, Carrier):
            return driver.heal_far(record)
        fault.heal(driver, node, record.captured, record.id)
        end = time.monotonic() + patience
        while True:
            found = fault.read_back(driver, node, record.captured, record.id)
            if found.gone or time.monotonic() > end:
                return found
            time.sleep(0.02)
    except BadInput as error:
        return ReadBack(None, f"cannot be healed by this version: {error}")
    except (EngineError, OSError) as error:
        return ReadBack(None, str(error))


def look(record: UndoRecord) -> ReadBack:
    """What the system shows of the fault now; heals nothing."""
    try:
        fault, driver, node = parts(record)
        if isinstance(driver, Carrier):
            return driver.look_far(record.id)
        found: ReadBack = fault.read_back(driver, node, record.captured, record.id)
        return found
    except (EngineError, OSError) as error:
        return ReadBack(None, str(error))


def recent(state: Path, count: int) -> list[UndoRecord]:
    """The faults that were healed last and read back as clean, the newest first."""
    paths = sorted((folder(state) / "done").glob("*.json"), key=_changed, reverse=True)
    return [r for path in paths[:count] if (r := _read(path))]


def acknowledge(state: Path, id: str, by: str) -> UndoRecord | None:
    """Closes a fault that could not be read back as gone: `by` has looked at the system and answers for it.

    None where it is closed already. Raises Refused while it is not healed, for then nobody needs to look.
    """
    with _lock(state, id):
        record = _read(folder(state) / f"{id}.json")
        if record is None:
            return None
        if record.state not in ("unverified", "stuck"):
            raise Refused(
                f"{record.line} is {record.state}; only what was healed and not seen gone is closed so."
            )
        text = f"{record.text}; {by} looked at it and answers for it, it was {record.state}"
        closed = replace(record, state="acknowledged", text=text, captured={})
        files.write(folder(state) / "done" / f"{id}.json", asdict(closed))
        _forget(state, id)
        return closed


def prune(state: Path) -> None:
    """Forgets the clean records that are older than KEPT; their runs keep what they told."""
    for path in (folder(state) / "done").glob("*.json"):
        if _changed(path) < time.time() - KEPT:
            path.unlink(missing_ok=True)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def lease_of(state: Path, record: UndoRecord) -> float:
    """The epoch seconds up to which the run that injected it last said that it lives; 0 where unknown."""
    try:
        return float((folder(state) / f"{record.id}.lease").read_text())
    except (OSError, ValueError):
        return 0.0


def known(state: Path, id: str) -> bool:
    """Whether there is a record of a fault that is not known to be clean, also one that cannot be read."""
    return (folder(state) / f"{id}.json").exists()


def over(state: Path, record: UndoRecord) -> bool:
    """Whether somebody healed it already, and read it back as clean."""
    return not (folder(state) / f"{record.id}.json").exists()


def heal_all(state: Path, *, run: str | None = None) -> list[Healed]:
    """Heals every record, or those of one run, side by side; what is clean already is left out."""
    chosen = [r.id for r in records(state) if run is None or r.run == run]
    with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="heal") as pool:
        return [healed for healed in pool.map(lambda id: heal(state, id), chosen) if healed]


def parts(record: UndoRecord) -> tuple[Fault, Any, Node]:
    """The fault, the driver and the node that a record tells of. Raises BadInput where they are unknown."""
    fault = build(FAULTS.get(record.fault), record.params, "fault")
    control, params = next(iter(record.node.get("driver", {}).items()), ("", {}))
    told = record.node
    node = Node(
        told["name"], told["address"], told.get("upstream", ""), control, params,
        tuple(told.get("tags", ())), told.get("kind", ""),
    )  # fmt: skip
    driver = build(DRIVERS.get(record.driver), params if control == record.driver else {}, "driver")
    return fault, driver, node


@contextlib.contextmanager
def _lock(state: Path, id: str) -> Iterator[None]:
    """Only one process heals a record at a time; the lock ends with the process that holds it."""
    path = folder(state) / ".lock" / id
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
        if not (folder(state) / f"{id}.json").exists():
            path.unlink(missing_ok=True)  # whoever waits for it will find nothing left to heal
