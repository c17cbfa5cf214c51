"""The judge of judges: `python -m tests.engine.brute [HISTORIES] [SEED]` compares verdicts with brute force.

Small random histories of every spec, with operations that failed or never ended and with equal times.
Brute force tries every order. It prints each disagreement with its seed, and how often each verdict came.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from engine.checkers import REGISTRY, Checker
from engine.checkers.bank import Bank
from engine.checkers.linearizable import Linearizable
from engine.checkers.versions import Versions
from engine.history import History
from engine.live import Live
from engine.replay import every_interleaving, every_order, steps
from engine.samples import Outcome
from engine.specs import REGISTRY as SPECS
from engine.verdict import Verdict
from tests.engine import tiny
from tests.engine.test_transactions import serial
from tests.engine.test_versions import possible as possible_by_versions
from tests.engine.test_versions import versioned

HELD, UNKNOWN, VIOLATED = Verdict
Make = Callable[[tiny.Pick], History]


class Kind(NamedTuple):
    """`exact` checkers find all there is; what others call violated is impossible, but not the other way."""

    name: str
    make: Make
    possible: Callable[[History], bool]
    exact: tuple[Checker, ...]
    sound: tuple[Checker, ...] = ()


def by(spec_name: str) -> Callable[[History], bool]:
    spec: Any = SPECS.get(spec_name)()

    def possible(history: History) -> bool:
        return all(every_order(spec, steps(spec, ops)) is not None for ops in history.by_key().values())

    return possible


def own(name: str, **params: Any) -> Checker:
    made: Any = REGISTRY.get(name)
    checker: Checker = made(**params)
    return checker


def by_processes(spec_name: str) -> Callable[[History], bool]:
    spec: Any = SPECS.get(spec_name)()
    return lambda history: every_interleaving(spec, steps(spec, history.ops))


def lasting(spec: str) -> tuple[Checker, ...]:
    return (Linearizable(spec),)


def serially(name: str, level: str) -> Callable[[History], bool]:
    return lambda history: serial(name, history, level.startswith("strict"))


def kinds() -> Iterator[Kind]:
    for spec, make in (
        ("register", tiny.register),
        ("cas-register", tiny.cas_register),
        ("cas-register", tiny.repeating),
    ):
        for keys in (1, 2):
            yield Kind(
                f"{spec} by {make.__name__}, {keys} keys", _wild(make, 7, keys), by(spec), lasting(spec)
            )
    yield Kind("register, mostly right", _nearly(tiny.of_a_register), by("register"), lasting("register"))
    yield Kind("kv", _wild(tiny.kv, 6), by("kv"), lasting("kv"))
    for spec, perform, keys in (
        ("register", tiny.of_a_register, 1),
        ("register", tiny.of_a_register, 2),
        ("register", _guessed(tiny.register), 2),
        ("cas-register", tiny.of_a_cas_register, 1),
        ("cas-register", tiny.of_a_cas_register, 2),
        ("cas-register", _guessed(tiny.cas_register), 2),
        ("cas-register", _guessed(tiny.repeating), 2),
        ("kv", _guessed(tiny.kv), 2),
        ("queue", tiny.of_a_queue, 1),
        ("counter", tiny.of_a_counter, 1),
    ):
        yield Kind(
            f"{spec} of processes, by {perform.__name__}, keys {keys}",
            _of_processes(perform, keys),
            by_processes(spec),
            (own("sequential", spec=spec, certify=True),),
        )
    for make in (_nearly(tiny.of_a_queue), _wild(tiny.queue, 6)):
        yield Kind("queue", make, by("queue"), (*lasting("queue"), own("queue")))
    for make in (_nearly(tiny.of_a_set), _wild(tiny.elements, 6)):
        yield Kind("set", make, by("set"), lasting("set"), (own("set"),))
    for make in (_nearly(tiny.of_a_counter), _wild(tiny.counter, 6)):
        yield Kind("counter", make, by("counter"), lasting("counter"), (own("counter"),))
    yield Kind("bank", _nearly(tiny.of_a_bank), by("bank"), lasting("bank"), (Bank(negative=True),))
    yield Kind("versions", versioned, possible_by_versions, (Versions("cas-register"),))
    for name, writes, wild in (
        ("list-append", "append", tiny.list_append),
        ("rw-register", "w", tiny.rw_register),
    ):
        for level in ("serializable", "strict-serializable"):
            for make in (_txns(writes), _wild(wild, 4)):
                yield Kind(f"{name}, {level}", make, serially(name, level), (own(name, level=level),))


def _wild(make: Any, most: int, keys: int = 1) -> Make:
    return lambda pick: tiny.history(pick, make, most, keys)


def _nearly(perform: Any) -> Make:
    return lambda pick: tiny.nearly(pick, perform, 6)


def _of_processes(perform: Any, keys: int) -> Make:
    return lambda pick: tiny.by_processes(pick, perform, 8, keys)


def _guessed(make: Callable[[tiny.Pick, int], tuple[str, Any, Any]]) -> Any:
    """Whatever was there."""

    def perform(pick: tiny.Pick, i: int, state: list[Any]) -> tuple[str, Any, Any]:
        return make(pick, i)

    perform.__name__ = make.__name__
    return perform


def _txns(writes: str) -> Make:
    return lambda pick: tiny.transactions(pick, writes, 4)


def disagreements(kind: Kind, seed: int, counted: Counter[str]) -> list[str]:
    """What is wrong with the verdicts on one history, in words; UNKNOWN is never wrong, and counted."""
    history = kind.make(tiny.from_seed(seed))
    if not any(op.outcome is Outcome.OK for op in history.ops):
        return []
    possible, wrong = kind.possible(history), []
    for checker in (*kind.exact, *kind.sound):
        verdict = checker.check(history).verdict
        counted[verdict.word] += 1
        false_alarm = verdict is VIOLATED and possible
        missed = verdict is HELD and not possible and checker in kind.exact
        watcher = checker.live()
        early = bool(watcher and Live(watcher).columns(history.columns))
        if false_alarm or missed or (early and possible):
            wrong.append(
                f"{kind.name}, seed {seed}: {type(checker).__name__} says {verdict.word}, live {early}"
            )
    return wrong


def main(histories: int, seed: int) -> int:
    every, counted, wrong, start = list(kinds()), Counter[str](), 0, time.monotonic()
    for i in range(histories):
        for told in disagreements(every[i % len(every)], seed + i, counted):
            wrong += 1
            print(told, flush=True)
    verdicts = ", ".join(f"{number:,} {word}" for word, number in sorted(counted.items()))
    print(
        f"{histories:,} histories, {wrong:,} disagreements with brute force; {verdicts}; {time.monotonic() - start:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*(int(text) for text in [*sys.argv[1:3], *("100000", "0")[len(sys.argv) - 1 :]])))
