"""The undo records as rows, for the pages. The files are the truth; this follows them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.runs.models import Injection, Run
from engine import undo


def state_directory() -> Path:
    return Path(settings.CHAOSBOARD_STATE)


def record(run: Run, data: dict[str, Any]) -> None:
    """Follows one fault event. What is only planned hurts nobody yet."""
    if data["state"] == "planned":
        return
    ids = dict(zip(data["nodes"], data.get("records", ()), strict=False))
    for node in data["nodes"]:
        row = {"line": data["line"], "state": data["state"], "text": data.get("text") or ""}
        if node in ids:
            row["record_id"] = ids[node]
            if found := undo.record_of(state_directory(), ids[node]):
                row["expires_at"] = datetime.fromtimestamp(found.expires_at - undo.LEASE, UTC)
        Injection.objects.update_or_create(run_id=run.pk, step=data["id"], node=node, defaults=row)


def refresh() -> int:
    """Asks the files about what still hurts of runs that are over; how many have changed."""
    changed = 0
    hurting = Injection.objects.filter(state__in=Injection.HURTING, run__state=Run.State.DONE)
    for injection in hurting:
        found = undo.record_of(state_directory(), injection.record_id) if injection.record_id else None
        state = found.state if found else "unverified"
        text = found.text if found else "its undo record is gone; look at the system itself"
        if (injection.state, injection.text) != (state, text):
            injection.state, injection.text = state, text
            injection.save(update_fields=["state", "text"])
            changed += 1
    return changed


def hurt_now() -> list[dict[str, Any]]:
    """What is hurt at this moment; what is stuck stays here until it is clean."""
    rows = Injection.objects.filter(state__in=Injection.HURTING).select_related("run__target")
    return [
        {
            "run_id": row.run_id,
            "target": row.run.target.name,
            "node": row.node,
            "line": row.line,
            "state": row.state,
            "text": row.text,
            "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        }
        for row in rows.order_by("pk")
    ]
