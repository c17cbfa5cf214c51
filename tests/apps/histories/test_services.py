"""Histories are kept, judged by a process of their own, and thrown away."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from apps.histories import services
from apps.histories.models import History
from engine.errors import BadInput, Refused
from engine.recorded import Writer
from engine.samples import Outcome
from tests.apps.histories.conftest import FOLDER

pytestmark = pytest.mark.django_db
VIOLATED = FOLDER / "register/old-value-again.violated.jsonl"


def kept(data: bytes | Path = VIOLATED, filename: str = "h.jsonl", **given: Any) -> History:
    return services.keep(
        [data if isinstance(data, bytes) else data.read_bytes()], filename, by="ada", **given
    )


def judged(*args: Any, **given: Any) -> History:
    history = kept(*args, **given)
    services.perform(history.pk)
    history.refresh_from_db()
    return history


def test_what_is_judged_is_what_the_command_says() -> None:
    history = judged(name="old value")
    assert (history.state, history.verdict, history.uploaded_by) == ("judged", "violated", "ada")
    command = [sys.executable, "-m", "engine", "check", str(VIOLATED), "--spec", "auto", "--json", "--story"]
    said = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    for name in ("verdict", "headline", "operations", "spec", "findings", "stories", "outcomes", "duration"):
        assert history.result[name] == said[name]


def test_the_history_file_of_a_run_is_judged_as_its_lines_are(tmp_path: Path) -> None:
    path = tmp_path / "history.arrows"
    writer = Writer(path)
    for f, value in (("write", 1), ("write", 2), ("read", 1)):
        invoked, _ = writer.invoke(0, f, None, value if f == "write" else None, 0)
        writer.end(invoked, Outcome.OK, value)
    writer.close()
    history = judged(path, filename="history.arrows", spec="register")
    assert (history.state, history.verdict, history.result["operations"]) == ("judged", "violated", 3)
    torn = judged(path.read_bytes()[:9], filename="history.arrows")
    assert torn.state == "unreadable"
    assert "no operation" in torn.error


def test_a_line_that_is_no_event_is_named() -> None:
    lines = VIOLATED.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"invoke"', b'"invented"')
    history = judged(b"".join(lines))
    assert (history.state, history.verdict) == ("unreadable", "")
    assert "line 3" in history.error
    assert "type must be invoke, ok, fail or info, not 'invented'" in history.error


def test_rules_that_do_not_fit_are_told_and_others_may_be_chosen(sent: list[int]) -> None:
    history = judged(spec="queue")
    assert "'read' is no operation of queue" in history.error
    services.again(history, spec="register", limit=5)
    history.refresh_from_db()
    assert (history.state, history.spec, history.limit, history.error) == ("waiting", "register", 5, "")
    assert sent == []  # nothing is sent before the row is committed
    with pytest.raises(Refused, match="judged already"):
        services.again(history)


def test_a_history_that_takes_too_long_is_unknown(monkeypatch) -> None:
    from apps.histories import judging

    monkeypatch.setattr(judging, "ROOM", -60.0)
    history = judged(limit=59)
    assert (history.state, history.verdict) == ("judged", "unknown")
    assert "a longer limit may decide it" in history.headline


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"spec": "tree"}, "spec: 'tree' is not one of"),
        ({"checker": "me"}, "checker: 'me' is not one of"),
        ({"level": "high"}, "level: 'high' is not one of"),
        ({"limit": "soon"}, "limit: must be a whole number of seconds from 1 to 3600"),
        ({"limit": 0.5}, "limit: must be a whole number"),
    ],
)
def test_bad_choices_are_answered_at_their_field(given: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        kept(**given)
    assert not History.objects.exists()


def test_too_large_and_empty_files_leave_nothing_behind(settings, tmp_path: Path) -> None:
    settings.CHAOSBOARD_HISTORY_LIMIT = 100
    with pytest.raises(Refused, match="larger than"):
        kept()
    with pytest.raises(BadInput, match="empty"):
        kept(b"")
    assert not History.objects.exists()
    assert list((tmp_path / "histories").iterdir()) == []


def test_a_message_that_comes_twice_judges_once() -> None:
    history = kept()
    History.objects.filter(pk=history.pk).update(state="judged", verdict="held")
    services.perform(history.pk)
    assert History.objects.get(pk=history.pk).judged_at is None


def test_only_some_are_judged_side_by_side() -> None:
    for _ in range(services.AT_ONCE):
        History.objects.create(name="busy", filename="h.jsonl", size=1, state="judging")
    history = kept()
    services.perform(history.pk)
    history.refresh_from_db()
    assert history.state == "waiting"


def test_what_lost_its_worker_is_sent_again(sent: list[int]) -> None:
    from django.utils import timezone

    lost = History.objects.create(
        name="lost",
        filename="h.jsonl",
        size=1,
        state="judging",
        heard_at=timezone.now() - services.LOST_AFTER * 2,
    )
    services.tick()
    lost.refresh_from_db()
    assert lost.state == "waiting"


def test_deleting_takes_the_file_too() -> None:
    history = kept()
    assert history.file.exists()
    directory = history.directory
    services.delete(history)
    assert not directory.exists()


def test_a_name_that_points_elsewhere_is_only_a_name() -> None:
    history = kept(filename="../../etc/passwd.jsonl")
    assert history.filename == "passwd.jsonl"
    assert history.file.parent == history.directory
