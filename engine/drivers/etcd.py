"""Commands of etcd itself, over the JSON gateway of a member."""

import time
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, ReadBack
from engine.drivers import Driver
from engine.errors import EngineError, Refused, Unreachable
from engine.target import Node
from engine.text import listed

TIMEOUT = 5.0  # seconds for a member to answer
SETTLED = 10.0  # seconds until all members have been connected for long enough (5 s) to take in another
LATE = 0.5  # seconds for what somebody asked before he died to come about
NOWHERE = "http://127.0.0.1:1"  # where the member that never comes would be: nobody listens there
Member = dict[str, Any]


@dataclass(frozen=True)
class Etcd(Driver):
    """What etcd does on command: it passes its lead on, and takes in members. Comes with services of kind etcd."""

    chosen: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = ("etcd",)

    # Lead

    def capture_lead(self, node: Node, to: str, back: bool) -> Captured:
        """Raises Refused where the node does not lead, or nobody could follow it."""
        seen = _look(node)
        me = seen["me"]
        if seen["leader"] != me:
            leads = _name(seen["members"], seen["leader"])
            raise Refused(f"{node.name} does not lead: {leads} does.", "Choose the leader.")
        others = [m for m in seen["members"] if m["id"] != me and m["name"] and not m["learner"]]
        if not others:
            raise Refused(f"{node.name} has no other voter to pass the lead on to.")
        wanted = [m for m in others if to in ("", m["name"])]
        if not wanted:
            raise Refused(
                f"There is no voter called {to!r}.", f"There are: {listed([m['name'] for m in others])}."
            )
        return {**seen, "to": [m["id"] for m in wanted]}

    def hand_over(self, captured: Captured) -> str:
        """Passes the lead on to the first who takes it; gives its name."""
        why = EngineError("Nobody took the lead.")
        for member in sorted(captured["to"], key=lambda id: not _answers(captured, id)):
            try:
                _pass_on(captured["address"], member)
                return _name(captured["members"], member)
            except Unreachable:
                raise
            except EngineError as error:
                why = error
        raise why

    def settle(self, captured: Captured) -> None:
        """etcd does it in one step of its own: nothing is left half done by us."""

    def hand_back(self, captured: Captured) -> None:
        leader = _leader(captured)
        if leader != captured["me"]:
            _pass_on(_place(captured, leader), captured["me"])

    def led(self, captured: Captured) -> ReadBack:
        """A linearizable read is answered only where a majority knows its leader."""
        leader = _leader(captured)
        _anywhere(captured, "/v3/kv/range", {"key": "AA==", "keys_only": True})
        name = _name(captured["members"], leader)
        return ReadBack(True, f"{name} leads, and a majority follows it")

    # Members

    def capture_members(self, node: Node) -> Captured:
        """Raises Refused where one more voter would leave no majority for ever, or a foreign one is awaited."""
        seen = _look(node)
        if strange := [m["peers"][0] for m in seen["members"] if not m["name"]]:
            raise Refused(
                f"A member that never came is expected already, at {strange[0]}.", "Remove it first."
            )
        voters = [m for m in seen["members"] if not m["learner"]]
        needed = (len(voters) + 1) // 2 + 1
        here = sum(m["id"] == seen["me"] or _answers(seen, m["id"]) for m in voters)
        if here < needed:
            raise Refused(
                f"With one more voter {needed} of {len(voters) + 1} would have to agree, and {here} answer."
            )
        return seen

    def add_member(self, captured: Captured, mark: str) -> None:
        """Its peer address carries the mark. Waits while etcd says that its members met only just now."""
        end = time.monotonic() + SETTLED
        while True:
            try:
                _post(captured["address"], "/v3/cluster/member/add", {"peerURLs": [_url(mark)]})
                return
            except EngineError as error:
                if "unhealthy cluster" not in str(error) or time.monotonic() > end:
                    raise
            time.sleep(0.2)

    def remove_member(self, captured: Captured, mark: str) -> None:
        """Looks a second time: what was asked by somebody who was killed may come about a moment later."""
        for pause in (LATE, 0.0):
            for member in self._marked(captured, mark):
                try:
                    _anywhere(captured, "/v3/cluster/member/remove", {"ID": member["id"]})
                except EngineError as error:
                    if "not found" not in str(error):
                        raise
            time.sleep(pause)

    def removed(self, captured: Captured, mark: str) -> ReadBack:
        if found := self._marked(captured, mark):
            return ReadBack(False, f"the member {found[0]['id']} that never comes is still counted")
        return ReadBack(True, "the member that never came is not counted any more")

    def _marked(self, captured: Captured, mark: str) -> list[Member]:
        members = _members(_listed(captured))
        return [m for m in members if _url(mark) in m["peers"]]


def _url(mark: str) -> str:
    return f"{NOWHERE}?chaosboard={mark}"


def _look(node: Node) -> Captured:
    """The node's address, its id and its leader's, and the members: id, name, learner, peers, clients."""
    address = node.upstream or node.address
    status = _post(address, "/v3/maintenance/status", {})
    members = _members(_post(address, "/v3/cluster/member/list", {}))
    me, leader = str(status["header"]["member_id"]), str(status.get("leader", "0"))
    return {"address": address, "me": me, "leader": leader, "members": members}


def _members(answer: dict[str, Any]) -> list[Member]:
    return [
        {
            "id": str(m["ID"]), "name": m.get("name", ""), "learner": bool(m.get("isLearner")),
            "peers": m.get("peerURLs", []), "clients": m.get("clientURLs", []),
        }
        for m in answer.get("members", ())
    ]  # fmt: skip


def _name(members: list[Member], id: str) -> str:
    return next((m["name"] for m in members if m["id"] == id), "") or "nobody"


def _places(captured: Captured) -> list[str]:
    """Where members may be asked: the node first, then the others where they say that they are."""
    others = [url for m in captured["members"] if m["id"] != captured["me"] for url in m["clients"]]
    return [captured["address"], *others]


def _place(captured: Captured, id: str) -> str:
    if id == captured["me"]:
        return str(captured["address"])
    urls: list[str] = next((m["clients"] for m in captured["members"] if m["id"] == id), [])
    if not urls:
        raise Unreachable(f"It is not known where the member {id} can be asked.")
    return str(urls[0])


def _answers(captured: Captured, id: str) -> bool:
    try:
        _post(_place(captured, id), "/v3/maintenance/status", {})
    except EngineError:
        return False
    return True


def _leader(captured: Captured) -> str:
    """The id of the leader. Raises Unreachable where no member answers, EngineError where none leads."""
    leader = str(_anywhere(captured, "/v3/maintenance/status", {}).get("leader", "0"))
    if leader == "0":
        raise EngineError("No member leads.")
    return leader


def _pass_on(address: str, to: str) -> None:
    """Asks the leader at `address`; returns when `to` leads."""
    _post(address, "/v3/maintenance/transfer-leadership", {"targetID": to})


def _anywhere(captured: Captured, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of the first member that gives one."""
    first: EngineError | None = None
    for place in _places(captured):
        try:
            return _post(place, path, body)
        except EngineError as error:
            first = first or error
    assert first
    raise first


def _listed(captured: Captured) -> dict[str, Any]:
    """The members as a majority knows them; etcd before 3.5 tells only what one of them knows."""
    try:
        return _anywhere(captured, "/v3/cluster/member/list", {"linearizable": True})
    except EngineError as error:
        if "unknown field" not in str(error):
            raise
        return _anywhere(captured, "/v3/cluster/member/list", {})


def _post(place: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """`place` is host:port or an URL. Raises Unreachable, or EngineError with etcd's own words."""
    import httpx  # not above: hosts that never speak to etcd may have none

    url = place if "://" in place else f"http://{place}"
    try:
        answer = httpx.post(f"{url}{path}", json=body, timeout=TIMEOUT, trust_env=False)
        data = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        why = str(error) or "no answer in time"
        raise Unreachable(f"etcd at {place} cannot be asked: {why}.", "Is it running?") from None
    if answer.status_code != 200 or not isinstance(data, dict):
        raise EngineError(f"etcd at {place} says: {_words(data)}.")
    return data


def _words(data: Any) -> str:
    return str(data.get("message") or data.get("error")) if isinstance(data, dict) else str(data)
