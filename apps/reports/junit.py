"""A report as JUnit XML, as build servers read it: one test case for each promise, its figures as properties."""

import re
from typing import Any
from xml.etree import ElementTree as xml

from apps.reports import sheet
from apps.reports.templatetags.figures import judged, label
from apps.runs.models import Run

UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
BROKEN, HELD = ("violated", "stuck"), ("held", "clean")


def as_xml(run: Run, report: dict[str, Any]) -> str:
    """Violated is a failure; unknown is an error, because it is no pass."""
    items = [item for item in judged(report) if item.get("counted", True)]
    if report["verdict"] != "held" and all(item["verdict"] in HELD for item in items):
        items.append({"name": "the run", "verdict": report["verdict"], "headline": report["headline"]})
    failed = sum(item["verdict"] in BROKEN for item in items)
    unknown = sum(item["verdict"] not in (*BROKEN, *HELD) for item in items)
    counts = {"tests": len(items), "failures": failed, "errors": unknown, "time": report["duration"] or 0}
    told = {name: str(value) for name, value in counts.items()}
    suites = xml.Element("testsuites", {"name": "chaosboard", **told})
    suite = xml.SubElement(
        suites, "testsuite", {"name": _text(report["name"]), "id": str(run.pk), **told, "skipped": "0"}
    )
    if report["started_at"]:
        suite.set("timestamp", str(report["started_at"])[:19])
    properties = xml.SubElement(suite, "properties")
    for figure in sheet.figures(report):
        value = "" if figure.value is None else str(figure.value)
        xml.SubElement(properties, "property", {"name": figure.key, "value": _text(value)})
    for item in items:
        _case(suite, report, item)
    xml.SubElement(suite, "system-out").text = _text(report["headline"])
    xml.indent(suites, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + xml.tostring(suites, "unicode") + "\n"


def _case(suite: xml.Element, report: dict[str, Any], item: dict[str, Any]) -> None:
    attributes = {
        "classname": _text(f"{report['target']}.{report['name']}"),
        "name": _text(label(item["name"])),
        "time": "0",
    }
    case = xml.SubElement(suite, "testcase", attributes)
    measured = item.get("measured") or item.get("headline") or ""
    told = f"expected {item.get('expected') or 'that it holds'}; measured {measured}"
    if item["verdict"] in BROKEN:
        xml.SubElement(case, "failure", {"type": item["verdict"], "message": _text(told)}).text = _text(
            item.get("headline")
        )
    elif item["verdict"] not in HELD:
        xml.SubElement(case, "error", {"type": item["verdict"], "message": _text(told)}).text = _text(
            item.get("headline")
        )
    else:
        xml.SubElement(case, "system-out").text = _text(told)


def _text(value: Any) -> str:
    return UNPRINTABLE.sub("�", str(value or ""))
