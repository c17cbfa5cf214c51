"""Functions of Chaos Toolkit extensions, each call in a process of its own: `python -m engine.toolkit`.

A call is {"function": "module.name", "arguments": {…}}. In the texts among its arguments, ${node},
${address}, ${host} and ${port} are those of the node. Only functions of modules that CHAOSBOARD_ACTIONS
names are called.
"""

import contextlib
import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
import typing
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.errors import EngineError, Refused, Unreachable
from engine.state import MARK, PART

ALLOWED = "CHAOSBOARD_ACTIONS"
Call = dict[str, Any]
_NAMES = {bool: "yes or no", int: "a whole number", float: "a number", str: "a text", list: "a list",
          dict: "a mapping"}  # fmt: skip
_FITS: dict[type, tuple[type, ...]] = {float: (float, int), dict: (dict,), list: (list, tuple)}


def absent() -> str:
    """Why no action can be called on this host; "" where some can be."""
    if not _allowed():
        return (
            "no Chaos Toolkit actions are allowed on this host. Name the modules that may be called in "
            f"{ALLOWED}, with commas between them, as in {ALLOWED}=chaosaws.ec2,chaosk8s.pod."
        )
    if find_spec("chaoslib") is None:
        return "chaostoolkit-lib is not installed on this host: pip install chaostoolkit-lib."
    return ""


def _allowed() -> list[str]:
    return [name for part in os.environ.get(ALLOWED, "").split(",") if (name := part.strip())]


def refuse(function: str) -> None:
    """Raises Refused where a function is of a module that nobody allowed."""
    if why := absent():
        raise Refused(f"{function} is not called: {why}")
    module = function.rpartition(".")[0]
    if not any(module == name or module.startswith(f"{name}.") for name in _allowed()):
        raise Refused(
            f"{function} is not among the actions that are allowed on this host.",
            f"If it should be, add {module or 'its module'} to {ALLOWED}.",
        )


def check(calls: Sequence[Call], configuration: dict[str, str], seconds: float) -> None:
    """Raises Refused where a call would fail before it did anything: not there, not allowed, not so called."""
    for call in calls:
        refuse(call["function"])
    _ask({"do": "check", "calls": list(calls), "configuration": configuration}, seconds)


def run(call: Call, configuration: dict[str, str], seconds: float, mark: str = "") -> Any:
    """What the function returns; raises EngineError where it fails or does not end within `seconds`.

    With a `mark` its processes can be found and ended by it, see `engine.actor.end`.
    """
    refuse(call["function"])
    return _ask({"do": "run", "calls": [call], "configuration": configuration}, seconds, mark)["returned"]


def look(call: Call, tolerance: Any, configuration: dict[str, str], seconds: float) -> tuple[bool, Any]:
    """Whether what the function returns is within the tolerance, in Chaos Toolkit's sense; and what it is."""
    refuse(call["function"])
    told = {"do": "look", "calls": [call], "configuration": configuration, "tolerance": tolerance}
    found = _ask(told, seconds)
    return bool(found["within"]), found["returned"]


def _ask(told: dict[str, Any], seconds: float, mark: str = "") -> dict[str, Any]:
    environ = {**os.environ, PART: "action", **({MARK: mark} if mark else {})}
    names = " and ".join(call["function"] for call in told["calls"])
    with subprocess.Popen(
        [sys.executable, "-m", "engine.toolkit"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=environ, start_new_session=True,
        cwd=Path(__file__).resolve().parents[1],
    ) as child:  # fmt: skip
        try:
            said, _ = child.communicate(json.dumps(told).encode(), seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            raise Unreachable(f"{names} did not end within {seconds:g} s, and was ended.") from None
    try:
        answered: dict[str, Any] = json.loads(said)
    except ValueError:
        raise EngineError(f"{names} ended its process without an answer ({child.returncode}).") from None
    if "error" in answered:
        raise (Refused if answered["refused"] else EngineError)(answered["error"])
    return answered


# What happens in that process


def _check(told: dict[str, Any]) -> dict[str, Any]:
    for call in told["calls"]:
        _check_call(call, told["configuration"])
    return {}


def _check_call(call: Call, configuration: dict[str, str]) -> None:
    from chaoslib import substitute
    from chaoslib.activity import ensure_activity_is_valid

    ensure_activity_is_valid(_activity(call))
    module, _, name = call["function"].rpartition(".")
    function = getattr(importlib.import_module(module), name)
    refuse(f"{function.__module__}.{name}")  # it may be somebody else's, only imported there
    given = substitute(call["arguments"], configuration, None) or {}
    hints = typing.get_type_hints(inspect.unwrap(function))
    for argument, value in given.items():
        wanted = hints.get(argument)
        if wanted in _NAMES and not _is(value, wanted):
            raise Refused(f"{argument} of {call['function']} must be {_NAMES[wanted]}, not {value!r}.")


def _is(value: object, wanted: type) -> bool:
    if isinstance(value, bool):
        return wanted is bool
    return isinstance(value, _FITS.get(wanted, (wanted,)))


def _run(told: dict[str, Any]) -> dict[str, Any]:
    from chaoslib.activity import run_activity

    [call] = told["calls"]
    _check_call(call, told["configuration"])
    returned = run_activity(_activity(call), told["configuration"], {})
    return {"returned": returned}


def _look(told: dict[str, Any]) -> dict[str, Any]:
    from chaoslib.hypothesis import within_tolerance

    returned = _run(told)["returned"]
    within = within_tolerance(told["tolerance"], returned, told["configuration"], {})
    return {"within": bool(within), "returned": returned}


def _activity(call: Call) -> dict[str, Any]:
    module, _, name = call["function"].rpartition(".")
    provider = {"type": "python", "module": module, "func": name, "arguments": call["arguments"]}
    return {"type": "action", "name": call["function"], "provider": provider}


def main() -> None:
    told = json.loads(sys.stdin.buffer.read())
    answers = os.dup(1)
    os.dup2(2, 1)  # what a function prints is no answer
    from chaoslib.exceptions import InvalidActivity

    try:
        said = {"check": _check, "run": _run, "look": _look}[told["do"]](told)
    except (Refused, InvalidActivity) as error:
        said = {"error": str(error), "refused": True}
    except Exception as error:
        names = " and ".join(call["function"] for call in told["calls"])
        said = {"error": f"{names} failed: {error}", "refused": False}
    with os.fdopen(answers, "w") as out:
        json.dump(said, out, default=str)


if __name__ == "__main__":
    main()
