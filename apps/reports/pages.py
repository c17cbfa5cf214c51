"""What a report page shows, from the stored result and events alone."""

import copy
from dataclasses import asdict
from statistics import median
from typing import Any

from apps.histories import figures
from apps.reports import sheet
from apps.reports.advice import Advice, advice
from apps.reports.charts import Moment, charts
from apps.reports.templatetags.figures import seconds
from apps.runs.models import Run
from engine.errors import EngineError
from engine.inspect import faults_for
from engine.leadership import leader_changes
from engine.story import story_of
from engine.text import said_once

SHOWN = ("interval", "fault", "leader", "phase", "run", "violation", "note", "extension")
COMPARED = 20  # earlier runs

# A run that ended before there was anything to judge has a report as well: it says so.
EMPTY: dict[str, Any] = {
    "verdict": "unknown", "headline": "", "ending": "failed", "ending_reason": "", "name": "", "target": "",
    "started_at": None, "duration": None, "phases": [], "faults": [],
    "recovery": {
        "time_to_detect": None, "time_to_recover_from_injected": None, "time_to_recover_from_healed": None,
        "availability": None, "outages": [], "uncertainty": None, "worst_outage": None,
    },
    "load": None, "versions": None,
    "phases_measured": [], "leadership": [], "leader_changes": [], "operations": None, "checks": [],
    "expectations": [], "clean": None, "clean_text": "",
}  # fmt: skip


def report(run: Run) -> dict[str, Any]:
    """The run's result, complete in its keys whatever happened to the run."""
    result = copy.deepcopy(EMPTY)
    stored = run.result or {}
    result["recovery"].update(stored.get("recovery") or {})
    result.update({key: value for key, value in stored.items() if key != "recovery"})
    result["verdict"] = result["verdict"] or run.verdict or "unknown"
    result["ending"] = run.ending or result["ending"]
    result["headline"] = result["headline"] or run.headline or "Nothing was recorded."
    result["name"], result["target"] = result["name"] or run.name, result["target"] or run.target.name
    if run.started_at:
        result["started_at"] = result["started_at"] or run.started_at.isoformat()
    if result["clean"] is None:
        result["clean"], result["clean_text"] = cleanliness(run)
    return result


def cleanliness(run: Run) -> tuple[bool | None, str]:
    """Whether all that was injected is gone, as the mirror of the undo records has it now."""
    rows = list(run.injections.all())
    if not rows:
        return True, "nothing was hurt"
    left = [row for row in rows if row.state != "clean"]
    told = said_once((row.line, f"{row.state}{', ' + row.text if row.text else ''}") for row in left or rows)
    return not left, "; ".join(told)


def earlier(run: Run) -> list[dict[str, Any]]:
    """The runs of the same experiment before this one, newest first."""
    before = Run.objects.filter(
        version__experiment=run.version.experiment_id, state=Run.State.DONE, pk__lt=run.pk
    ).exclude(result=None)
    rows = before.order_by("-pk").values("pk", "started_at", "verdict", "result__recovery")[:COMPARED]
    return [
        {
            "id": row["pk"],
            "started_at": row["started_at"],
            "verdict": row["verdict"],
            "time_to_recover": (row["result__recovery"] or {}).get("time_to_recover_from_injected"),
            "availability": (row["result__recovery"] or {}).get("availability"),
        }
        for row in rows
    ]


def deltas(result: dict[str, Any], before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """This run against the median of the earlier ones; `better` is None where there is no difference."""
    recovery = result["recovery"]
    compared = [
        ("time_to_recover", recovery["time_to_recover_from_injected"], False),
        ("availability", recovery["availability"], True),
    ]
    found = []
    for name, now, more_is_better in compared:
        known = [row[name] for row in before if row[name] is not None]
        if now is None or not known:
            continue
        usual = median(known)
        better = None if now == usual else (now > usual) == more_is_better
        found.append(
            {
                "name": name,
                "now": now,
                "usual": usual,
                "delta": now - usual,
                "better": better,
                "runs": len(known),
            }
        )
    return found


def events(run: Run) -> list[dict[str, Any]]:
    shown = run.events.filter(kind__in=SHOWN).order_by("n")
    return list(shown.values("n", "at", "kind", "data"))


def said(seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What people noted and asked for while it ran, each with `at`, and `by` and `text` in its `data`."""
    return [e for e in seen if e["kind"] == "extension" or (e["kind"] == "note" and e["data"].get("by"))]


def consistency(result: dict[str, Any]) -> list[figures.Told]:
    """What the checkers found, told and drawn on the run's own axis of time."""
    stories = [story for check in result["checks"] for story in check.get("stories", [])]
    windows = figures.fault_windows(result["faults"])
    return figures.told(stories, windows, result["duration"], result["leader_changes"])


def first_violation(run: Run) -> figures.Told | None:
    """What the checks told while the run went on, with the faults until now."""
    event = run.events.filter(kind="violation").order_by("n").first()
    if event is None:
        return None
    story = story_of(event.data)
    views = [{**e.data, "at": e.at} for e in run.events.filter(kind="leader").order_by("n")]
    return figures.told([story], _faults_so_far(run), max(event.at, story["end"]), leader_changes(views))[0]


def _faults_so_far(run: Run) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for event in run.events.filter(kind="fault").exclude(data__state="planned").order_by("n"):
        fault = found.setdefault(event.data["id"], {"line": event.data["line"], "injected_at": event.at})
        if event.data["state"] in ("injecting", "active"):
            fault["injected_at"] = event.at
        if event.data["state"] == "clean":
            fault["healed_at"] = event.at
    return figures.fault_windows(list(found.values()))


def intervals(run: Run) -> list[dict[str, Any]]:
    return list(run.events.filter(kind="interval").order_by("n").values_list("data", flat=True))


def next_steps(run: Run, result: dict[str, Any]) -> list[Advice]:
    """What to try next on this service, of what it can suffer and was never hurt with."""
    documents = Run.objects.filter(target=run.target_id, state=Run.State.DONE)
    tested = {
        f.get("name") for faults in documents.values_list("result__faults", flat=True) for f in faults or []
    }
    try:
        found = faults_for(run.target.to_engine())
        suited = {name for name, why in found.items() if not why}
    except EngineError:
        suited = None
    return advice(result, run.target.kind, tested, suited)


def steady_again(result: dict[str, Any]) -> Moment | None:
    """When it was steady again, for its line in the charts. After several faults no one moment stands for all."""
    after, hurt = result["recovery"]["time_to_recover_from_injected"], result["faults"]
    begun = [fault["injected_at"] for fault in hurt if fault.get("injected_at") is not None]
    if len(begun) != 1 or after is None or not result["recovery"].get("broken", True):
        return None
    return Moment(begun[0] + after, f"steady again +{seconds(after)}")


def told_plan(run: Run) -> dict[str, Any]:
    """What was planned, as the run told it at its beginning; {} where it never began."""
    event = run.events.filter(kind="run").order_by("n").first()
    return event.data if event else {}


def context(run: Run) -> dict[str, Any]:
    """All that the page and every file of it show."""
    result, before, seen = report(run), earlier(run), events(run)
    measured = [e["data"] for e in seen if e["kind"] == "interval"]
    back = steady_again(result)
    return {
        "charts": charts(measured, result["faults"], result["duration"], back),
        "figures": sheet.figures(result),
        "advice": next_steps(run, result),
        "injections": list(run.injections.order_by("step", "node")),
        "notes": list(run.report_notes.filter(kind="decision")),
        "told_plan": told_plan(run),
        "said": said(seen),
        "run": run,
        "report": result,
        "report_data": {
            "duration": result["duration"],
            "faults": result["faults"],
            "events": seen,
            "back": back and asdict(back),
        },
        "earlier": before,
        "comparable": next((row["id"] for row in before if row["availability"] is not None), None),
        "deltas": deltas(result, before),
        "told": consistency(result),
    }
