"""`python -m engine check`: a stored history, a spec, a verdict."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import jsonl
from engine.checkers import REGISTRY as CHECKERS
from engine.checkers import Checker
from engine.columns import NEVER
from engine.detect import AUTO, detect
from engine.errors import BadInput, EngineError, Problem
from engine.history import FORMATS, History, events, read
from engine.parameters import build, parameters
from engine.samples import Outcome
from engine.specs import REGISTRY as SPECS
from engine.specs import refuse_others
from engine.story import stories
from engine.text import count
from engine.verdict import Judgement, Verdict


def arguments(parser: Any) -> None:
    parser.add_argument("history", type=Path)
    parser.add_argument(
        "--spec",
        default="set",
        help=f"what correct behaviour is: {', '.join(SPECS.names())}; auto looks at it",
    )
    parser.add_argument(
        "--checker", help=f"who judges it, if not the spec's own: {', '.join(CHECKERS.names())}"
    )
    parser.add_argument("--format", default="auto", choices=FORMATS, help="of the file; auto looks at it")
    parser.add_argument("--timeout", metavar="S", help="seconds after which the verdict is unknown")
    parser.add_argument("--level", help="the isolation level that transactions are held to")
    parser.add_argument(
        "--certify", action="store_true", help="prove the verdict by a replay or by brute force"
    )
    parser.add_argument(
        "--story", action="store_true", help="tell what was found in words, with its operations"
    )
    parser.add_argument("--progress", action="store_true", help="say on standard error what is being done")
    parser.add_argument(
        "--export", type=Path, metavar="OUT", help="write the history there as JSON Lines, too"
    )
    parser.add_argument("--json", action="store_true")


def check(given: Any) -> int:
    start = time.monotonic()
    if given.spec != AUTO:
        checker = _checker(given)
    _progress(given, f"reading {given.history.stat().st_size / 1e6:,.1f} MB")
    history = read(given.history, given.format)
    if given.export:
        _export(given, history)
    if given.spec == AUTO:
        given.spec = detect(history)
        checker = _checker(given)
    _progress(given, f"judging {count(len(history), 'operation')}")
    refuse_others(history.columns, given.spec, SPECS.get(given.spec).names)
    try:
        found = checker.check(history)
        if given.certify and not hasattr(checker, "certify"):
            found = _certified(found, given, history)
    except EngineError:
        raise
    except Exception as error:  # a checker that crashed has told nothing
        found = Judgement(given.spec, Verdict.UNKNOWN, f"the checker crashed: {error!r}")
    if given.json:
        answer = {
            "verdict": found.verdict.word, "spec": given.spec, "operations": len(history),
            "seconds": round(time.monotonic() - start, 6), "headline": found.headline,
            "findings": found.findings,
        }  # fmt: skip
        if given.story:
            answer |= _told(history, found)
        print(json.dumps(answer, ensure_ascii=False, default=str))
    else:
        print(f"{found.verdict.name}: {found.headline}")
        for finding in found.findings[:5]:
            print(f"  {_line(finding)}")
        for one in stories(history, found.findings) if given.story else ():
            print("\n".join(["", one["title"], *(f"  {sentence}" for sentence in one["sentences"])]))
    status: int = found.verdict.exit_status
    return status


def _export(given: Any, history: History) -> None:
    """Raises BadInput where it would write over what it reads."""
    if given.export.exists() and given.export.samefile(given.history):
        raise BadInput([Problem("--export", "is the history itself; name another file")])
    with given.export.open("wb") as out:
        out.writelines(jsonl.lines(events(history)))


def _told(history: History, found: Judgement) -> dict[str, Any]:
    """The stories of what was found, and how far the history reaches: seconds, clients, keys."""
    c = history.columns
    ends = [c.invoked, c.completed[c.completed != NEVER]]
    whole = max((int(one.max()) for one in ends if len(one)), default=0) - (
        int(c.invoked.min()) if len(c) else 0
    )
    return {
        "stories": stories(history, found.findings), "zero": int(c.invoked.min()) if len(c) else 0, "duration": whole / 1e9,
        "clients": len(np.unique(c.process)), "keys": len(np.unique(c.key)),
        "outcomes": {one.name.lower(): int((c.outcome == one).sum()) for one in Outcome},
    }  # fmt: skip


def _progress(given: Any, text: str) -> None:
    if given.progress:
        print(text, file=sys.stderr, flush=True)


def own_checker(spec: str) -> Checker:
    """The checker of a spec, as it is; raises BadInput if there is no such spec."""
    cls = CHECKERS.get(_own(spec))
    takes = any(parameter.name == "spec" for parameter in parameters(cls))
    return build(cls, {"spec": spec} if takes else {})


def _own(spec: str) -> str:
    SPECS.get(spec, "--spec")
    return next(name for name, cls in CHECKERS if spec in cls.judges)


def _checker(given: Any) -> Checker:
    """Raises BadInput where there is no such spec, checker or option."""
    cls = CHECKERS.get(given.checker or _own(given.spec), "--checker")
    known = {parameter.name for parameter in parameters(cls)}
    chosen: dict[str, Any] = {"spec": given.spec} if "spec" in known else {}
    if given.timeout is not None and "timeout" in known:
        chosen["timeout"] = _seconds(given)
    if given.certify and "certify" in known:
        chosen["certify"] = True
    if given.level:
        chosen["level"] = given.level
    if unknown := chosen.keys() - known:
        message = f"the checker {CHECKERS.name_of(cls)} has no such option"
        raise BadInput([Problem(f"--{name}", message) for name in sorted(unknown)])
    return build(cls, chosen, "--checker")


def _seconds(given: Any) -> str:
    return given.timeout if given.timeout[-1:].isalpha() else f"{given.timeout}s"


def _certified(found: Judgement, given: Any, history: History) -> Judgement:
    """By whoever looks for an order of all operations: does it come to the same, with a proof?"""
    if found.verdict is Verdict.UNKNOWN:
        return found
    chosen = {"spec": given.spec, "certify": True} | ({"timeout": _seconds(given)} if given.timeout else {})
    other = build(CHECKERS.get("linearizable"), chosen).check(history)
    proofs = {finding["certified"] for finding in other.findings}
    proof = "; ".join(sorted(proofs)) or other.headline
    told = f"certified: {proof}" if other.verdict is found.verdict else f"not certified: {other.headline}"
    return replace(found, headline=f"{found.headline}; {told}")


def _line(finding: dict[str, Any]) -> str:
    told = ("kind", "key", "element", "value", "why")
    parts = [
        f"{finding[name]}" if name in ("kind", "why") else f"{name} {finding[name]!r}"
        for name in told
        if name in finding
    ]
    if "index" in finding:
        parts.append(f"operation {finding['index']}")
    lines = [", ".join(parts), *(f"    {_operation(op)}" for op in finding.get("operations", ())[:12])]
    return "\n".join(lines)


def _operation(op: dict[str, Any]) -> str:
    asked = "" if op["value"] is None else f" {json.dumps(op['value'], default=str)}"
    told = (
        f" -> {json.dumps(op['result'], default=str)}"
        if op["type"] == "ok" and op["result"] != op["value"]
        else ""
    )
    end = "never answered" if op["type"] == "info" else op["type"]
    return f"{op['index']:>8}  process {op['process']}: {op['f']}{asked}{told} ({end})"
