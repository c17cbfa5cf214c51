"""Nodes of a lab: their processes as those of this host, and each packet between them at the lab's switch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine import processes, starting, state, switch
from engine.capabilities import Captured, ReadBack
from engine.drivers.process import Process, _dropping
from engine.errors import EngineError, Refused, Unreachable
from engine.lab import records
from engine.lab.records import Record
from engine.lab.segment import CLIENTS
from engine.lab.spaces import space
from engine.parameters import param
from engine.target import Node, split_address


@dataclass(frozen=True)
class Lab(Process):
    """A node of a lab that `lab up` brought up. Say in one way which process of it is meant."""

    example: ClassVar = {"lab": "etcd", "port": 2379}

    lab: str = param("", help="the name of the lab")

    def __post_init__(self) -> None:
        if not self.lab:
            raise ValueError("lab says which lab it belongs to: its name, as in `python -m engine lab list`")
        super().__post_init__()

    def _record(self) -> Record:
        return records.named(state.root(), self.lab)

    def _foreign_port(self, node: Node, pid: int) -> str:
        """Why the process is not the node: it does not live where the node's address is."""
        record = self._record()
        seat = record.seat_at(split_address(node.address)[0])
        if not seat or seat == CLIENTS:
            return f"{node.address} is not a node of the lab {self.lab}."
        return ""

    def _start(self, captured: Captured, how: dict[str, Any]) -> None:
        """In the namespaces of the node, and not in those of whoever heals it."""
        place = space(self._record(), captured["seat"])
        first = starting.executable(how) or how["argv"][0]
        argv = place.command([*_dropping(how), first, *how["argv"][1:]])
        super()._start(captured, {**how, "argv": list(argv), "program": "", "uid": None})

    def capture(self, node: Node) -> Captured:
        """Its network is the lab's, which keeps it and leads back to it."""
        return {**super().capture(node), "seat": self._seat(node), "network": 0}

    def _seat(self, node: Node) -> str:
        """Where `node` is in the lab; raises Refused where it is not there."""
        record = self._record()
        host = split_address(node.address)[0]
        if seat := record.seat_at(host):
            return seat
        raise Refused(f"{node.name} is not in the lab {self.lab}: {host} is not on {record.network}.")

    # Capabilities: packets, shaping

    def capture_packets(self, node: Node, peers: Sequence[Node]) -> Captured:
        """Raises Refused where one of them is not in the lab, Unreachable where the lab is not up."""
        record, seat = self._record(), self._seat(node)
        if seat == CLIENTS:
            raise Refused(f"{node.name} is at the address of the clients of the lab, and no node of it.")
        others = sorted({self._seat(peer) for peer in peers} - {seat})
        return {"switch": str(record.switch), "keeper": record.keeper, "node": seat, "peers": others,
                "seats": [name for name in record.seats if name != seat]}  # fmt: skip

    def disturb_packets(self, captured: Captured, mark: str, how: dict[str, Any], until: float) -> None:
        what = {key: value for key, value in how.items() if key not in ("between", "direction")}
        self._ask(
            captured,
            {
                "do": "disturb", "mark": mark, "node": captured["node"], "until": until, "how": what,
                "others": _others(captured, how.get("between", "peers")), "direction": how.get("direction", "both"),
            },
        )  # fmt: skip

    def undisturb_packets(self, captured: Captured, mark: str) -> None:
        try:
            self._ask(captured, {"do": "clear", "mark": mark})
        except Unreachable:
            return  # the disturbance lives in the switch and died with it

    def undisturbed(self, captured: Captured, mark: str) -> ReadBack:
        if processes.status(captured["keeper"]) == "gone":
            return ReadBack(True, f"the lab {self.lab} is gone, and its network with it")
        try:
            lanes = self._ask(captured, {"do": "read"})["marks"].get(mark, [])
        except Unreachable as error:
            return ReadBack(None, str(error))
        if lanes:
            return ReadBack(False, f"{len(lanes)} ways between nodes of the lab are still disturbed")
        return ReadBack(True, f"nothing of it is left at the switch of the lab {self.lab}")

    def _ask(self, captured: Captured, message: dict[str, Any]) -> dict[str, Any]:
        from pathlib import Path

        return switch.call(Path(captured["switch"]), message)


def _others(captured: Captured, between: str) -> list[str]:
    """Those of the lab that are meant, the node's clients among them."""
    if between == "peers":
        return list(captured["peers"])
    if between == "clients":
        return [name for name in captured["seats"] if name not in captured["peers"]]
    if between == "all":
        return list(captured["seats"])
    raise EngineError(f"It is not known what is between {between!r}.")
