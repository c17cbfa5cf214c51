import argparse
import contextlib
import io
import json
from pathlib import Path

import pytest

from apps.histories import services
from apps.histories.models import History
from engine import check
from tests.apps.experiments.conftest import ada as ada

FOLDER = Path(__file__).parents[2] / "engine" / "histories"


@pytest.fixture(autouse=True)
def sent(settings, monkeypatch, tmp_path) -> list[int]:
    """A state directory of its own and no broker: what would be sent to a worker is listed."""
    settings.CHAOSBOARD_STATE = tmp_path
    settings.REDIS_URL = ""
    found: list[int] = []
    monkeypatch.setattr(
        services.current_app, "send_task", lambda _name, args, **_options: found.append(args[0])
    )
    return found


def found(path: Path, spec: str) -> dict:
    """What `engine check --json --story` says, without a process of its own."""
    parser = argparse.ArgumentParser()
    check.arguments(parser)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        check.check(parser.parse_args([str(path), "--spec", spec, "--json", "--story"]))
    return json.loads(out.getvalue())


def stored(which: str) -> History:
    """A golden history that has been judged."""
    path = FOLDER / f"{which}.violated.jsonl"
    result = found(path, which.partition("/")[0])
    return History.objects.create(
        name=which, filename=path.name, size=path.stat().st_size, state="judged", verdict=result["verdict"],
        headline=result["headline"], result={**result, "found": len(result["findings"])},
    )  # fmt: skip
