"""The far end of a carrier: the same engine on another host, which hurts and heals there.

One message is one JSON mapping, answered by one; see `engine.drivers.Carrier` for who sends them:

    {"do": "hello"}                                  -> {"python": …, "host": …}
    {"do": "refusal", "node": …}                     -> {"why": ""}
    {"do": "victim", "node": …}                      -> {"what": "pid 4711, etcd --name n1"}
    {"do": "ready", "node": …}                       -> {"started": false}   as Driver.prepare, and its release
    {"do": "release", "node": …}                     -> {}
    {"do": "prepare", "record": …, "node": …, "peers": […]} -> {}      the undo record is on this host's disk
    {"do": "inject", "id": …}                        -> {}
    {"do": "renew", "id": …}                         -> {}       without it for a lease, this host heals
    {"do": "look", "id": …}                          -> {"gone": false, "text": …}    heals nothing
    {"do": "heal", "id": …}                          -> {"gone": true, "text": …}, and "unknown" without record

An answer may be {"error": …, "remedy": …, "kind": "Refused"}. `python -m engine.far --state DIR` speaks
it over its standard input and output, a line a message, with the number of the message in `n`.
"""

import argparse
import json
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from engine import errors, undo, warden
from engine.drivers import control
from engine.errors import EngineError, Refused, Unreachable
from engine.faults import REGISTRY as FAULTS
from engine.parameters import build
from engine.target import Node

KINDS: dict[str, type[EngineError]] = {"Refused": Refused, "Unreachable": Unreachable}

AT_ONCE = 32  # messages answered side by side


def answer(state: Path, message: dict[str, Any]) -> dict[str, Any]:
    """What this host says to a message; an error is an answer too."""
    try:
        return _DO[message["do"]](state, message)
    except EngineError as error:
        kind = type(error).__name__
        return {"error": error.message, "remedy": error.remedy, "kind": kind if kind in KINDS else ""}
    except Exception as error:  # a defect of ours here must be told there
        return {"error": f"The engine on {os.uname().nodename} broke: {error!r}", "remedy": "", "kind": ""}


def understand(answered: dict[str, Any]) -> dict[str, Any]:
    """The answer of the far end; raises the error that it told."""
    if "error" in answered:
        raise KINDS.get(answered.get("kind", ""), errors.EngineError)(answered["error"], answered["remedy"])
    return answered


def _hello(state: Path, message: dict[str, Any]) -> dict[str, Any]:
    return {"python": sys.version.split()[0], "host": os.uname().nodename}


def _refusal(state: Path, message: dict[str, Any]) -> dict[str, Any]:
    node = _node(message)
    driver = control(node)
    return {"why": driver.refusal(node) if driver else "Nothing controls it on its host."}


def _victim(state: Path, message: dict[str, Any]) -> dict[str, Any]:
    node = _node(message)
    driver = control(node)
    return {"what": driver.victim(node) if driver else ""}


def _ready(state: Path, message: dict[str, Any]) -> dict[str, Any]:
    node = _node(message)
    driver = control(node)
    return {"started": driver is not None and driver.prepare(node)}


def _release(state: Path, message: dict[str, Any]) -> dict[str, Any]:
    node = _node(message)
    if driver := control(node):
        driver.release(node)
    return {}


def _prepare(state: Path, message: dict[str, Any]) -> dict[str, Any]:
    told = message["record"]
    fault = build(FAULTS.get(told["fault"]), told["params"], "fault")
    warden.ensure(state)
    undo.prepare(
        state, told["run"], told["step"], told["fault"], fault, _node(message), told["seconds"],
        id=told["id"], together=told.get("together", False),
        peers=[Node(peer["name"], peer["address"]) for peer in message.get("peers", [])],
    )  # fmt: skip
    return {}


def _inject(state: Path, message: dict[str, Any]) -> dict[str, Any]:
    record = undo.record_of(state, message["id"])
    if record is None or undo.over(state, record):
        raise EngineError("Its undo record is not here any more, so nothing was hurt.")
    undo.inject(state, record)
    return {}


def _renew(state: Path, message: dict[str, Any]) -> dict[str, Any]:
    record = undo.record_of(state, message["id"])
    if record is not None and not undo.over(state, record):
        undo.renew(state, record)
        warden.ensure(state)
    return {}


def _look(state: Path, message: dict[str, Any]) -> dict[str, Any]:
    record = undo.record_of(state, message["id"])
    if record is None:
        return {"gone": True, "text": "nothing was done on its host"}
    found = undo.look(record)
    return {"gone": found.gone, "text": found.text}


def _heal(state: Path, message: dict[str, Any]) -> dict[str, Any]:
    undo.heal(state, message["id"])
    record = undo.record_of(state, message["id"])
    if record is None:
        return {
            "gone": None,
            "text": "its host has no record of it; look at the system itself",
            "unknown": True,
        }
    return {"gone": {"clean": True, "stuck": False}.get(record.state), "text": record.text}


_DO: dict[str, Callable[[Path, dict[str, Any]], dict[str, Any]]] = {
    "hello": _hello, "refusal": _refusal, "victim": _victim, "ready": _ready, "release": _release,
    "prepare": _prepare, "inject": _inject, "renew": _renew, "look": _look, "heal": _heal,
}  # fmt: skip


def _node(message: dict[str, Any]) -> Node:
    told = message["node"]
    name, params = next(iter(told["driver"].items()))
    return Node(told["name"], told["address"], "", name, params, tuple(told.get("tags", ())), told["kind"])


def begin(state: Path) -> None:
    """Sees to what was left behind here, as by a host that went down while it was hurt: heal first."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    if undo.records(state):
        warden.ensure(state)


def serve(state: Path) -> None:
    """Answers the messages on the standard input, several at once, until it ends."""
    mouth = threading.Lock()

    def reply(line: str) -> None:
        message = json.loads(line)
        text = json.dumps({"n": message.get("n"), **answer(state, message)})
        with mouth:
            print(text, flush=True)

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        for line in sys.stdin:
            if line.strip():
                pool.submit(reply, line)


def main() -> None:
    parser = argparse.ArgumentParser(description="The engine on another host, for the ssh driver.")
    parser.add_argument("--state", type=Path, required=True)
    state = parser.parse_args().state.expanduser().absolute()
    os.environ["CHAOSBOARD_STATE"] = str(state)
    begin(state)
    serve(state)


if __name__ == "__main__":
    main()
