"""An experiment: steady state, faults, limits and expectations; read from a document and checked.

The document is the YAML of `docs/experiments.md`; `Experiment.from_dict` names every problem with
its place and what would be right, `to_dict` writes the same form back.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from engine import document
from engine.document import Lines
from engine.errors import BadInput, there_are
from engine.faults import REGISTRY as FAULTS
from engine.faults import Fault
from engine.parameters import build, dump
from engine.probes import REGISTRY as PROBES
from engine.probes import Probe
from engine.reading import Reader, shown
from engine.rhythm import Moments, Pulse
from engine.target import Target
from engine.tolerance import Comparison, Tolerance, comparison
from engine.txn import LEVELS
from engine.workloads import REGISTRY as WORKLOADS
from engine.workloads import Workload

STEP = ("at", "for", "pulse", "moments")  # what a step says beside its fault


@dataclass(frozen=True)
class SteadyState:
    """One probe and the tolerance in which its readings count as steady; times in seconds."""

    name: str
    kind: str
    probe: Probe
    tolerance: Tolerance
    every: float = 0.1
    timeout: float = 1.0


@dataclass(frozen=True)
class Step:
    """One fault at its time: `at` seconds after the baseline, for `duration` seconds; perhaps in parts."""

    at: float
    duration: float
    kind: str
    fault: Fault
    rhythm: Pulse | Moments | None = None

    def windows(self, dice: random.Random) -> list[tuple[float, float]]:
        """The (start, duration) of each time that it hurts, in seconds after the baseline, in order."""
        if self.rhythm is None:
            return [(self.at, self.duration)]
        return [(self.at + start, length) for start, length in self.rhythm.windows(self.duration, dice)]


@dataclass(frozen=True)
class AbortCondition:
    """The run stops and heals at once when the probe called `probe` reads so for `over` seconds."""

    probe: str
    when: Tolerance
    over: float = 5.0


@dataclass(frozen=True)
class Recovery:
    """The wait after the last fault: steady for `stable` seconds, at most `timeout` seconds."""

    timeout: float = 60.0
    stable: float = 5.0


@dataclass(frozen=True)
class Expect:
    """What should hold; None is not expected, and not judged. Times in seconds."""

    recover_within: float | None = None
    detect_within: float | None = None
    availability: Comparison | None = None
    p99: Comparison | None = None
    lost_writes: int | None = None
    linearizable: bool | None = None
    isolation: str | None = None
    max_staleness: float | None = None


@dataclass(frozen=True)
class Experiment:
    name: str
    target: str
    steady_state: tuple[SteadyState, ...]
    faults: tuple[Step, ...] = ()
    together: bool = False  # two of its faults may hurt one node at the same time
    workload: tuple[str, Workload] | None = None
    baseline: float = 10.0
    recovery: Recovery = field(default_factory=Recovery)
    abort_when: tuple[AbortCondition, ...] = ()
    expect: Expect = field(default_factory=Expect)
    targets: tuple[Target, ...] = ()

    @classmethod
    def from_dict(cls, data: object, lines: Lines | None = None) -> "Experiment":
        """Raises BadInput with every problem; `lines` (from `load`) adds their line numbers."""
        return _Reader(lines or {}).experiment(data)

    def to_dict(self) -> dict[str, Any]:
        result: dict[str, Any] = {"name": self.name, "target": self.target}
        if self.targets:
            result["targets"] = [_target_to_dict(t) for t in self.targets]
        result["steady_state"] = [_steady_to_dict(s) for s in self.steady_state]
        if self.workload:
            result["workload"] = {self.workload[0]: dump(self.workload[1])}
        result["baseline"] = shown(self.baseline)
        result["faults"] = [
            {
                "at": shown(s.at), "for": shown(s.duration),
                **({s.rhythm.key: s.rhythm.text()} if s.rhythm else {}), s.kind: dump(s.fault),
            }
            for s in self.faults
        ]  # fmt: skip
        if self.together:
            result["together"] = True
        result["recovery"] = {
            "timeout": shown(self.recovery.timeout), "stable": shown(self.recovery.stable),
        }  # fmt: skip
        if self.abort_when:
            result["abort_when"] = [
                {"probe": a.probe, "tolerance": a.when.to_dict(), "over": shown(a.over)}
                for a in self.abort_when
            ]
        expect = _expect_to_dict(self.expect)
        if expect:
            result["expect"] = expect
        return result


def load(text: str) -> tuple[Any, Lines]:
    """The document in `text` and its line numbers, to be given to `Experiment.from_dict`."""
    return document.load(text)


def _target_to_dict(target: Target) -> dict[str, Any]:
    result = target.to_dict()
    del result["environment"], result["max_down"]
    return result


def _steady_to_dict(state: SteadyState) -> dict[str, Any]:
    result: dict[str, Any] = {"probe": {state.kind: dump(state.probe)}, "every": shown(state.every)}
    if state.name != state.kind:
        result["name"] = state.name
    result["timeout"] = shown(state.timeout)
    result["tolerance"] = state.tolerance.to_dict()
    return result


def _expect_to_dict(expect: Expect) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name in ("recover_within", "detect_within", "max_staleness"):
        if (value := getattr(expect, name)) is not None:
            result[name] = shown(value)
    for name in ("availability", "p99"):
        if (bound := getattr(expect, name)) is not None:
            result[name] = bound.text()
    for name in ("lost_writes", "linearizable", "isolation"):
        if (value := getattr(expect, name)) is not None:
            result[name] = value
    return result


class _Reader(Reader):
    KEYS = (
        "name", "target", "targets", "steady_state", "workload", "baseline", "faults", "together", "recovery",
        "abort_when", "expect",
    )  # fmt: skip

    def experiment(self, raw: object) -> Experiment:
        data = self.mapping(raw, "", self.KEYS)
        name = str(data.get("name") or "").strip()
        if not name:
            self.bad("name", "is missing: what is the experiment called?")
        if len(name) > 200:
            self.bad("name", f"has {len(name)} characters; at most 200")
        targets = [
            self.part(partial(Target.from_dict, item, where), where)
            for where, item in self.items(data.get("targets"), "targets")
        ]
        inline = tuple(t for t in targets if t)
        target = str(data.get("target") or (inline[0].name if inline else "")).strip()
        if not target:
            self.bad("target", "is missing: which service is hurt?")
        if inline and target not in {t.name for t in inline}:
            self.bad("target", f"{target!r} is not among the targets described here")
        steady = self.steady_states(data.get("steady_state"))
        result = Experiment(
            name=name,
            target=target,
            targets=inline,
            steady_state=steady,
            workload=self.workload(data.get("workload")),
            baseline=self.seconds(data, "baseline", "", 10.0),
            faults=self.steps(data.get("faults")),
            together=self.yes_no(data.get("together"), "together"),
            recovery=self.recovery(data.get("recovery", {})),
            abort_when=self.aborts(data.get("abort_when"), steady),
            expect=self.expect(data.get("expect", {})),
        )
        if self.problems:
            raise BadInput(self.problems)
        return result

    def steady_states(self, data: object) -> tuple[SteadyState, ...]:
        items = self.items(data, "steady_state")
        if not items:
            self.bad(
                "steady_state", "is missing: at least one probe with its tolerance says what steady means"
            )
        found = [self.steady_state(item, where) for where, item in items]
        states = [s for s in found if s]
        names = [s.name for s in states]
        for name in sorted({n for n in names if names.count(n) > 1}):
            self.bad("steady_state", f"two probes are called {name!r}; give each its own name")
        return tuple(states)

    def steady_state(self, raw: object, where: str) -> SteadyState | None:
        data = self.mapping(raw, where, ("name", "probe", "every", "timeout", "tolerance"))
        spec = data.get("probe")
        if isinstance(spec, str):
            spec = {spec: {}}
        every = self.seconds(data, "every", where, 0.1, least=0.001)
        timeout = self.seconds(data, "timeout", where, 1.0, least=0.001)
        tolerance = self.tolerance(data.get("tolerance", {"availability": ">= 99%"}), f"{where}.tolerance")
        spec = self.mapping(spec, f"{where}.probe", ()) if spec else {}
        kind = self.one_of(spec, (), "probe", f"{where}.probe")
        if kind is None:
            return None
        place = f"{where}.probe.{kind}"
        probe = self.part(lambda: build(PROBES.get(kind, place), spec[kind], place), place)
        if probe is None or tolerance is None:
            return None
        return SteadyState(str(data.get("name") or kind), kind, probe, tolerance, every, timeout)

    def tolerance(self, raw: object, where: str) -> Tolerance | None:
        data = self.mapping(raw, where, ())
        if not data:
            self.bad(where, 'is missing: such as {availability: ">= 99.9%", p99: "<= 200ms"}')
        found = [self.part(partial(comparison, key, text), f"{where}.{key}") for key, text in data.items()]
        kept = tuple(c for c in found if c)
        return Tolerance(kept) if kept else None

    def workload(self, raw: object) -> tuple[str, Workload] | None:
        if raw is None:
            return None
        if isinstance(raw, str):
            raw = {raw: {}}
        data = self.mapping(raw, "workload", ())
        kind = self.one_of(data, (), "workload", "workload")
        if kind is None:
            return None
        place = f"workload.{kind}"
        built = self.part(lambda: build(WORKLOADS.get(kind, place), data[kind], place), place)
        return (kind, built) if built else None

    def steps(self, raw: object) -> tuple[Step, ...]:
        found = [self.step(item, where) for where, item in self.items(raw, "faults")]
        return tuple(sorted((s for s in found if s), key=lambda s: s.at))

    def step(self, raw: object, where: str) -> Step | None:
        data = self.mapping(raw, where, ())
        at = self.seconds(data, "at", where, 0.0)
        if "for" not in data:
            self.bad(f"{where}.for", "is missing: no fault without a duration, as in 10s")
        duration = self.seconds(data, "for", where, 1.0, least=0.001)
        rhythm = self.rhythm(data, where, duration)
        kind = self.one_of(data, STEP, "fault", where)
        if kind is None:
            return None
        place = f"{where}.{kind}"
        fault = self.part(lambda: build(FAULTS.get(kind, place), data[kind], place), place)
        return Step(at, duration, kind, fault, rhythm) if fault else None

    def rhythm(self, data: Mapping[str, Any], where: str, duration: float) -> Pulse | Moments | None:
        pulse, moments = (str(data.get(cls.key) or "") for cls in (Pulse, Moments))
        if pulse and moments:
            self.bad(f"{where}.moments", "a fault has a pulse or moments, not both")
        if pulse:
            return self.part(lambda: Pulse.read(pulse, duration), f"{where}.pulse")
        if moments:
            return self.part(lambda: Moments.read(moments, duration), f"{where}.moments")
        return None

    def recovery(self, raw: object) -> Recovery:
        data = self.mapping(raw, "recovery", ("timeout", "stable"))
        timeout = self.seconds(data, "timeout", "recovery", 60.0, least=0.1)
        stable = self.seconds(data, "stable", "recovery", min(5.0, timeout), least=0.1)
        if stable > timeout:
            self.bad("recovery.stable", "is longer than the timeout: the run could never see it")
        return Recovery(timeout, stable)

    def aborts(self, raw: object, steady: tuple[SteadyState, ...]) -> tuple[AbortCondition, ...]:
        result = []
        names = [s.name for s in steady]
        for where, item in self.items(raw, "abort_when"):
            data = self.mapping(item, where, ("probe", "tolerance", "over"))
            probe = str(data.get("probe") or "")
            if probe not in names:
                self.bad(f"{where}.probe", f"there is no probe called {probe!r}; {there_are(probe, names)}")
            when = self.tolerance(data.get("tolerance", {}), f"{where}.tolerance")
            if when:
                result.append(AbortCondition(probe, when, self.seconds(data, "over", where, 5.0, least=0.1)))
        return tuple(result)

    def expect(self, raw: object) -> Expect:
        keys = (
            "recover_within", "detect_within", "availability", "p99", "lost_writes", "linearizable", "isolation",
            "max_staleness",
        )  # fmt: skip
        data = self.mapping(raw, "expect", keys)
        durations = {
            key: self.seconds(data, key, "expect", 0.0, least=0.001) if key in data else None
            for key in ("recover_within", "detect_within", "max_staleness")
        }
        bounds = {
            key: self.part(partial(comparison, key, data[key]), f"expect.{key}")
            for key in ("availability", "p99")
            if key in data
        }
        lost = data.get("lost_writes")
        if lost is not None and (isinstance(lost, bool) or not str(lost).isdecimal()):
            self.bad("expect.lost_writes", f"{lost!r} is not a whole number, 0 or more")
            lost = None
        linearizable = data.get("linearizable")
        if linearizable is not None and not isinstance(linearizable, bool):
            self.bad("expect.linearizable", f"{linearizable!r} is neither true nor false")
            linearizable = None
        isolation = data.get("isolation")
        if isolation is not None and isolation not in LEVELS:
            self.bad("expect.isolation", f"{isolation!r} is not one of {', '.join(LEVELS)}")
            isolation = None
        return Expect(
            recover_within=durations["recover_within"],
            detect_within=durations["detect_within"],
            availability=bounds.get("availability"),
            p99=bounds.get("p99"),
            lost_writes=None if lost is None else int(lost),
            linearizable=linearizable,
            isolation=isolation,
            max_staleness=durations["max_staleness"],
        )
