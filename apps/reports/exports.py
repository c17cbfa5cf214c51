"""A report as a file. All of them say what the page says, from the same stored rows."""

import csv
import io
import json

from django.template.loader import render_to_string

from apps.reports import pages
from apps.runs.models import Run

FIGURES = ("p50", "p99", "max")


def as_json(run: Run) -> str:
    return json.dumps({**pages.report(run), "run": run.pk}, indent=1, ensure_ascii=False)


def as_csv(run: Run) -> str:
    """One row an interval: what each probe and the workload saw, and which faults were active."""
    events = pages.events(run)
    intervals = [e["data"] for e in events if e["kind"] == "interval"]
    probes = sorted({name for i in intervals for name in i["probes"]})
    columns = ["start", "width"]
    columns += [f"{name} {key}" for name in probes for key in ("good", "total", *FIGURES)]
    columns += [f"operations {key}" for key in ("ok", "fail", "info", *FIGURES)]
    windows = pages.report(run)["faults"]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*columns, "faults"])
    for interval in intervals:
        row = [interval["t"], interval["width"]]
        for name in probes:
            reading = interval["probes"].get(name) or {}
            row += [reading.get(key) for key in ("good", "total", *FIGURES)]
        operations = interval.get("ops") or {}
        row += [operations.get(key) for key in ("ok", "fail", "info", *FIGURES)]
        writer.writerow([*row, "; ".join(_active(windows, interval["t"], interval["width"]))])
    return out.getvalue()


def _active(windows: list[dict], start: float, width: float) -> list[str]:
    """The faults whose window touches the interval; one that was never healed has no end."""
    return [
        fault["line"]
        for fault in windows
        if fault.get("injected_at") is not None
        and fault["injected_at"] < start + width
        and (fault.get("healed_at") is None or fault["healed_at"] > start)
    ]


def as_html(run: Run) -> str:
    """One file that needs no other."""
    return render_to_string("reports/export.html", pages.context(run))


FORMATS = {"json": as_json, "csv": as_csv, "html": as_html}
