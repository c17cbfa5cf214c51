"""How well a service has shown that it takes being hurt: a score with its parts. Pure.

Points are earned by what ran, was judged, and is not too long ago; nothing else earns any. There are 100:

- 40 for promises kept: of each fault, its newest judged run, held or violated;
- 20 for recovering in the promised time, of the same runs;
- 20 for data: no acknowledged write lost and no check of a history violated;
- 20 for breadth: which of the areas it can be hurt in (processes, network, …) were tried.

What is older than a week fades: a result is worth half after five weeks, a quarter after nine. Where the
newest look at the data found it broken, the score is at most 50, however much else is well.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

FRESH = 7.0  # days
HALF = 30.0  # days in which what is no longer fresh loses half of its worth
BROKEN_DATA = 50  # the most that a service is given which lost or broke data
PROMISES, RECOVERY, DATA, BREADTH = 40, 20, 20, 20
STALE = 0.75  # the share of its worth below which a result should be renewed


@dataclass(frozen=True)
class Trial:
    """One judged run that hurt a service. `held`: the verdict; `recovers` and `data`: what was said of
    them, None where nobody could tell; `age` in days, times in seconds."""

    run: int
    faults: tuple[str, ...]
    held: bool
    age: float
    recovers: bool | None = None
    data: bool | None = None
    recovered_in: float | None = None
    promised: str = ""


@dataclass(frozen=True)
class Part:
    """`told` says what the points stand on; `age` is that of the oldest result among it, in days."""

    name: str
    points: float
    most: int
    told: str
    age: float | None = None

    @property
    def tested(self) -> bool:
        return self.age is not None


@dataclass(frozen=True)
class Score:
    """`total` is None where nothing was tested. `newest` by fault: the trial that counts."""

    total: int | None
    parts: tuple[Part, ...]
    newest: dict[str, Trial]
    capped: bool = False
    worth: float = 0.0

    @property
    def ageing(self) -> bool:
        return self.total is not None and self.worth < STALE

    @property
    def age(self) -> float | None:
        """Days since the newest result."""
        return min((trial.age for trial in self.newest.values()), default=None)


def worth(age: float) -> float:
    """What a result of `age` days still counts, from 1 down to 0."""
    return 1.0 if age <= FRESH else 0.5 ** ((age - FRESH) / HALF)


def score(trials: Iterable[Trial], area: Callable[[str], str], possible: Collection[str]) -> Score:
    """`area` says where a fault belongs; `possible` are the areas in which the service could be hurt."""
    counting = [trial for trial in trials if trial.faults]
    newest = _newest(counting)
    told_of_data = min((t for t in counting if t.data is not None), key=lambda t: t.age, default=None)
    parts = (
        _promises(newest),
        _recovery(newest),
        _data(told_of_data),
        _breadth(newest, area, possible),
    )
    if not newest:
        return Score(None, parts, {})
    whole = sum(part.points for part in parts)
    capped = told_of_data is not None and told_of_data.data is False and whole > BROKEN_DATA
    value = sum(worth(t.age) for t in newest.values()) / len(newest)
    return Score(min(round(whole), BROKEN_DATA if capped else 100), parts, newest, capped, value)


def _newest(trials: list[Trial]) -> dict[str, Trial]:
    """By fault; a fault that was tried in several runs counts as the last of them says."""
    found: dict[str, Trial] = {}
    for trial in sorted(trials, key=lambda trial: -trial.age):
        found.update(dict.fromkeys(trial.faults, trial))
    return dict(sorted(found.items()))


def _part(name: str, most: int, results: list[tuple[bool, float]], told: str, untold: str) -> Part:
    """`results`: whether each is good, and its age."""
    if not results:
        return Part(name, 0.0, most, untold)
    earned = sum(worth(age) for good, age in results if good) / len(results)
    return Part(name, most * earned, most, told, max(age for _, age in results))


def _promises(newest: dict[str, Trial]) -> Part:
    broken = [fault for fault, trial in newest.items() if not trial.held]
    told = f"{len(newest) - len(broken)} of {len(newest)} faults held"
    told += f"; violated under {', '.join(broken)}" if broken else ""
    results = [(trial.held, trial.age) for trial in newest.values()]
    return _part("Promises kept", PROMISES, results, told, "no judged run has hurt it")


def _recovery(newest: dict[str, Trial]) -> Part:
    known = {fault: trial for fault, trial in newest.items() if trial.recovers is not None}
    late = [fault for fault, trial in known.items() if not trial.recovers]
    told = f"in time after {len(known) - len(late)} of {len(known)} faults"
    told += f"; not after {', '.join(late)}" if late else ""
    results = [(bool(trial.recovers), trial.age) for trial in known.values()]
    return _part("Recovers in time", RECOVERY, results, told, "not measured")


def _data(trial: Trial | None) -> Part:
    results = [] if trial is None else [(bool(trial.data), trial.age)]
    told = "" if trial is None else f"{'whole' if trial.data else 'lost or broken'} in run {trial.run}"
    return _part("Data kept", DATA, results, told, "no workload has written to it while it was hurt")


def _breadth(newest: dict[str, Trial], area: Callable[[str], str], possible: Collection[str]) -> Part:
    tried: dict[str, float] = {}
    for fault, trial in newest.items():
        tried[area(fault)] = min(trial.age, tried.get(area(fault), trial.age))
    areas = sorted({*possible, *tried})
    if not tried:
        return Part("Breadth", 0.0, BREADTH, "nothing was tried")
    missing = [name for name in areas if name not in tried]
    told = f"{len(tried)} of {len(areas)} areas: {', '.join(sorted(tried))}"
    told += f"; not {', '.join(missing)}" if missing else ""
    points = BREADTH * sum(map(worth, tried.values())) / len(areas)
    return Part("Breadth", points, BREADTH, told, max(tried.values()))
