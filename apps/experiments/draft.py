"""A draft: what stands in the editor, as texts by field name; to and from an experiment's document.

`PLACES` says which part of the document each field is; the same table leads a problem back to its
field. Parameters of plug-ins are found by their prefix: `probe-http-path` is
`steady_state.0.probe.http.path`, `step-2-kill-signal` is `faults.<position of step 2>.kill.signal`.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from apps import parameters
from apps.experiments import conditions
from apps.experiments.offers import default_nodes, faults_offered, nodes_offered
from engine.errors import Problem
from engine.experiment import STEP as STEP_KEYS
from engine.faults import REGISTRY as FAULTS
from engine.probes import REGISTRY as PROBES
from engine.target import Target
from engine.topology import in_one_line, separate
from engine.workloads import REGISTRY as WORKLOADS

PLACES = {
    "name": "name",
    "target": "target",
    "probe": "steady_state.0.probe",
    "every": "steady_state.0.every",
    "timeout": "steady_state.0.timeout",
    "availability": "steady_state.0.tolerance.availability",
    "p99": "steady_state.0.tolerance.p99",
    "workload": "workload",
    "baseline": "baseline",
    "together": "together",
    "recovery_timeout": "recovery.timeout",
    "recovery_stable": "recovery.stable",
    "abort_when": "abort_when",
    "expect_recover_within": "expect.recover_within",
    "expect_detect_within": "expect.detect_within",
    "expect_availability": "expect.availability",
    "expect_p99": "expect.p99",
    "expect_lost_writes": "expect.lost_writes",
}
WHOLES = {  # a problem with a whole part is shown at its first field
    "steady_state": "probe",
    "steady_state.0.tolerance": "availability",
    "recovery": "recovery_timeout",
    "expect": "expect_recover_within",
}
DEFAULTS = {
    "every": "100ms",
    "timeout": "1s",
    "availability": ">= 99%",
    "baseline": "10s",
    "recovery_timeout": "60s",
    "recovery_stable": "5s",
    "expect_recover_within": "30s",
}
STEP = {"at": "0s", "for": "10s"}  # of a new step
MOST_STEPS = 50
BY_NODES = ("nodes", "between", "direction")  # what a topology leaves no room for
LEAST = ("availability",)  # a bare `99%` means at least


@dataclass
class Draft:
    values: dict[str, str] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    base: dict[str, Any] = field(default_factory=dict)  # the stored document: what no field shows is kept

    @classmethod
    def fresh(cls, target: Target | None = None, node: str = "") -> "Draft":
        """`node` names the node of `target` that is to be hurt; without it the default is taken."""
        draft = cls(dict(DEFAULTS))
        if target:
            draft.aim(target)
        draft.add_step(target)
        if target and node in [one.name for one in target.nodes]:
            draft.values[f"step-0-{draft.values['step-0-fault']}-nodes"] = node
        return draft

    @classmethod
    def posted(cls, post: QueryDict, base: dict[str, Any] | None = None) -> "Draft":
        """What came from the page; a page that showed no more than name and target gets the defaults."""
        values = {key: value for key, value in post.items() if isinstance(value, str)}
        steps = [step for step in dict.fromkeys(post.getlist("step")) if step.isdecimal()][:MOST_STEPS]
        if "drawn" not in values:
            values = {**DEFAULTS, **values}
        return cls(values, steps, base or {})

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Draft":
        draft = cls(base=document)
        for name, place in PLACES.items():
            value = _at(document, place)
            if isinstance(value, bool):
                draft.values[name] = "yes" if value else ""
            elif isinstance(value, str | int | float):
                draft.values[name] = str(value)
        draft._take_family("probe", _at(document, PLACES["probe"]), PROBES)
        draft._take_family("workload", document.get("workload"), WORKLOADS)
        draft.values["abort_when"] = conditions.write(document.get("abort_when"), draft.probe_name)
        for i, step in enumerate(document.get("faults") or []):
            if isinstance(step, dict):
                draft._take_step(str(i), step)
        return draft

    def _take_family(self, name: str, spec: object, registry: Any) -> None:
        if isinstance(spec, str):
            spec = {spec: {}}
        if isinstance(spec, dict) and len(spec) == 1:
            kind, given = next(iter(spec.items()))
            self.values[name] = str(kind)
            if kind in registry and isinstance(given, dict):
                self.values |= parameters.texts(registry.get(kind), f"{name}-{kind}", given)

    def _take_step(self, step: str, data: dict[str, Any]) -> None:
        self.steps.append(step)
        for key in STEP_KEYS:
            self.values[f"step-{step}-{key}"] = str(data.get(key, STEP[key] if key == "at" else ""))
        kind = next((key for key in data if key not in STEP_KEYS), "")
        self.values[f"step-{step}-fault"] = kind
        if kind in FAULTS and isinstance(data[kind], dict):
            self.values |= parameters.texts(FAULTS.get(kind), f"step-{step}-{kind}", data[kind])
            if isinstance(links := data[kind].get("links"), list):
                self.values[f"step-{step}-{kind}-links"] = in_one_line(list(map(str, links)))

    @property
    def probe_name(self) -> str:
        first = (self.base.get("steady_state") or [{}])[0]
        named = first.get("name") if isinstance(first, dict) else None
        return str(named or self.values.get("probe") or "")

    def aim(self, target: Target) -> None:
        """Chooses a target, and for it the probe of its kind; what does not fit it any more goes."""
        self.values["target"] = self.values["drawn_for"] = target.name
        self.values["probe"] = target.kind if target.kind in PROBES else "tcp"
        for step in self.steps:
            kind = self.values.get(f"step-{step}-fault")
            nodes = f"step-{step}-{kind}-nodes"
            if not kind:
                self._default_fault(step, target)
            elif self.values.get(nodes) not in dict(nodes_offered(target, "")):
                self.values[nodes] = default_nodes(target)

    def settle(self, target: Target) -> None:
        """Fits what was posted to the target that was chosen: fills what was not asked for yet."""
        if self.values.get("drawn_for") != target.name:
            self.aim(target)
        if not self.steps and "drawn" not in self.values:
            self.add_step(target)
        for step in self.steps:
            kind = self.values.get(f"step-{step}-fault", "")
            self.values.setdefault(f"step-{step}-{kind}-nodes", default_nodes(target))
        workload, drawn = self.values.get("workload", ""), self.values.get("drawn_workload", "")
        if _tells_lost(workload) != _tells_lost(drawn):
            self.values["expect_lost_writes"] = "0" if _tells_lost(workload) else ""

    def remove_step(self, step: str) -> None:
        self.steps = [s for s in self.steps if s != step]

    def add_step(self, target: Target | None) -> None:
        if len(self.steps) >= MOST_STEPS:
            return
        step = str(max(map(int, self.steps), default=-1) + 1)
        self.steps.append(step)
        self.values |= {f"step-{step}-{key}": value for key, value in STEP.items()}
        if target:
            self._default_fault(step, target)

    def cut_links(self, target: Target) -> None:
        """A step that cuts links, for the map to draw; there is none yet."""
        self.add_step(target)
        step = self.steps[-1]
        self.values[f"step-{step}-fault"] = "partition"
        self.values[f"step-{step}-partition-nodes"] = default_nodes(target)
        self.values[f"step-{step}-partition-topology"] = "one-alone"

    def _default_fault(self, step: str, target: Target) -> None:
        offered = faults_offered(target)
        possible = [name for name, why in offered.items() if not why]
        kind = "kill" if "kill" in possible or not possible else possible[0]
        self.values[f"step-{step}-fault"] = kind
        self.values[f"step-{step}-{kind}-nodes"] = default_nodes(target)

    def document(self) -> tuple[dict[str, Any], list[Problem]]:
        """The document that the fields describe, and what could not be put into one."""
        values = self.values
        result: dict[str, Any] = {"name": values.get("name", "").strip(), "target": values.get("target", "")}
        result["steady_state"] = [self._steady_state(), *deepcopy(self.base.get("steady_state", [])[1:])]
        if kind := values.get("workload"):
            result["workload"] = {kind: self._parameters("workload", kind, WORKLOADS)}
        if values.get("baseline"):
            result["baseline"] = values["baseline"].strip()
        result["faults"] = [self._step(step) for step in self.steps]
        if values.get("together") == "yes":
            result["together"] = True
        result["recovery"] = self._part("recovery", {})
        result["abort_when"], problems = conditions.read(values.get("abort_when", ""), self.probe_name)
        result["expect"] = self._part("expect", self.base.get("expect") or {})
        return {key: value for key, value in result.items() if value not in ({}, [], None)}, problems

    def _part(self, part: str, base: dict[str, Any]) -> dict[str, Any]:
        """The fields called `<part>_<key>`, over the keys of `base` that have no field."""
        result = {key: value for key, value in base.items() if f"{part}_{key}" not in PLACES}
        for name in PLACES:
            if name.startswith(f"{part}_") and (value := self.values.get(name, "").strip()):
                key = name.removeprefix(f"{part}_")
                result[key] = _compared(key, value)
        return result

    def _steady_state(self) -> dict[str, Any]:
        base = (self.base.get("steady_state") or [{}])[0]
        kind = self.values.get("probe", "")
        result: dict[str, Any] = {"name": base["name"]} if "name" in base else {}
        result["probe"] = {kind: self._parameters("probe", kind, PROBES)} if kind else {}
        for key in ("every", "timeout"):
            if value := self.values.get(key, "").strip():
                result[key] = value
        tolerance = {k: v for k, v in (base.get("tolerance") or {}).items() if k not in PLACES}
        for key in ("availability", "p99"):
            if value := self.values.get(key, "").strip():
                tolerance[key] = _compared(key, value)
        return {**result, "tolerance": tolerance}

    def _step(self, step: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key in STEP_KEYS:
            if value := self.values.get(f"step-{step}-{key}", "").strip():
                result[key] = value
        if kind := self.values.get(f"step-{step}-fault"):
            result[kind] = self._parameters(f"step-{step}", kind, FAULTS)
            if self.by_links(step):
                result[kind] = {k: v for k, v in result[kind].items() if k not in BY_NODES}
                if links := result[kind].get("links"):
                    result[kind]["links"] = separate(links)
        return result

    def by_links(self, step: str) -> bool:
        """Whether a step's topology or links say who is hurt, not its nodes."""
        prefix = f"step-{step}-{self.values.get(f'step-{step}-fault')}"
        return any(self.values.get(f"{prefix}-{name}") for name in ("topology", "links"))

    def _parameters(self, prefix: str, kind: str, registry: Any) -> dict[str, Any]:
        if kind not in registry:
            return {}
        return parameters.collect(registry.get(kind), f"{prefix}-{kind}", self.values)

    def field_of(self, where: str, fields: Mapping[str, Any]) -> str | None:
        """The field among `fields` where a problem at `where` is shown; None where there is none."""
        places = {place: name for name, place in PLACES.items()} | WHOLES
        while where:
            name = places.get(where) or self._parameter_field(where)
            if name in fields:
                return name
            where = where.rpartition(".")[0]
        return None

    def _parameter_field(self, where: str) -> str:
        """The name that a plug-in's parameter at `where` has, or would have."""
        head, _, rest = where.partition(".")
        if head == "faults":
            i, *parts = rest.split(".")
            if not i.isdecimal() or int(i) >= len(self.steps):
                return ""
            return "-".join(["step", self.steps[int(i)], *(parts or ["fault"])])
        for name in ("probe", "workload"):
            if where.startswith(f"{PLACES[name]}."):
                return "-".join([name, *where.removeprefix(f"{PLACES[name]}.").split(".")])
        return ""


def _at(document: Any, place: str) -> Any:
    for key in place.split("."):
        if isinstance(document, list):
            document = document[int(key)] if int(key) < len(document) else None
        else:
            document = document.get(key) if isinstance(document, dict) else None
    return document


def _compared(key: str, value: str) -> str:
    """`99%` where a comparison is meant: at least for a share, at most for a duration."""
    if key in ("availability", "p99") and value[:1].isdecimal():
        return f">= {value}" if key in LEAST else f"<= {value}"
    return value


def _tells_lost(workload: str) -> bool:
    """Does this workload, by its name, count what is lost? Without one nobody does."""
    return workload in WORKLOADS and WORKLOADS.get(workload).tells_lost
