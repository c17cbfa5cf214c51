"""Commands of Redis and Valkey themselves, and of the Sentinels that watch them."""

import os
import time
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from engine import processes
from engine.capabilities import Captured, ReadBack
from engine.drivers import Driver
from engine.drivers._redis import (
    LOOK,
    TAKES_OVER,
    ask,
    at,
    led_by_sentinels,
    named,
    replace_primary,
    replicas_in,
    run_id,
    version,
    watching,
)  # fmt: skip
from engine.errors import EngineError, Refused, Unreachable
from engine.target import Node, split_address
from engine.text import listed

HOPS = 5  # replicas of replicas


@dataclass(frozen=True)
class Redis(Driver):
    """What Redis and Valkey do on command, by themselves or by their Sentinels. Comes with the kind redis."""

    chosen: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = ("redis",)

    def refusal(self, node: Node) -> str:
        own = urlsplit(os.environ.get("REDIS_URL", ""))
        host, port = split_address(_address(node))
        same = host == own.hostname or (processes.is_local(host) and processes.is_local(own.hostname or ""))
        if own.hostname and same and port == (own.port or 6379):
            return f"{node.name} serves chaosboard's own REDIS_URL; it never cuts the branch it sits on."
        return ""

    # Lead

    def capture_lead(self, node: Node, to: str, back: bool) -> Captured:
        """Raises Refused where the node is no primary, or nobody could follow it."""
        me = _address(node)
        role = ask(me, "ROLE")
        if role[0] != "master":
            raise Refused(f"{node.name} does not lead: {at(role[1], role[2])} does.", "Choose the leader.")
        replicas = replicas_in(role)
        if not replicas:
            raise Refused(f"{node.name} has no replica to pass the lead on to.")
        if to and to not in replicas:
            raise Refused(f"{node.name} has no replica {to}.", f"There are: {listed(replicas)}.")
        sentinels = watching(me)
        if sentinels and (to or back):
            raise Refused(
                f"Sentinels watch {node.name}, and they choose by themselves who leads next.",
                "Leave out `to` and `back`.",
            )
        if not sentinels and version(me) < (6, 2):
            raise Refused(f"{node.name} has no command for it: Redis has one since version 6.2.")
        return {"me": me, "to": to, "replicas": replicas, **sentinels}

    def hand_over(self, captured: Captured) -> str:
        """Returns when another one leads; gives its address."""
        if captured.get("sentinels"):
            return replace_primary(captured)
        return _fail_over(captured["me"], captured["to"])

    def settle(self, captured: Captured) -> None:
        """The servers do it in one step of their own: nothing is left half done by us."""

    def hand_back(self, captured: Captured) -> None:
        leads = _primary(captured["me"])
        if leads != captured["me"]:
            _fail_over(leads, _seen_from(leads, captured["me"]))

    def led(self, captured: Captured) -> ReadBack:
        """Whom the Sentinels, or else most of the servers, take for the primary, and whether it is one."""
        if captured.get("sentinels"):
            return led_by_sentinels(captured)
        servers = [captured["me"], *captured["replicas"]]
        places = [place for server in servers if (place := _primary_or_none(server))]
        if not places:
            raise Unreachable(f"None of {listed(servers)} answers.", "Are they running?")
        votes = Counter(map(run_id, places))
        leader, votes_for_it = votes.most_common(1)[0]
        place = next(place for place in places if run_id(place) == leader)
        said = f"{votes_for_it} of {len(servers)} servers take {place} for the primary"
        return ReadBack(2 * votes_for_it > len(servers), said)

    # Follow

    def capture_following(self, node: Node) -> Captured:
        """Raises Refused where the node is no replica."""
        me = _address(node)
        role = ask(me, "ROLE")
        if role[0] != "slave":
            raise Refused(f"{node.name} is no replica: it follows nobody.", "Choose the followers.")
        return {"me": me, "primary": at(role[1], role[2]), **watching(me)}

    def detach(self, captured: Captured) -> str:
        ask(captured["me"], "REPLICAOF", "NO", "ONE")
        if captured.get("sentinels"):
            return "Sentinels watch it: after some seconds they make it a replica again"
        return ""

    def attach(self, captured: Captured) -> None:
        """Follows whoever leads now, unless that is the node itself, or it follows somebody already."""
        me = captured["me"]
        if ask(me, "ROLE")[0] == "slave":
            return
        primary = _primary_now(captured)
        if run_id(primary) != run_id(me):
            ask(me, "REPLICAOF", *split_address(primary))

    def follows(self, captured: Captured) -> ReadBack:
        me = captured["me"]
        role = ask(me, "ROLE")
        if role[0] == "slave":
            where = at(role[1], role[2])
            follows = role[3] == "connected"
            return ReadBack(
                follows,
                f"{me} follows {where}" if follows else f"{me} does not follow {where} yet: {role[3]}",
            )
        if run_id(_primary_now(captured)) == run_id(me):
            return ReadBack(True, f"{me} was made the primary meanwhile, and leads")
        return ReadBack(False, f"{me} follows nobody")


def _address(node: Node) -> str:
    return (node.upstream or node.address).replace("localhost:", "127.0.0.1:")


def _primary(address: str) -> str:
    """The primary that the server at `address` follows, over replicas of replicas, or is itself."""
    for _ in range(HOPS):
        role = ask(address, "ROLE")
        if role[0] == "master":
            return address
        address = at(role[1], role[2])
    raise EngineError(f"The servers follow one another in a circle, at {address}.")


def _primary_or_none(address: str) -> str | None:
    try:
        return _primary(address)
    except EngineError:
        return None


def _primary_now(captured: Captured) -> str:
    """Who leads now: as the Sentinels say, or whom the former primary follows. Raises Unreachable."""
    if not captured.get("sentinels"):
        return _primary(captured["primary"])
    told, _ = named(captured)
    if told is None:
        raise Unreachable("The Sentinels do not agree who leads.", "It is tried again.")
    return told


def _seen_from(primary: str, me: str) -> str:
    """The address that `primary` knows its replica at `me` by."""
    mine = run_id(me)
    for replica in replicas_in(ask(primary, "ROLE")):
        if run_id(replica) == mine:
            return replica
    raise Unreachable(f"{me} does not follow {primary} yet, so it cannot lead.", "It is tried again.")


def _fail_over(primary: str, to: str) -> str:
    """The primary lets a replica catch up and gives way to it; returns the address of that one."""
    words = ("TO", *split_address(to)) if to else ()
    ask(primary, "FAILOVER", *words, "TIMEOUT", int(TAKES_OVER * 500))
    end = time.monotonic() + TAKES_OVER
    while time.monotonic() < end:
        role = ask(primary, "ROLE")
        if role[0] == "slave":
            return at(role[1], role[2])
        time.sleep(LOOK)
    raise EngineError(f"No replica of {primary} took the lead within {TAKES_OVER:.0f} s.")
