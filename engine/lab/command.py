"""`python -m engine lab up|list|down|enter`: real systems on a network of their own, to be hurt."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from engine import document
from engine.errors import BadInput, EngineError, Problem
from engine.lab import labs, loopback, records
from engine.lab.records import Record
from engine.lab.segment import CLIENTS
from engine.lab.spaces import space
from engine.parameters import build

EMPTY = "empty"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(do=lambda told: told.lab(told))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _actions(commands)
    for one in commands.choices.values():
        one.add_argument("--state", type=Path, default=argparse.SUPPRESS, help="the state directory")


def _actions(commands: Any) -> None:
    one = commands.add_parser("up", help="bring a system up, each node in a network namespace of its own")
    one.add_argument("system", help=f"etcd, valkey, …, or {EMPTY}: nodes with nothing on them")
    one.add_argument("--name", help="what the lab is called; the system's name if absent")
    one.add_argument("--nodes", type=int, help="how many; as many as the system has by itself if absent")
    one.add_argument(
        "--without-root", action="store_true", help="in a user namespace, also where we are root"
    )
    one.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the system"
    )
    one.add_argument(
        "--loopback", action="store_true", help="on loopback, without namespaces; stays until Ctrl-C"
    )
    one.add_argument(
        "--links", action="store_true", help="with --loopback: through link proxies that can be disturbed"
    )
    one.add_argument("--stay", action="store_true", help="stay here, and end the lab when this command ends")
    one.add_argument("--json", action="store_true", help="print the services as JSON, and nothing else")
    one.set_defaults(lab=up)
    one = commands.add_parser(
        "systems", help="the systems that there are, and what this machine lacks of them"
    )
    one.set_defaults(lab=systems)
    one = commands.add_parser("list", help="the labs that are up; what dead ones left is cleared away")
    one.set_defaults(lab=list_)
    one = commands.add_parser("down", help="end a lab, and all that runs in it")
    one.add_argument("name", nargs="?", help="all of them if absent")
    one.set_defaults(lab=down)
    one = commands.add_parser("enter", help="run a command inside a lab, where its clients are")
    one.add_argument("name")
    one.add_argument("--at", default=CLIENTS, metavar="NODE", help="at a node instead")
    one.add_argument("command", nargs="+", metavar="COMMAND", help="after --")
    one.set_defaults(lab=enter)


def up(told: Any) -> int:
    names, system = _system(told)
    name = told.name or told.system
    if told.loopback or told.links:
        if system is None:
            raise BadInput([Problem("--loopback", f"is for systems, and {EMPTY} is none")])
        loopback.up(told.state.absolute(), name, told.system, system[told.system], linked=told.links)
        return 0
    with_root = os.geteuid() == 0 and not told.without_root
    record, keeper = labs.up(told.state.absolute(), name, system, names, with_root=with_root, leash=told.stay)
    _tell(record, told.json)
    if told.stay:
        try:
            keeper.wait()
        except KeyboardInterrupt:
            labs.down(record)
    return 0


def _system(told: Any) -> tuple[list[str], dict[str, Any] | None]:
    """The names of the nodes, and the system as a document has it; raises BadInput."""
    if told.nodes is not None and told.nodes < 1:
        raise BadInput([Problem("--nodes", "must be at least 1")])
    if told.system == EMPTY:
        return [f"n{i + 1}" for i in range(told.nodes or 3)], None
    from engine.lab.systems import REGISTRY  # they need clients that not every host has

    params = dict(_setting(one) for one in told.set)
    if told.nodes is not None:
        params["nodes"] = told.nodes
    system = build(REGISTRY.get(told.system, "system"), params, "system")
    return [f"n{i + 1}" for i in range(system.seats)], {told.system: params}


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput([Problem("--set", f"{text!r} is not NAME=VALUE, as in balancer=nginx")])
    return name, value


def _tell(record: Record, as_json: bool) -> None:
    if as_json:
        print(json.dumps(record.documents, indent=1), flush=True)
        return
    print(f"The lab {record.name} is up on {record.network}.")
    for name, seat in record.seats.items():
        print(f"  {name:<10}{seat['address']}")
    if record.documents:
        file = Path(record.folder, "targets.yaml")
        text = document.dump({"targets": record.documents})
        file.write_text(text)
        print(f"\n{text}\nThat is in {file}, for experiments and for the board.")
    if not record.root:
        print(f"Its addresses are known only inside: python -m engine lab enter {record.name} -- COMMAND")
    print(f"End it with: python -m engine lab down {record.name}", flush=True)


def systems(told: Any) -> int:
    print(loopback.offers())
    return 0


def list_(told: Any) -> int:
    root = told.state.absolute()
    for name in labs.clear(root):
        print(f"{name}: it was dead; what it left is cleared away")
    found = records.all_of(root)
    for record in found:
        what = record.system or EMPTY
        ready = "" if record.ready else ", coming up"
        way = "as root" if record.root else "without root"
        print(f"{record.name}: {what}, {len(record.seats) - 1} nodes on {record.network}, {way}{ready}")
    if not found:
        print("No lab is up.")
    return 0


def down(told: Any) -> int:
    root = told.state.absolute()
    wanted = [records.named(root, told.name)] if told.name else records.all_of(root)
    for record in wanted:
        labs.down(record)
        print(f"{record.name}: gone")
    if not wanted:
        print("No lab is up.")
    return 0


def enter(told: Any) -> int:
    record = records.named(told.state.absolute(), told.name)
    if told.at not in record.seats:
        raise EngineError(
            f"The lab {record.name} has no node {told.at}.", f"There are: {', '.join(record.seats)}."
        )
    argv = [*space(record, told.at).entered(), *told.command]
    sys.stdout.flush()
    os.execvp(argv[0], argv)
