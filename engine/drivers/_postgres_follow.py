"""A PostgreSQL standby taken from its primary: it follows nobody, and what it serves gets old.

Its primary_conninfo is emptied by ALTER SYSTEM. So that it finds all of the log when it follows again, its
primary keeps that meanwhile for a replication slot `chaosboard_<id>`, but where the standby has its own.
"""

import time
import uuid

from engine.capabilities import Captured, ReadBack
from engine.drivers._postgres import ask, is_standby, remember, remembered, sender_of, show, source_of
from engine.errors import EngineError, Refused
from engine.target import split_address

LOOK = 0.05
LEAVES = 5.0  # seconds for the standby to let go of its primary
RETURNS = 15.0  # seconds for it to stream again: it tries every five
LATE = 0.5  # seconds for what somebody asked before he died to come about
NOBODY = ""  # the primary_conninfo of a standby that follows nobody
OLDEST = 130_000  # before version 13 a standby took a restart to follow somebody else


def capture(name: str, me: str) -> Captured:
    """Raises Refused where the node follows nobody over TCP, or could not follow again."""
    if not is_standby(me):
        raise Refused(f"{name} is no standby: it follows nobody.", "Choose the followers.")
    primary = sender_of(me)
    if primary is None:
        raise Refused(f"{name} does not stream from a primary over TCP.", "Is its primary running?")
    version, directory, own_slot = show(me, "server_version_num", "data_directory", "primary_slot_name")
    if int(version) < OLDEST:
        raise Refused(f"{name} would take a restart for it: PostgreSQL does it without since version 13.")
    ask(primary, "SELECT 1")  # it must be asked to keep its log, and later to let it go
    slot = "" if own_slot else f"chaosboard_{uuid.uuid4().hex}"
    return {
        "me": me, "primary": primary, "data": directory, "before": remembered(me, directory), "slot": slot,
    }  # fmt: skip


def detach(captured: Captured) -> str:
    me, slot = captured["me"], captured["slot"]
    if slot:
        ask(captured["primary"], "SELECT pg_create_physical_replication_slot(%s, true)", slot)
    remember(me, NOBODY)
    ask(me, "SELECT pg_reload_conf()")
    end = time.monotonic() + LEAVES
    while source_of(me) is not None:
        if time.monotonic() > end:
            raise EngineError(f"{me} still follows {captured['primary']} after {LEAVES:.0f} s.")
        time.sleep(LOOK)
    return "it restores its log from the archive still" if show(me, "restore_command")[0] else ""


def attach(captured: Captured) -> None:
    """Idempotent; what somebody has changed meanwhile is left as it is."""
    me, directory = captured["me"], captured["data"]
    if remembered(me, directory) != NOBODY:
        time.sleep(LATE)
    if remembered(me, directory) == NOBODY:
        remember(me, captured["before"])
    ask(me, "SELECT pg_reload_conf()")
    end = time.monotonic() + RETURNS
    while is_standby(me) and source_of(me) is None:
        if time.monotonic() > end:
            raise EngineError(f"{me} does not follow {captured['primary']} yet.", "It is tried again.")
        time.sleep(LOOK)
    _let_go(captured)


def _let_go(captured: Captured) -> None:
    """Lets the primary forget what it kept; the slot's name is its mark."""
    query = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s"
    if captured["slot"]:
        ask(captured["primary"], query, captured["slot"])


def follows(captured: Captured) -> ReadBack:
    me, primary, slot = captured["me"], captured["primary"], captured["slot"]
    if slot and ask(primary, "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", slot):
        return ReadBack(False, f"{primary} still keeps its log for the slot {slot}")
    if is_standby(me) is False:
        return ReadBack(True, f"{me} was made the primary meanwhile, and leads")
    if remembered(me, captured["data"]) == NOBODY or source_of(me) is None:
        return ReadBack(False, f"{me} does not follow anybody yet")
    if source_of(me) == split_address(primary)[1]:
        return ReadBack(True, f"{me} follows {primary}")
    return ReadBack(True, f"{me} follows {sender_of(me)}")
