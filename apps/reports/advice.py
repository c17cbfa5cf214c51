"""What to try next, by rules from a result alone. Pure: the same result gives the same advice."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine import text

SHOWN = 5
WANTED = ("kill", "pause", "partition", "latency")  # what every service should have been hurt with
TRIES = {
    "kill": "Kill a node: the clean crash.",
    "pause": "Pause a node: it is silent, but its connections stay open.",
    "partition": "Cut the links: both sides live and may both believe that they lead.",
    "latency": "Slow a link down: nothing fails, everything waits.",
}
SAFER = {
    "redis": (
        "A replica takes over without the writes that had not reached it. Acknowledge only after a replica has them: "
        "set min-replicas-to-write on the primary, or let clients WAIT; then run this again.",
        "min-replicas-to-write 1",
    ),
    "postgres": (
        "The standby had not received what the primary had acknowledged. Let the primary wait for it; then run this "
        "again.",
        "synchronous_commit = on, synchronous_standby_names = 'ANY 1 (*)'",
    ),
    "mariadb": ("Let the primary wait for a replica before it answers; then run this again.", "rpl_semi_sync_master_enabled=ON"),
    "etcd": ("etcd does not lose what a majority has: look whether its disks really sync.", "etcd --unsafe-no-fsync=false"),
}  # fmt: skip


@dataclass(frozen=True)
class Advice:
    """`code` is a setting to change, `fault` a kind of harm to try, where there is one."""

    words: str
    code: str = ""
    fault: str = ""


def advice(
    report: Mapping[str, Any], kind: str, tested: Collection[str], suited: Collection[str] | None = None
) -> list[Advice]:
    """`tested` are the faults that runs of this target have had; `suited` those it can suffer, None: any."""
    found = [*_first(report), *_writes(report, kind), *_recovery(report), *_load(report), *_evidence(report)]
    can = [f for f in WANTED if f not in tested and (suited is None or f in suited)]
    found += [Advice(f"Never tested on this service. {TRIES[f]}", fault=f) for f in can]
    return found[:SHOWN] or [Advice("Everything held. Make it harder: longer, more nodes, more load.")]


def _first(report: Mapping[str, Any]) -> Iterator[Advice]:
    if report["clean"] is False:
        yield Advice(
            "Something of this run is still there or could not be read back. Look at “Hurt now” before anything else."
        )
    if report["ending"] == "failed":
        yield Advice("The run came to no verdict. Mend what its reason names, then run it again.")
    elif report["ending"] in ("aborted", "halted"):
        yield Advice("It was stopped, so nothing is shown either way. Run it again to its end.")


def _writes(report: Mapping[str, Any], kind: str) -> Iterator[Advice]:
    operations = report["operations"] or {}
    if operations.get("lost"):
        words, code = SAFER.get(
            kind, ("Acknowledge a write only when enough nodes have it; then run this again.", "")
        )
        yield Advice(words, code)
    elif operations and operations.get("lost", 0) is None and report["ending"] == "finished":
        yield Advice(
            "What was written was not read back. Give the recovery more time, so that losses can be seen."
        )
    if any(c["verdict"] == "violated" and c.get("stories") for c in report["checks"]):
        yield Advice(
            "Read from the leader alone, or with the store's linearizable reads, and see whether the finding goes away."
        )


def _recovery(report: Mapping[str, Any]) -> Iterator[Advice]:
    recovery = report["recovery"]
    violated = {e["name"] for e in report["expectations"] if e["verdict"] == "violated"}
    detect, took = recovery.get("time_to_detect"), recovery.get("time_to_recover_from_injected")
    if "recovers" in violated and took is None:
        yield Advice(
            "It did not come back by itself. Restart what was hurt by hand, and find what waits for it."
        )
    elif "recovers" in violated:
        yield Advice(
            f"It took {text.seconds(took)}. Shorten what decides that a node is dead: its time-outs."
        )
    elif took and detect is not None and took > 4 * max(detect, 0.25) and recovery.get("broken"):
        yield Advice(
            f"Seen after {text.seconds(detect)}, back after {text.seconds(took)}: failing over takes the time."
        )
    if "availability" in violated:
        yield Advice(
            "Let clients try again on another node: most of an outage is then not seen by those who use it."
        )


def _load(report: Mapping[str, Any]) -> Iterator[Advice]:
    rows = (report.get("load") or {}).get("nodes", [])
    answered = [row["after_share"] for row in rows if row.get("after_share") is not None]
    if len(answered) > 1 and max(answered) > 0.9 and any(row["before"] for row in rows if not row["after"]):
        yield Advice(
            "After the healing one node answers nearly everything. See that clients come back to the others."
        )


def _evidence(report: Mapping[str, Any]) -> Iterator[Advice]:
    if report["ending"] == "finished" and not report["operations"] and report["faults"]:
        yield Advice(
            "No client used it, so nothing is known of its data. Add a workload, such as a set or a register."
        )
