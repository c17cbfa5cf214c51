"""The demo's services and experiments on the board: registered, run, and their verdicts told."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apps.experiments.models import Experiment
from apps.experiments.services import save_experiment
from apps.runs.models import Run
from apps.runs.services import request_run
from apps.targets.services import register
from engine.errors import EngineError

HERE = Path(__file__).parent
FILES = {"etcd demo": "etcd.yaml", "valkey demo": "valkey.yaml"}
PATIENCE = 150.0
BY = "the demo"

Say = Callable[[str], None]


def experiment_for(system: str) -> Experiment:
    text = (HERE / FILES[system]).read_text()
    name = text.split("name:", 1)[1].splitlines()[0].strip()
    return save_experiment(text, by=BY, instance=Experiment.objects.filter(name=name).first())


def run_all(systems: dict[str, list[dict[str, Any]]], url: str, began: float, say: Say) -> bool:
    """Hurts one system after the other, so that neither disturbs the other's figures."""
    verdicts = [_run(system, documents, url, say) for system, documents in systems.items()]
    say(f"All verdicts {time.time() - began:.0f} s after the start. The board stays up until Ctrl-C.")
    return all(verdicts)


def _run(system: str, documents: list[dict[str, Any]], url: str, say: Say) -> bool:
    try:
        register(documents)
        experiment = experiment_for(system)
        run = request_run(experiment, by=BY, trigger="demo")
    except EngineError as error:
        say(f"{system}: {error}")
        return False
    say(f"{system}: “{experiment.name}” runs: {url}/runs/{run.pk}/")
    return _wait(run, system, url, say)


def _wait(run: Run, system: str, url: str, say: Say) -> bool:
    deadline = time.monotonic() + PATIENCE
    while run.state != "done":
        if time.monotonic() > deadline:
            say(f"{system}: no verdict after {PATIENCE:.0f} s (it is {run.state}); see {url}/runs/{run.pk}/")
            return False
        time.sleep(0.25)
        run.refresh_from_db()
    say(f"{system}: {run.verdict.upper()}  {run.headline}  {url}/runs/{run.pk}/report/")
    return True
