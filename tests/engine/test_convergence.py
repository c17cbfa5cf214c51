"""Do all replicas answer the same again, since when, and what differed?"""

from engine.convergence import Converged, Look, convergence, looks_of
from engine.history import History, Op
from engine.samples import Outcome


def looks(*told: tuple[float, str, int]) -> list[Look]:
    return [Look(at, node, "k", value) for at, node, value in told]


def test_they_have_converged_when_the_last_that_differed_answers_the_same() -> None:
    found = convergence(
        looks((1, "a", 1), (1, "b", 9), (5, "a", 2), (6, "b", 1), (8, "b", 2), (9, "a", 2)), 4
    )
    assert found == Converged(4, 8, ["a", "b"], [{"key": "k", "answers": {"a": 2, "b": 1}, "until": 8}])
    assert found.took == 4


def test_what_still_differs_at_the_end_has_not_converged() -> None:
    found = convergence(looks((5, "a", 1), (6, "b", 1), (7, "a", 2), (8, "b", 3)), 4)
    assert found
    assert (found.at, found.took) == (None, None)
    assert found.differed == [{"key": "k", "answers": {"a": 2, "b": 3}, "until": None}]


def test_a_node_that_was_not_looked_at_again_leaves_it_unknown() -> None:
    assert convergence(looks((1, "b", 1), (5, "a", 1)), 4) is None
    assert convergence(looks((5, "a", 1)), 4) is None


def test_what_differed_only_before_the_healing_does_not_count() -> None:
    found = convergence(looks((1, "a", 1), (1, "b", 2), (5, "a", 2), (6, "b", 2)), 4)
    assert found == Converged(4, 6, ["a", "b"], [])


def test_the_looks_of_a_history_are_its_reads_that_name_a_node() -> None:
    ops = [
        Op(0, 0, "write", 1, "k", 0, 1, Outcome.OK, 1, node="a"),
        Op(2, 0, "read", None, "k", 2, 3, Outcome.OK, 1, node="b"),
        Op(4, 0, "read", None, "k", 4, 5, Outcome.OK, 1),
        Op(6, 0, "read", None, "k", 6, None, Outcome.INFO, node="b"),
    ]
    assert looks_of(History(ops)) == [Look(3, "b", "k", 1)]
