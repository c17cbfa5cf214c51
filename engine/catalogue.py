"""What there is, read from the registries: for the terminal, the board's page and docs/faults.md alike."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import drivers, faults, probes, specs, workloads
from engine.checkers import REGISTRY as CHECKERS
from engine.faults import Fault
from engine.parameters import Parameter, parameters
from engine.text import listed

FAMILIES: dict[str, Any] = {
    "faults": faults.REGISTRY, "probes": probes.REGISTRY, "drivers": drivers.REGISTRY,
    "workloads": workloads.REGISTRY, "specs": specs.REGISTRY, "checkers": CHECKERS,
}  # fmt: skip
ELSEWHERE = "On another host, ssh and agent carry whatever their `local` driver carries."
NODES = parameters(Fault)[0]  # what all faults take, told once


@dataclass(frozen=True)
class Entry:
    """One plug-in. `carried_by` names the drivers that can carry a fault; what all faults take is left out."""

    name: str
    about: str
    parameters: tuple[Parameter, ...]
    carried_by: tuple[str, ...] = ()

    @property
    def example(self) -> str:
        """A step of an experiment file with this fault, at its defaults."""
        needed = [f"{p.name}: {_sample(p)}" for p in self.parameters if p.required]
        return f"- {{at: 0s, for: 10s, {self.name}: {{{', '.join(needed)}}}}}"


def entries(family: str) -> list[Entry]:
    return [_entry(name, cls) for name, cls in FAMILIES[family]]


def _entry(name: str, cls: type) -> Entry:
    about = re.sub(r"\s+", " ", (cls.__doc__ or "").strip())
    carried = tuple(drivers.offering(cls.needs)) if issubclass(cls, Fault) else ()
    own = tuple(p for p in parameters(cls) if not carried or p != NODES)
    return Entry(name, about, own, carried)


def first(cls: type) -> str:
    """The first paragraph of what a plug-in says of itself: what it is; the others say more."""
    return re.sub(r"\s+", " ", (cls.__doc__ or "").strip().split("\n\n")[0])


def shown(parameter: Parameter) -> str:
    """Its default as a person writes it; "required" where there is none."""
    if parameter.required:
        return "required"
    value = parameter.show(parameter.default)
    if isinstance(value, list | tuple):
        value = " ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value in (None, "", {}) else str(value)


def _sample(parameter: Parameter) -> str:
    if parameter.choices:
        return parameter.choices[0]
    return {"mapping": "{…}", "list": "[…]", "integer": "1", "number": "1"}.get(parameter.kind, "…")


def markdown() -> str:
    """docs/faults.md."""
    parts = [
        "# Faults and drivers",
        "Made from the code by `python -m engine list --markdown`; the board shows the same under *Faults*.",
        "Every fault takes `at` and `for`, and may take `pulse` (`2s on, 3s off`) or `moments` (`3 of 2s`). "
        f"`nodes` (default `{shown(NODES)}`) says {NODES.help}. {ELSEWHERE}",
        "## Faults",
        *(_told(one, "Carried by", one.carried_by) for one in entries("faults")),
        "## Drivers",
        *(_told(one) for one in entries("drivers")),
    ]
    return "\n\n".join(parts) + "\n"


def _told(entry: Entry, title: str = "", names: Sequence[str] = ()) -> str:
    lines = [f"### {entry.name}", "", entry.about]
    if names:
        lines += ["", f"{title}: {listed(list(names))}."]
    if entry.parameters:
        lines += ["", "| parameter | default | what it is |", "|---|---|---|"]
    for p in entry.parameters:
        default = shown(p)
        lines.append(f"| `{p.name}` | {f'`{default}`' if default else '–'} | {_cell(p)} |")
    return "\n".join(lines)


def _cell(p: Parameter) -> str:
    choices = f" ({', '.join(p.choices)})" if p.choices else ""
    return f"{p.help}{choices}".replace("|", "\\|")
