"""Abort conditions as lines of text: `availability < 20% for 5s`, `etcd: p99 > 2s and max > 5s`."""

import re
from typing import Any

from engine.errors import Problem

EXAMPLE = "availability < 20% for 5s"
_LINE = re.compile(r"(?:(?P<probe>[^:<>=]+):\s*)?(?P<tests>.*?)(?:\s+for\s+(?P<over>\S+))?\s*\Z")
_TEST = re.compile(r"\s*(\w+)\s*((?:>=|<=|>|<)\s*\S.*?)\s*\Z")


def read(text: str, probe: str) -> tuple[list[dict[str, Any]], list[Problem]]:
    """One condition a line, in the document's form; `probe` is meant where a line names none."""
    found: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        condition = _condition(line, probe)
        if condition is None:
            problems.append(
                Problem("abort_when", f"{line!r} is not a condition; write one a line, as in {EXAMPLE}")
            )
        else:
            found.append(condition)
    return found, problems


def _condition(line: str, probe: str) -> dict[str, Any] | None:
    match = _LINE.match(line)
    tests = [_TEST.match(test) for test in re.split(r"\s+and\s+", match["tests"])] if match else [None]
    if match is None or not all(tests):
        return None
    result: dict[str, Any] = {
        "probe": (match["probe"] or probe).strip(),
        "tolerance": {test[1]: test[2] for test in tests if test},
    }
    if match["over"]:
        result["over"] = match["over"]
    return result


def write(conditions: object, probe: str) -> str:
    """The lines that `read` turns into `conditions`."""
    if not isinstance(conditions, list):
        return ""
    return "\n".join(_line(c, probe) for c in conditions if isinstance(c, dict))


def _line(condition: dict[str, Any], probe: str) -> str:
    tolerance = condition.get("tolerance")
    tests = " and ".join(f"{k} {v}" for k, v in tolerance.items()) if isinstance(tolerance, dict) else ""
    name = condition.get("probe", probe)
    head = "" if name == probe else f"{name}: "
    tail = f" for {condition['over']}" if condition.get("over") else ""
    return f"{head}{tests}{tail}"
