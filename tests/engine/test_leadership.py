from typing import Any

from engine.leadership import leader_changes, split_brain


def views(*told: tuple[float, str, str | None]) -> list[dict[str, Any]]:
    """(time, node, whom it sees); "-" is a node that does not answer."""
    return [
        {"at": at, "node": n, "sees": None if s == "-" else s, "reachable": s != "-"} for at, n, s in told
    ]


START = ((0.0, "a", "a"), (0.0, "b", "a"), (0.0, "c", "a"))


def test_a_leader_is_lost_by_the_first_and_elected_when_the_first_sees_it() -> None:
    found = leader_changes(
        views(*START, (1.0, "a", "-"), (2.0, "b", None), (2.1, "c", None), (2.3, "c", "c"), (2.4, "b", "c"))
    )
    assert found == [{"lost_at": 2.0, "elected_at": 2.3, "from": "a", "to": "c"}]


def test_a_node_that_takes_itself_for_the_leader_changes_nothing() -> None:
    found = leader_changes(
        views(*START, (1.0, "a", "-"), (2.0, "b", "c"), (2.1, "c", "c"), (5.0, "a", "a"), (6.0, "a", "c"))
    )
    assert [(c["from"], c["to"]) for c in found] == [("a", "c")]


def test_an_old_leader_that_comes_back_does_not_date_the_loss_of_the_new_one() -> None:
    first = ((1.0, "a", "-"), (2.0, "b", "b"), (2.1, "c", "b"), (5.0, "a", "a"))
    second = ((9.0, "b", "-"), (9.1, "c", None), (9.2, "a", None), (9.5, "c", "c"), (9.6, "a", "c"))
    found = leader_changes(views(*START, *first, *second))
    assert [(c["from"], c["to"], c["lost_at"], c["elected_at"]) for c in found] == [
        ("a", "b", 2.0, 2.0),
        ("b", "c", 9.1, 9.5),
    ]


def test_without_a_new_leader_nobody_is_elected() -> None:
    found = leader_changes(views(*START, (1.0, "a", "-"), (2.0, "b", None), (2.1, "c", None)))
    assert found == [{"lost_at": 2.0, "elected_at": None, "from": "a", "to": None}]


def test_a_leader_that_stays_is_no_change() -> None:
    assert leader_changes(views(*START, (3.0, "b", "-"), (4.0, "b", "a"))) == []


def in_terms(*told: tuple[float, str, str | None, int | None]) -> list[dict[str, Any]]:
    return [{**views((at, n, s))[0], "term": term} for at, n, s, term in told]


def test_two_leaders_of_one_term_are_a_split_brain() -> None:
    found = split_brain(in_terms((0, "a", "a", 1), (1, "b", "b", 1), (3, "a", "b", 1)))
    assert found == [{"from": 1, "to": 3, "nodes": ["a", "b"], "term": 1, "sure": True}]


def test_an_old_leader_that_has_not_heard_of_the_next_term_is_none() -> None:
    assert split_brain(in_terms((0, "a", "a", 1), (1, "b", "b", 2), (3, "a", "b", 2))) == []


def test_without_terms_two_leaders_are_told_but_are_not_sure() -> None:
    (found,) = split_brain(views((0, "a", "a"), (1, "b", "b")))
    assert (found["sure"], found["to"]) == (False, None)


def test_a_leader_that_does_not_answer_is_not_counted() -> None:
    (found,) = split_brain(in_terms((0, "a", "a", 1), (1, "b", "b", 1), (2, "a", "-", None)))
    assert found["to"] == 2
