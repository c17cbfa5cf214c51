"""Figures as people read them: with a unit, as exact as they are, and a dash where nothing was measured."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson
from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from engine import catalogue, text
from engine.parameters import Parameter
from engine.traffic import told

register = template.Library()
NOTHING = "–"
ABSENT = (None, "")  # the second is what a template has for a key that an older board did not store

PILLS = {
    "held": "ok",
    "violated": "bad",
    "unknown": "unknown",
    "clean": "ok",
    "unverified": "warn",
    "stuck": "bad",
    "injecting": "hurt",
    "active": "hurt",
    "healing": "hurt",
}


@register.filter
def seconds(value: float | None) -> str:
    """0.13 -> "130 ms", 2.41 -> "2.41 s", 75 -> "1 min 15 s"."""
    if value in ABSENT:
        return NOTHING
    if value < 0:
        return f"−{seconds(-value)}"
    if value < 0.001:
        return f"{value * 1e6:.0f} µs" if value else "0 s"
    if value < 0.9995:
        return f"{value * 1e3:.{0 if value >= 0.01 else 1}f} ms"
    if value < 59.95:
        return f"{value:.{2 if value < 10 else 1}f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


@register.filter
def signed(value: float | None) -> str:
    """A difference of times: 0.13 -> "+130 ms"."""
    return seconds(value) if value is None or value <= 0 else f"+{seconds(value)}"


@register.filter
def points(value: float | None) -> str:
    """A difference of shares: 0.0123 -> "+1.23 points"."""
    if value in ABSENT:
        return NOTHING
    size = f"{abs(value) * 100:.2f}"
    sign = "" if size == "0.00" else "+" if value > 0 else "−"
    return f"{sign}{size} points"


@register.filter
def moment(value: float | None) -> str:
    """A time since the start of a run: 12.3 -> "0:12.3"."""
    if value in ABSENT:
        return NOTHING
    tenths = round(max(value, 0.0) * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


@register.filter
def percent(share: float | None) -> str:
    """0.9604 -> "96.04 %"; 100 % only where nothing is missing."""
    return NOTHING if share in ABSENT else text.share(share)


@register.filter
def count(value: int | None) -> str:
    """14882 -> "14,882"."""
    return NOTHING if value in ABSENT else f"{value:,}"


@register.filter
def iso(value: datetime | str | None) -> str:
    return value.isoformat() if isinstance(value, datetime) else value or ""


@register.filter
def when(value: datetime | str | None) -> SafeString | str:
    """A time element in UTC, which the page turns into the reader's own time."""
    return _time(value, "moment")


@register.filter
def ago(value: datetime | str | None) -> SafeString | str:
    """A time element that reads "3 min ago", and says the exact time when asked."""
    return _time(value, "ago")


def _time(value: datetime | str | None, form: str) -> SafeString | str:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    if value is None:
        return NOTHING
    shown = age(value) if form == "ago" else f"{value:%Y-%m-%d %H:%M} UTC"
    return format_html('<time datetime="{}" data-form="{}">{}</time>', value.isoformat(), form, shown)


@register.filter
def age(value: datetime | None) -> str:
    """How long ago: "now", "35 min", "2 h", "9 d"."""
    if value is None:
        return NOTHING
    passed = (timezone.now() - value).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if passed >= size:
            return f"{passed // size:.0f} {unit} ago"
    return "just now"


@register.filter
def traffic(fault: Mapping[str, Any]) -> list[str]:
    """When a fault was gone, and when traffic went again, in words."""
    return [sentence[:1].upper() + sentence[1:] for sentence in told(fault)]


@register.filter
def as_json(value: Any) -> str:
    """For a data attribute, where the template escapes it."""
    return json.dumps(value, ensure_ascii=False)


@register.filter
def data_script(value: Any, name: str) -> SafeString:
    """Django's own `json_script` for pages with thousands of intervals: a tenth of the time, and no NaN."""
    text = orjson.dumps(value).decode()
    for unsafe, safe in (("<", "\\u003C"), (">", "\\u003E"), ("&", "\\u0026")):
        text = text.replace(unsafe, safe)
    return format_html('<script id="{}" type="application/json">{}</script>', name, mark_safe(text))


@register.filter
def pill(word: str | None) -> str:
    """The class of the pill that says `word`."""
    return PILLS.get(word or "", "unknown")


@register.filter
def by_reason(cannot: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """{fault: why not} -> (why not, its faults), what most faults lack first."""
    found: dict[str, list[str]] = {}
    for fault, why in cannot.items():
        found.setdefault(why, []).append(fault)
    return sorted(found.items(), key=lambda item: -len(item[1]))


@register.filter
def default_of(parameter: Parameter) -> str:
    return catalogue.shown(parameter)


@register.filter
def beats(recent: Iterable[Any]) -> list[str]:
    """Checks, oldest first, as the classes of their bars: up, down, part or none."""
    words = {True: "up", False: "down"}
    return [item if isinstance(item, str) else words.get(item, "none") for item in recent or []]


@register.filter
def label(name: str) -> str:
    """time_to_detect -> "Time to detect"."""
    words = str(name).replace("_", " ").strip()
    return words[:1].upper() + words[1:]


@register.simple_tag
def current(request: Any, prefix: str, but: str = "/") -> SafeString | str:
    """aria-current on the link to the part of the board that is open; `but` is a part of it with a link of its own."""
    path = getattr(request, "path", "")
    here = path == prefix if prefix == "/" else path.startswith(prefix)
    here = here and (but == "/" or not path.startswith(but))
    return format_html(' aria-current="{}"', "page") if here else ""


@register.filter
def since(end: float | None, start: float | None) -> float | None:
    """How long from `start` to `end`; None where one of them never came."""
    return None if end is None or start is None else end - start


@register.filter
def violations(report: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The broken promises of a result, each once, with their lost elements and what no story tells apart."""
    promised, checked = ((report or {}).get(name, []) for name in ("expectations", "checks"))
    checked = [item for item in checked if item["verdict"] == "violated"]
    told = {item["name"] for item in checked}
    told |= {
        "lost writes" for item in checked if any(f.get("kind") == "lost" for f in item.get("findings", []))
    }
    broken = [item for item in promised if item["verdict"] == "violated" and item["name"] not in told]
    return [_evidence(item) for item in [*broken, *checked]]


def _evidence(item: dict[str, Any]) -> dict[str, Any]:
    findings = item.get("findings", [])
    return {
        "name": item["name"],
        "headline": item.get("headline", ""),
        "expected": text.bound(item.get("expected", "")),
        "lost": [f for f in findings if f.get("kind") == "lost"],
        "other": [] if item.get("stories") else [f for f in findings if f.get("kind") != "lost"],
        "storied": bool(item.get("stories")),
    }


@register.filter
def finding(found: dict[str, Any]) -> str:
    """A finding in words: its own text, or its parts by name."""
    if told := found.get("text"):
        return str(told)
    return ", ".join(f"{label(name)}: {value}" for name, value in found.items())


@register.filter
def took(run: Any) -> float | None:
    """How long a run lasted, in seconds; None while it is not over."""
    return since(
        run.finished_at and run.finished_at.timestamp(), run.started_at and run.started_at.timestamp()
    )


@register.filter
def judged(report: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Every promise of a result with what was measured; that all is as it was is always one of them."""
    if not report:
        return []
    promised = report.get("expectations", [])
    named = {item["name"] for item in promised}  # of which a check has said the same
    items = [*promised, *(item for item in report.get("checks", []) if item["name"] not in named)]
    items = [{**item, "expected": text.bound(item.get("expected", ""))} for item in items]
    if not any(item["name"] == "clean" for item in items):
        items.append(_clean(report))
    return items


def _clean(report: dict[str, Any]) -> dict[str, Any]:
    verdict = {True: "clean", False: "stuck"}.get(report.get("clean"), "unknown")
    measured = report.get("clean_text") or "nobody could read it back"
    return {
        "name": "clean",
        "verdict": verdict,
        "headline": measured,
        "expected": "everything as it was",
        "measured": measured,
    }
