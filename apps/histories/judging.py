"""One history is judged: by a process of its own, so that what it takes in time and memory ends with it."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apps.histories.models import History
from engine.nemesis import windows
from engine.state import write as write_json

ROOT = Path(__file__).resolve().parents[2]
BAD_INPUT = 3
READS = 1_000_000  # bytes a second that reading is given at least, besides the limit
ROOM = 20.0  # seconds for what comes before and after the judging
MOST_FINDINGS = 200  # that are kept in the table; the file has all
Heard = Callable[[str], bool]


class Unreadable(Exception):
    """The history is not one, in words that name the line."""


def judge(history: History, heard: Heard) -> dict[str, Any]:
    """What `engine check --json --story` says; raises Unreadable. `heard` is told what is being done.

    It is called at least once a second, and False from it ends the judging.
    """
    history.directory.mkdir(parents=True, exist_ok=True)
    out = history.directory / "result.json"
    allowed = history.limit + history.size / READS + ROOM
    with out.open("wb") as stdout:
        child = subprocess.Popen(
            _command(history), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        words = _listen(child)
        try:
            ended = _follow(child, words, heard, time.monotonic() + allowed)
        finally:
            child.kill()
            child.wait()
    if child.returncode == BAD_INPUT:
        told = [line.removeprefix("error: ") for line in words if line.startswith("error: ")]
        raise Unreadable("\n".join(told) or "it could not be read")
    return _answer(history, out, ended, child.returncode, words, allowed)


def _command(history: History) -> list[str]:
    given = [sys.executable, "-m", "engine", "check", str(history.file), "--spec", history.spec or "auto"]
    given += ["--checker", history.checker] if history.checker else []
    given += ["--level", history.level] if history.level else []
    return [*given, "--timeout", str(history.limit), "--json", "--story", "--progress"]


def _listen(child: "subprocess.Popen[str]") -> list[str]:
    """The lines that it says, as they come."""
    words: list[str] = []
    assert child.stderr
    threading.Thread(target=lambda: words.extend(iter(child.stderr.readline, "")), daemon=True).start()  # type: ignore[union-attr]  # it was asked for a pipe
    return words


def _follow(child: "subprocess.Popen[str]", words: list[str], heard: Heard, deadline: float) -> bool:
    """Whether it came to its end by itself."""
    while True:
        told = next((line.strip() for line in reversed(words) if not line.startswith("error: ")), "starting")
        wanted = heard(told)
        try:
            child.wait(min(max(deadline - time.monotonic(), 0.0), 1.0))
        except subprocess.TimeoutExpired:
            if wanted and time.monotonic() < deadline:
                continue
            return False
        return True


def _answer(
    history: History, out: Path, ended: bool, status: int, words: list[str], allowed: float
) -> dict[str, Any]:
    if not ended:
        return _undecided(history, f"not decided within {allowed:.0f} s; a longer limit may decide it")
    try:
        found = json.loads(out.read_bytes())
    except ValueError:
        why = (
            "perhaps for want of memory"
            if status < 0
            else f"saying: {words[-1].strip() if words else 'nothing'}"
        )
        return _undecided(history, f"the judge ended with {status} before it had a verdict, {why}")
    kept = {**found, "findings": found["findings"][:MOST_FINDINGS], "found": len(found["findings"])}
    return kept | {"windows": windows(history.file), "zero": found.get("zero", 0)}


def _undecided(history: History, headline: str) -> dict[str, Any]:
    answer = {
        "verdict": "unknown", "spec": history.spec, "headline": headline, "findings": [], "stories": [],
        "found": 0, "windows": [], "zero": 0, "operations": None, "duration": None, "seconds": None,
    }  # fmt: skip
    write_json(history.directory / "result.json", answer)
    return answer
