"""The result of a run -> the narrow row that trends, comparisons and baselines read."""

import hashlib
import json
from datetime import datetime
from typing import Any

from apps.runs.models import Figures, Label, Run
from engine.experiment import Experiment


def measured(run: Run, result: dict[str, Any]) -> dict[str, Any]:
    """The columns of a run's row. A result without figures gives a row without them."""
    return {
        "experiment_id": run.version.experiment_id,
        "target_id": run.target_id,
        "at": _at(run, result),
        "version": run.version.number,
        "target_version": run.target_version or told_version(result),
        "target_print": target_print(run.target_document),
        **read(result),
    }


def read(result: dict[str, Any]) -> dict[str, Any]:
    recovery = result.get("recovery") or {}
    return {
        "verdict": result.get("verdict") or "unknown",
        "ending": result.get("ending") or "",
        "detect": recovery.get("time_to_detect"),
        "recover": recovery.get("time_to_recover_from_injected"),
        "recover_healed": recovery.get("time_to_recover_from_healed"),
        "uncertainty": recovery.get("uncertainty"),
        "broken": bool(recovery.get("broken")),
        "availability": recovery.get("availability"),
        "readings": sum(part.get("samples") or 0 for part in result.get("phases_measured") or []),
    }


def _at(run: Run, result: dict[str, Any]) -> datetime:
    told = result.get("started_at")
    return run.started_at or (datetime.fromisoformat(told) if told else run.created_at)


def told_version(result: dict[str, Any]) -> str:
    """What the nodes said of themselves: "8.1", or "8.0, 8.1" where they differ; "" where none said."""
    told = (result.get("versions") or {}).get("target") or {}
    return ", ".join(sorted({str(version) for version in told.values() if version}))[:100]


def target_print(document: dict[str, Any]) -> str:
    """Twelve characters that change when anything of the registered target does."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]


def store(run: Run, result: dict[str, Any]) -> None:
    """Writes the row of a run, over the one that was there."""
    Figures.objects.update_or_create(run_id=run.pk, defaults=measured(run, result))


def label_faults(run: Run, experiment: Experiment) -> None:
    """What is planned to be done, as words by which the run is found."""
    kinds = sorted({step.kind for step in experiment.faults})
    Label.objects.bulk_create([Label(run=run, sort=Label.Sort.FAULT, name=kind) for kind in kinds])
