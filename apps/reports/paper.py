"""A report as one HTML file that needs no other, and as PDF: the same parts as the page, the same style sheets."""

import base64
import re
from functools import cache
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from engine.errors import Refused

STATIC = settings.BASE_DIR / "static"
SHEETS = ("css/tokens.css", "css/app.css", "css/run.css", "css/story.css", "css/report.css")
DRAWINGS = ("css/story.css", "css/report.css")
FACE = re.compile(r"@font-face\s*{[^}]*}\s*|@import[^;]*;\s*")
LIGHT = re.compile(r"light-dark\(\s*((?:[^(),]|\([^()]*\))+),\s*(?:[^()]|\([^()]*\))+\)")
MIX = re.compile(r"color-mix\(in srgb, (var\([^)]*\)) [^()]*(?:var\([^)]*\))?[^()]*\)")
# Grids within grids are laid out again and again: on paper one thing follows the other.
LAID_OUT = """
:root { font-size: 10.5px; }
.paper { font-size: 1rem; }
.stack, .halves, .told, .lanes .lane { display: block; }
.stack > *, .halves > * { margin: 0 0 10px; }
dl.facts { grid-template-columns: 2fr 3fr; }
.lanes .who { display: block; text-align: left; padding: 6px 0 0; }
.pill { display: inline-block; }
.pill::before { display: inline-block; margin-right: 5px; }
.drawn-card, .every { break-inside: auto; }
table.grid tbody th { min-width: 0; }
.every table { table-layout: fixed; }
.every td.num { white-space: normal; overflow-wrap: anywhere; }
.every td { padding-top: 2px !important; padding-bottom: 2px !important; }
.every td small { display: inline; margin-left: 6px; }
"""
WITHOUT = "PDF needs Pango, which is not on this machine."
REMEDY = "Install libpango-1.0-0 and libpangoft2-1.0-0 (Debian), pango (Fedora, Homebrew), or print the page."


def as_html(context: dict[str, Any]) -> str:
    """In the reader's colours, light or dark."""
    return render_to_string("reports/paper.html", {**context, "paper": True, "style": mark_safe(style())})


def as_pdf(context: dict[str, Any]) -> bytes:
    """A4, light; raises Refused where the machine lacks the libraries that lay text out."""
    try:
        from weasyprint import HTML
        from weasyprint.urls import URLFetcher
    except OSError as error:
        raise Refused(f"{WITHOUT} ({error.args[0]})", REMEDY) from None
    sheet = _light(font() + style() + LAID_OUT)
    text = render_to_string("reports/paper.html", {**context, "paper": True, "style": mark_safe(sheet)})
    text = re.sub(r"(<svg\b[^>]*>)", lambda found: f"{found[1]}<style>{drawing_style()}</style>", text)
    fetcher = URLFetcher(allowed_protocols=("data",))  # nothing of this machine, nor of another
    return bytes(HTML(string=text, url_fetcher=fetcher).write_pdf())


@cache
def style() -> str:
    """All style sheets of the page in one text, without the fonts that lie beside them."""
    return "".join(FACE.sub("", (STATIC / name).read_text()) for name in SHEETS)


@cache
def font() -> str:
    data = base64.b64encode((STATIC / "vendor/inter/inter-latin.woff2").read_bytes()).decode()
    return f'@font-face {{ font-family: "Inter"; src: url("data:font/woff2;base64,{data}"); font-weight: 100 900; }}\n'


def _light(css: str) -> str:
    """The light colours, in words that any renderer of CSS knows."""
    return MIX.sub(r"\1", LIGHT.sub(r"\1", css))


@cache
def drawing_style() -> str:
    """What a drawing wears where it does not see the page's style sheet: within it, and with plain colours."""
    colours = dict(re.findall(r"(--[\w-]+):\s*([^;]+);", _light((STATIC / "css/tokens.css").read_text())))
    sheets = [re.split(r"@(?:media|page)", (STATIC / name).read_text())[0] for name in DRAWINGS]
    css = re.sub(r"/\*.*?\*/", "", _light("".join(sheets)), flags=re.S)
    rules = re.findall(r"([^{}]+){([^{}]*(?:fill|stroke|stop-color|font-size)[^{}]*)}", css)
    own = "".join(
        f"{re.sub(r'[.](?:lanes|circle|drawn) ', '', selector.strip())} {{{body}}}\n"
        for selector, body in rules if ":" not in selector
    )  # fmt: skip
    return re.sub(r"var\((--[\w-]+)\)", lambda found: colours[found[1]], own) + ON_PAPER


# A pattern of another drawing is not seen either.
ON_PAPER = """
text { font-family: Inter, sans-serif; font-size: 12px; stroke: none !important; }
.band rect { fill: #efebff; }
.bar.info rect { fill: #c98500; fill-opacity: 0.5; }
"""
