"""How old is what was read: by the definition on many small histories, and what a finding tells."""

from typing import Any

from engine.checkers.staleness import NS, Staleness, ages_of
from engine.history import History, Op
from engine.samples import Outcome
from engine.verdict import Verdict
from tests.engine import tiny

OK, FAIL, INFO = Outcome


def by_definition(history: History, versions: bool) -> dict[int, tuple[int, int]]:
    """Of each read its age and how many newer values had been acknowledged before it began."""
    done = [op for op in history.ops if op.f == "write" and op.outcome is OK]
    by_value = {(op.key, op.value): op for op in history.ops if op.f == "write" and op.outcome is not FAIL}
    found = {}
    for read in history.ops:
        if (
            read.f != "read"
            or read.outcome is not OK
            or (read.result is not None and (read.key, read.result) not in by_value)
        ):
            continue
        own = by_value.get((read.key, read.result))

        def newer(op: Op, read: Op = read, own: Op | None = own) -> bool:
            if op.key != read.key:
                return False
            if versions:
                return (op.version or 0) > (read.version or 0)
            return own is None or (own.outcome is OK and (own.completed or 0) < op.invoked)

        ends = [op.completed or 0 for op in done if newer(op) and (op.completed or 0) < read.invoked]
        found[read.index] = (read.invoked - min(ends), len(ends)) if ends else (0, 0)
    return found


def compare(history: History, versions: bool) -> int:
    ages: Any = ages_of(history, "register")
    expected = by_definition(history, versions)
    told = {
        int(history.columns.index[row]): (int(age), int(behind))
        for row, age, behind in zip(ages.rows, ages.age, ages.behind, strict=True)
    }
    assert told.keys() == expected.keys()
    for index, (age, behind) in told.items():
        assert age == expected[index][0]
        assert behind <= expected[index][1]  # at least so many
        assert bool(behind) == bool(expected[index][1])
    return sum(age > 0 for age, _ in told.values())


def test_ages_are_those_of_their_definition() -> None:
    stale = sum(
        compare(tiny.history(tiny.from_seed(seed), tiny.register, 9, 2), False) for seed in range(500)
    )
    assert stale > 20


def test_ages_by_versions_are_those_of_their_definition() -> None:
    stale = 0
    for seed in range(500):
        pick = tiny.from_seed(seed)
        history = tiny.history(pick, tiny.register, 9)
        for op in history.ops:
            op.version = (2 * op.value if op.f == "write" else pick(12)) if op.outcome is OK else None
            if op.f == "read" and op.outcome is OK:
                op.result = None
        if any(op.version for op in history.ops):
            stale += compare(history, True)
    assert stale > 20


def told(**bounds: Any) -> Any:
    ops = [Op(2 * n, 0, "write", n, "a", n * NS, n * NS + 1, OK, n) for n in (1, 2, 3)]
    ops.append(Op(9, 1, "read", None, "a", 4 * NS + 1, 4 * NS + 2, OK, 1, node="n2"))
    return Staleness(**bounds).check(History(ops))


def test_a_stale_read_tells_its_age_its_node_and_the_first_newer_write() -> None:
    assert told().verdict is Verdict.HELD
    assert told(within=2.0, versions=2).verdict is Verdict.HELD
    (finding,) = told(within=1.0).findings
    assert (finding["kind"], finding["stale_for"], finding["behind"], finding["node"]) == (
        "stale read",
        2.0,
        2,
        "n2",
    )
    assert [op["index"] for op in finding["operations"]] == [4, 9]
    found = told(versions=1)
    assert found.verdict is Verdict.VIOLATED
    assert (
        found.headline
        == "1 of 1 read was stale, by 2.00 s and 2 versions at most; 1 more than is allowed (n2 2.00 s)"
    )


def test_values_that_are_written_twice_have_no_age() -> None:
    ops = [Op(2 * n, 0, "write", 1, None, n, n, OK, 1) for n in (1, 2)]
    ops.append(Op(9, 1, "read", None, None, 4, 5, OK, 1))
    assert Staleness().check(History(ops)).verdict is Verdict.UNKNOWN
