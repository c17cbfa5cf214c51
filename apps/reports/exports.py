"""A report as a file. All of them say what the page says, from the same stored rows."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apps.reports import junit, pages, paper, sheet
from apps.runs.models import Run

FIGURES = ("p50", "p99", "max")


def as_json(run: Run) -> str:
    """The result, with every figure as a value and as the page shows it."""
    report = pages.report(run)
    data = {**report, "run": run.pk, "figures": sheet.as_dicts(report)}
    return json.dumps(data, indent=1, ensure_ascii=False)


def as_csv(run: Run) -> str:
    """One row a figure: its key, its name, its value (seconds; shares from 0 to 1), and how people read it."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["run", "key", "name", "value", "text"])
    for figure in sheet.figures(pages.report(run)):
        value = json.dumps(figure.value) if isinstance(figure.value, bool) else figure.value
        writer.writerow([run.pk, figure.key, _plain(figure.name), _plain(value), _plain(figure.text)])
    return out.getvalue()


def _plain(cell: Any) -> Any:
    """A text that a spreadsheet would take for a formula is kept a text."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def as_intervals(run: Run) -> str:
    """CSV, one row an interval: what each probe and the workload saw, and which faults were active."""
    intervals = pages.intervals(run)
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
    return paper.as_html(pages.context(run))


def as_pdf(run: Run) -> bytes:
    return paper.as_pdf(pages.context(run))


def as_junit(run: Run) -> str:
    return junit.as_xml(run, pages.report(run))


@dataclass(frozen=True)
class Format:
    """`told` is what a person gets by it."""

    name: str
    make: Callable[[Run], str | bytes]
    media: str
    ending: str
    told: str

    def content(self, run: Run) -> bytes:
        made = self.make(run)
        return made if isinstance(made, bytes) else made.encode()

    def filename(self, run: Run) -> str:
        return f"run-{run.pk}{self.ending}"


FORMATS = {
    one.name: one
    for one in (
        Format("pdf", as_pdf, "application/pdf", ".pdf", "PDF"),
        Format("html", as_html, "text/html; charset=utf-8", ".html", "One HTML file"),
        Format("json", as_json, "application/json", ".json", "JSON"),
        Format("csv", as_csv, "text/csv; charset=utf-8", ".csv", "CSV of the figures"),
        Format("intervals", as_intervals, "text/csv; charset=utf-8", "-intervals.csv", "CSV of the readings"),
        Format("junit", as_junit, "application/xml", ".junit.xml", "JUnit XML"),
    )
}
