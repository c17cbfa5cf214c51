"""What an interval tells of errors, latencies and lags."""

import numpy as np
import pytest

from engine import interval
from engine.samples import DTYPE, Samples, Status


def bad(*errors: int) -> Samples:
    return np.array([(0, 1, 0, 0, 1, error) for error in errors], DTYPE)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("connection refused: 127.0.0.1:2379", "connection refused: …"),
        ("n1 at [::1]:2379 was lost", "n1 at … was lost"),
        ("no answer within 1 s", "no answer within 1 s"),
        ("the status is 503", "the status is 503"),
        ("transaction 4711008 was aborted", "transaction # was aborted"),
    ],
)
def test_an_error_has_the_same_name_at_every_node(text: str, name: str) -> None:
    assert interval.named(text) == name


def test_the_six_errors_that_came_most_often_are_named_and_none_is_lost() -> None:
    texts = ["", *(f"error {letter}" for letter in "abcdefgh")]
    found = interval.errors([(bad(1, 1, 1, 2, 2, 3, 3), texts), (bad(4, 4, 5, 5, 6, 6, 7, 8), texts)])
    assert len(found) == 7
    assert found["error a"] == 3
    assert found["other"] == 2
    assert sum(found.values()) == 15


def test_a_latency_is_in_the_bucket_that_ends_above_it() -> None:
    ms = 1_000_000
    found = interval.heat(np.array([1, ms // 10, ms // 10 + 1, ms, 10 * ms, 10**15], dtype=np.int64))
    assert found == [0, 2, 1, 1, 4, 1, 8, 1, interval.BUCKETS - 1, 1]


def test_the_last_lag_before_the_end_counts() -> None:
    lines = [{"time": t, "node": "n2", "lag": lag} for t, lag in ((1, 7), (2, 5), (9, 1))]
    assert interval.lags(lines, 9) == {"n2": 5}


def test_good_answers_are_counted_by_the_server_that_gave_them() -> None:
    good = np.array([(0, 1, 0, 0, 0, by) for by in (2, 3, 2, 0, 2)], DTYPE)
    assert interval.answered(good, ["", "connection refused", "n1", "n2"]) == {"n1": 3, "n2": 1}
    assert interval.answered(good[:0], [""]) == {}


def test_a_standby_is_there_and_a_wrong_answer_is_no_silence() -> None:
    looks = np.zeros(4, DTYPE)
    looks["status"] = (Status.OK, Status.STANDBY, Status.CONNECTION, Status.BAD)
    assert interval.node(looks, 0) == {"good": 1, "there": 2, "bad": 1, "total": 4}
