"""The files of a report opened by somebody else's hand, and the figures found in them; no code of exports is used."""

import csv
import json
import re
import subprocess
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

Figures = dict[str, Any]
SIGNIFICANT = ("verdict", "headline", "ending", "duration", "clean")
RECOVERY = (
    "time_to_detect", "time_to_recover_from_injected", "time_to_recover_from_healed", "worst_outage", "uncertainty",
    "availability",
)  # fmt: skip


def stored(result: dict[str, Any]) -> Figures:
    """The figures of a result as the database has it."""
    found = {key: result.get(key) for key in SIGNIFICANT}
    recovery = result.get("recovery") or {}
    found |= {f"recovery.{key}": recovery.get(key) for key in RECOVERY}
    found["recovery.outages"] = len(recovery.get("outages") or [])
    for part in result.get("phases_measured") or []:
        for key in ("availability", "p50", "p99", "max", "samples"):
            found[f"phase.{part['phase']}.{key}"] = part[key]
    found |= {f"operations.{key}": value for key, value in (result.get("operations") or {}).items()}
    for i, fault in enumerate(result.get("faults") or [], 1):
        found |= {f"fault.{i}.{key}": fault[key] for key in ("injected_at", "healed_at", "state")}
    for i, item in enumerate(result.get("expectations") or [], 1):
        found[f"judged.{i}.verdict"] = item["verdict"]
    return found


def of_json(file: Path) -> Figures:
    data = json.loads(file.read_text())
    figures = {one["key"]: one["value"] for one in data["figures"]}
    assert stored(data).items() <= figures.items(), "the figures of the JSON are not those of its result"
    return figures


def texts_of_json(file: Path) -> dict[str, tuple[str, str]]:
    """key -> name and text, as people read them."""
    return {one["key"]: (one["name"], one["text"]) for one in json.loads(file.read_text())["figures"]}


def of_csv(file: Path) -> Figures:
    with file.open(newline="") as text:
        return {row["key"]: row["value"] for row in csv.DictReader(text)}


def of_junit(file: Path) -> Figures:
    suite = ElementTree.parse(file).getroot().find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    for attribute, tag in (("failures", "failure"), ("errors", "error")):
        assert int(suite.get(attribute, -1)) == sum(case.find(tag) is not None for case in cases)
    assert int(suite.get("tests", -1)) == len(cases)
    figures = {one.get("name"): one.get("value") for one in suite.iter("property")}
    failed, unknown = int(suite.get("failures", 0)), int(suite.get("errors", 0))
    verdict = figures["verdict"]
    assert verdict in ("violated", "unknown") if unknown or failed else verdict == "held"
    return figures


class _Page(HTMLParser):
    """The rows that carry figures, and every address that the page would load or lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.figures: dict[str, str] = {}
        self.addresses: list[str] = []
        self.scripts = self._cell = 0
        self._key, self._text = "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.scripts += tag == "script"
        self.addresses += [v for k in ("src", "href", "action", "srcset") if (v := given.get(k))]
        if tag == "tr":
            self._key, self._cell = given.get("data-figure") or "", 0
        if tag == "td":
            self._cell, self._text = self._cell + 1, ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "td" and self._key and self._cell == 2:
            self.figures[self._key] = self._text


def texts_of_html(file: Path) -> dict[str, str]:
    """key -> text, of a file that needs no other."""
    page = _Page()
    text = file.read_text()
    page.feed(text)
    assert not [a for a in page.addresses if not a.startswith("#")]
    assert not page.scripts
    assert "@import" not in text
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", text)
    return page.figures


def texts_of_pdf(file: Path, figures: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Those of `figures` whose row is found in the PDF, whatever breaks its lines."""
    read = _squeezed(_read(file))
    return {key: text for key, (name, text) in figures.items() if _squeezed(f"{name}{key}{text}") in read}


def letters_alone(file: Path) -> list[str]:
    """Lines of a single letter in the PDF: a column was too narrow for its words."""
    return [line for line in _read(file).splitlines() if len(line) == 1 and line.isalpha()]


def _read(pdf: Path) -> str:
    command = ["pdftotext", "-raw", str(pdf), "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def pages_of_pdf(file: Path, folder: Path, dots: int = 40) -> list[Path]:
    """Each page as a picture, by pdftoppm."""
    subprocess.run(["pdftoppm", "-r", str(dots), "-png", str(file), str(folder / file.stem)], check=True)
    return sorted(folder.glob(f"{file.stem}-*.png"))


def _squeezed(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


def differences(result: dict[str, Any], folder: Path) -> Iterator[str]:
    """What the files run.json, .csv, .junit, .html and .pdf in `folder` say otherwise than the database."""
    wanted = stored(result)
    found = of_json(folder / "run.json")
    yield from (f"json {k}: {found.get(k)!r}, not {v!r}" for k, v in wanted.items() if found.get(k) != v)
    for name, others in (("csv", of_csv(folder / "run.csv")), ("junit", of_junit(folder / "run.junit"))):
        assert others.keys() == found.keys()
        yield from (
            f"{name} {k}: {others[k]!r}, not {v!r}" for k, v in wanted.items() if not _same(others[k], v)
        )
    texts = texts_of_json(folder / "run.json")
    shown, printed = texts_of_html(folder / "run.html"), texts_of_pdf(folder / "run.pdf", texts)
    for key, (_, text) in texts.items():
        if shown.get(key) != text:
            yield f"html {key}: {shown.get(key)!r}, not {text!r}"
        if key not in printed:
            yield f"pdf {key}: {text!r} is not found"


def _same(read: str, value: Any) -> bool:
    if value is None:
        return read == ""
    if isinstance(value, bool):
        return read.lower() == str(value).lower()
    if isinstance(value, int | float):
        return float(read) == value
    return read.removeprefix("'") == value
