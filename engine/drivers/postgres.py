"""What PostgreSQL does on command, and what it takes to pass its lead on, which it has no command for."""

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from engine import processes
from engine.capabilities import Captured, Family, Host, ReadBack, Restart
from engine.drivers import Driver, _postgres_follow, control
from engine.drivers._postgres import (
    Standby,
    ask,
    cramped,
    is_standby,
    let_in,
    remembered,
    show,
    source_for,
    source_of,
    standbys_of,
)  # fmt: skip
from engine.drivers._postgres_switch import Switch
from engine.errors import Refused, Unreachable
from engine.target import Node, split_address
from engine.text import listed


@dataclass(frozen=True)
class Postgres(Driver):
    """The lead of PostgreSQL, passed on to a standby, and standbys that follow nobody. Comes with the kind postgres.

    It logs in as $PGUSER, or postgres, with $PGPASSWORD or ~/.pgpass.
    """

    chosen: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = ("postgres",)

    def refusal(self, node: Node) -> str:
        own = urlsplit(os.environ.get("DATABASE_URL", ""))
        host, port = split_address(_address(node))
        same = host == own.hostname or (processes.is_local(host) and processes.is_local(own.hostname or ""))
        if own.scheme.startswith("postgres") and own.hostname and same and port == (own.port or 5432):
            return f"{node.name} serves chaosboard's own DATABASE_URL; it never cuts the branch it sits on."
        return ""

    # Lead

    def capture_lead(self, node: Node, to: str, back: bool) -> Captured:
        """Raises Refused where it could not be done without two primaries, or without losing something.

        Gives the old primary's address `me`, its directory `data`, how it is controlled, the address `to`
        of who will lead, and `source`, the primary_conninfo by which the old one will follow it.
        """
        me = _address(node)
        _refuse_standby(node, me)
        stopped = _controlled(node, me)
        if back:
            raise Refused(
                f"The lead does not come back to {node.name} by itself: only its own process is controlled.",
                "Leave out `back`, and transfer the leader again afterwards.",
            )
        standby = _standby(node, me, to)
        source = source_for(standby.address)
        _refuse_unfit(node, me, standby, source)
        data = Path(show(me, "data_directory")[0])
        if (data / "standby.signal").exists():
            raise Refused(f"{data}/standby.signal is there, although {node.name} leads.", "Remove it first.")
        return {
            "id": uuid.uuid4().hex, "me": me, "to": standby.address, "data": str(data), "source": source,
            "before": remembered(me, str(data)), "control": stopped, "pg_controldata": _pg_controldata(stopped),
            "node": {"name": node.name, "address": node.address, "upstream": node.upstream,
                     "control": node.control, "params": node.control_params},
        }  # fmt: skip

    def hand_over(self, captured: Captured) -> str:
        """Returns when the standby leads and the old primary follows it; gives its address."""
        switch = Switch(captured)
        switch.prepare()
        switch.stop()
        switch.finish()
        return switch.to

    def settle(self, captured: Captured) -> None:
        Switch(captured).settle()

    def hand_back(self, captured: Captured) -> None:
        """`capture_lead` refuses `back`."""

    def led(self, captured: Captured) -> ReadBack:
        return Switch(captured).led()

    # Follow

    def capture_following(self, node: Node) -> Captured:
        return _postgres_follow.capture(node.name, _address(node))

    def detach(self, captured: Captured) -> str:
        return _postgres_follow.detach(captured)

    def attach(self, captured: Captured) -> None:
        _postgres_follow.attach(captured)

    def follows(self, captured: Captured) -> ReadBack:
        return _postgres_follow.follows(captured)


def _address(node: Node) -> str:
    return (node.upstream or node.address).replace("localhost:", "127.0.0.1:")


def _refuse_standby(node: Node, me: str) -> None:
    if ask(me, "SELECT pg_is_in_recovery()")[0][0]:
        port = source_of(me)
        leads = f": it follows the server on port {port}" if port else ": it is a standby"
        raise Refused(f"{node.name} does not lead{leads}.", "Choose the leader.")


def _controlled(node: Node, me: str) -> dict[str, Any]:
    """What the node's driver needs to stop and start it; raises Refused where that is not the server itself."""
    driver = control(node)
    able = isinstance(driver, Host) and isinstance(driver, Family) and isinstance(driver, Restart)
    captured: Captured = driver.capture(node) if isinstance(driver, Family) and able else {}
    if "how" not in captured:
        raise Refused(
            f"To pass the lead of {node.name} on, its process must be stopped and started again as a standby.",
            "Control it with the process driver, on its own host.",
        )
    _refuse_another(node, me, captured["family"][0]["pid"])
    return dict(captured)


def _refuse_another(node: Node, me: str, main: int) -> None:
    data = show(me, "data_directory")[0]
    own = Path(data, "postmaster.pid")
    try:
        runs = int(own.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        runs = 0
    if runs != main:
        raise Refused(f"{processes.short(main)} is not the server of {data}, which answers at {me}.")
    if Path(node.control_params.get("pid_file") or "/").resolve() == own.resolve():
        raise Refused(
            f"{own} is the server's own, and would be written to when it is started again.",
            "Name the process by its port instead.",
        )


def _pg_controldata(stopped: dict[str, Any]) -> str:
    found = Path(stopped["how"]["program"]).with_name("pg_controldata")
    if not found.exists():
        raise Refused(f"{found} is missing: it tells where the primary's log ends.", "Install it.")
    return str(found)


def _standby(node: Node, me: str, to: str) -> Standby:
    found = standbys_of(me)
    if not found:
        raise Refused(f"{node.name} has no standby that streams from it over TCP and runs on this host.")
    wanted = [one for one in found if to in ("", one.address)]
    if not wanted:
        there = listed([one.address for one in found])
        raise Refused(f"{node.name} has no standby {to}.", f"There are: {there}.")
    if why := processes.refusal(wanted[0].pid):
        raise Refused(why)
    if is_standby(wanted[0].address) is None:
        raise Unreachable(f"{wanted[0].address} does not answer.", "Is it running?")
    return wanted[0]


def _refuse_unfit(node: Node, me: str, standby: Standby, source: str) -> None:
    """What does not move with the lead, or would keep the old primary from following."""
    to = standby.address
    slots = [name for (name,) in ask(me, "SELECT slot_name FROM pg_replication_slots WHERE NOT temporary")]
    if slots:
        raise Refused(
            f"{node.name} keeps replication slots, which do not move with the lead: {listed(slots)}."
        )
    waits = show(to, "synchronous_standby_names")[0]
    if waits:
        raise Refused(f"{to} would wait for synchronous standbys once it leads: {waits}.")
    if less := cramped(me, to):
        raise Refused(f"{node.name} has less {listed(less)} than {to}, so it could not follow it.")
    let_in(source, to)
