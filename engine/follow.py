"""Following a run while it goes on: the prober and the load as children, their files as they grow.

What the children write is the truth of the run; here it is only followed, to say what happens now
and to decide when it is steady. Nothing is kept longer than a decision needs it.
"""

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine import consistency, interval, recorded
from engine import state as files
from engine.alarm import Alarm
from engine.clock import now_ns
from engine.errors import EngineError
from engine.experiment import Experiment
from engine.lines import Lines
from engine.recovery import availability, in_time, measures
from engine.samples import Outcome, Samples, Status, Tail
from engine.series import Readings, readings
from engine.target import Target
from engine.text import quantity

WIDTHS = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds an interval may be long
MOST_INTERVALS = 2000  # of them in a planned run
SLACK = 0.15  # seconds after a time-out in which a sample comes to be read
SETTLED = 0.03  # seconds in which the children have written what came


class Child:
    """A process of ours that reads one line of JSON, says "ready", and ends with "done" after "stop".

    It ends at once when its standard input ends: when we are dead.
    """

    def __init__(self, module: str, spec: dict[str, Any], state: Path, log: Path) -> None:
        self.name = module.rpartition(".")[2]
        environ = {**os.environ, files.OWNER: str(state), files.PART: self.name}
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environ,
                cwd=Path(__file__).resolve().parents[1],
            )  # fmt: skip
        self.log = log
        self._say(json.dumps(spec))

    def _say(self, line: str) -> None:
        assert self.process.stdin
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return  # `wait_for` tells

    def wait_for(self, word: str, seconds: float) -> None:
        """Raises EngineError where the child does not say `word` in time."""
        assert self.process.stdout
        end, heard = time.monotonic() + seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while word.encode() not in heard:
                left = end - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise EngineError(
                        f"The {self.name} did not say {word!r} in {seconds:g} s.", self.last_words()
                    )
                chunk = os.read(self.process.stdout.fileno(), 4096)
                if not chunk:
                    raise EngineError(f"The {self.name} ended before it was {word}.", self.last_words())
                heard += chunk

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()[-3:]
        return " ".join(lines)[-500:]

    def alive(self) -> bool:
        return self.process.poll() is None

    def ask_to_stop(self) -> None:
        self._say("stop")

    def stop(self, seconds: float) -> None:
        """Waits for "done" after `ask_to_stop`; ends the process in any case."""
        try:
            self.wait_for("done", seconds)
        finally:
            self.kill()

    def kill(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        try:
            self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def width_for(experiment: Experiment, duration: float) -> float:
    """How long an interval of the live series is, in seconds."""
    least = 2 * max(s.every for s in experiment.steady_state)
    return next((w for w in WIDTHS if w >= least and duration / w <= MOST_INTERVALS), WIDTHS[-1])


class Follower:
    """Follows `samples.bin` and `ops.bin` of a run: intervals as they become final, and what is steady now."""

    def __init__(self, experiment: Experiment, target: Target, directory: Path, width: float) -> None:
        self.experiment, self.target, self.width = experiment, target, int(width * 1e9)
        self._samples, self._ops = Tail(directory / "samples.bin"), Tail(directory / "ops.bin")
        self._strings, self._ops_strings = (
            Lines(directory / "strings.jsonl"),
            Lines(directory / "ops-strings.jsonl"),
        )
        self._texts, self._ops_texts = [""], [""]  # error texts by number
        self._lag_lines, self._lags = Lines(directory / "lags.jsonl"), list[dict[str, Any]]()
        self._names = [node.name for node in target.nodes]
        self.leaders = Lines(directory / "leaders.jsonl")
        self.alarm = Alarm(consistency.counting(experiment), directory / recorded.NAME)
        self._recent: Samples = self._samples.read()[:0]
        self._done_ops: Samples = self._recent
        self._next: int | None = None  # where the next interval begins, monotonic ns
        self.slack = int((max(s.timeout for s in experiment.steady_state) + SLACK) * 1e9)
        longest = max([experiment.recovery.stable, *(a.over for a in experiment.abort_when), 2.0])
        self._keep = int((longest + 3.0) * 1e9) + self.slack + 2 * self.width

    def begin(self, at: int) -> None:
        """The first interval begins at `at`; what was done before belongs to none."""
        self._next = at
        ended = self._done_ops["scheduled"] + self._done_ops["latency"]
        self._done_ops = self._done_ops[ended >= at]

    def read(self) -> None:
        new = self._samples.read()
        self._recent = np.concatenate((self._recent, new)) if len(new) else self._recent
        ops = self._ops.read()
        self._done_ops = np.concatenate((self._done_ops, ops)) if len(ops) else self._done_ops
        self._texts += self._strings.read()  # after the samples: a text is written before what names it
        self._ops_texts += self._ops_strings.read()
        self._lags += self._lag_lines.read()
        old = now_ns() - self._keep
        if len(self._recent) and self._recent["scheduled"][0] < old:
            self._recent = self._recent[self._recent["scheduled"] >= old]

    def intervals(self, *, final: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
        """The intervals that are complete now, with the time (ns) at which each begins."""
        while self._next is not None and (final or self._is_known(self._next, self._next + self.width)):
            if final and self._next + self.width > now_ns():
                return
            start, self._next = self._next, self._next + self.width
            yield start, self._interval(start, self._next)

    def _is_known(self, start: int, end: int) -> bool:
        """Whether nothing more can come of an interval: each look due in it was answered, or is overdue."""
        now = now_ns()
        if now < end + int(SETTLED * 1e9):
            return False
        return now > end + self.slack or all(
            self._has_all(i, round(s.every * 1e9), start, end)
            for i, s in enumerate(self.experiment.steady_state)
        )

    def _has_all(self, probe: int, every: int, start: int, end: int) -> bool:
        """Looks are due at the same times at all nodes, `every` ns apart, and none is ever left out."""
        scheduled = self._recent["scheduled"][self._recent["probe"] == probe]
        if not len(scheduled):
            return False
        one = int(scheduled[0])
        due = (end - 1 - one) // every - (start - 1 - one) // every
        came = int(((scheduled >= start) & (scheduled < end)).sum())
        return came >= due * len(self.target.nodes)

    def _interval(self, start: int, end: int) -> dict[str, Any]:
        chosen, states = _scheduled(self._recent, start, end), self.experiment.steady_state
        ended = self._ended(end)
        good = ended[ended["status"] == Outcome.OK] if self.experiment.workload else _good(chosen)
        more = {
            "heat": interval.heat(good["latency"]),
            "errors": interval.errors([(_troubles(chosen), self._texts), (_bad(ended), self._ops_texts)]),
            "lag": self._lag(end),
            "answered": interval.answered(_good(chosen), self._texts),
        }
        return {
            "width": self.width / 1e9,
            "probes": {
                s.name: interval.probe(chosen, i, s.probe.joins, s.tolerance) for i, s in enumerate(states)
            },
            "nodes": {n.name: interval.node(chosen, i) for i, n in enumerate(self.target.nodes)},
            "ops": interval.operations(ended, self._names) if self.experiment.workload else None,
            **{name: value for name, value in more.items() if value},
        }

    def _ended(self, end: int) -> Samples:
        """The operations that ended before `end`; they are then forgotten."""
        ended = self._done_ops["scheduled"] + self._done_ops["latency"] < end
        mine: Samples = self._done_ops[ended]
        self._done_ops = self._done_ops[~ended]
        return mine

    def _lag(self, end: int) -> dict[str, int]:
        """How far each node was behind at `end`; what was told is forgotten."""
        told = interval.lags(self._lags, end)
        self._lags = [line for line in self._lags if line["time"] >= end]
        return told

    def measured(self, i: int, over: float) -> dict[str, float | None]:
        """What probe `i` read in the last `over` seconds of which all is known."""
        window, tolerance = self._window(i, over), self.experiment.steady_state[i].tolerance
        return {**measures(window), "availability": availability(in_time(window, tolerance))}

    def _window(self, i: int, over: float) -> Readings:
        end = now_ns() - self.slack
        chosen = _scheduled(self._recent, end - int(over * 1e9), end)
        return readings(chosen, i, self.experiment.steady_state[i].probe.joins)

    def unsteady(self, over: float) -> list[str]:
        """What was out of tolerance in the last `over` seconds, in words; empty when all was steady."""
        found = []
        for i, state in enumerate(self.experiment.steady_state):
            values = self.measured(i, over)
            found += [
                f"{state.name} should have {c}, it has {quantity(values.get(c.measure), c.measure)}"
                for c in state.tolerance.broken(values)
            ]
        return found


def _good(samples: Samples) -> Samples:
    good: Samples = samples[samples["status"] == Status.OK]
    return good


def _troubles(looks: Samples) -> Samples:
    """Looks that were not answered well; what a standby leaves to another is no trouble while another answers."""
    bad = _bad(looks)
    return bad if len(bad) == len(looks) else bad[bad["status"] != Status.STANDBY]


def _bad(samples: Samples) -> Samples:
    """What was not answered well; operations count in the same way."""
    bad: Samples = samples[samples["status"] != Status.OK]
    return bad


def _scheduled(samples: Samples, start: int, end: int) -> Samples:
    return samples[(samples["scheduled"] >= start) & (samples["scheduled"] < end)]
