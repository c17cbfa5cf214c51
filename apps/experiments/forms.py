"""The editor's form: drawn from a draft and the chosen target, judged by the engine alone."""

from typing import Any

from django import forms
from django.forms import BoundField
from django.urls import reverse_lazy

from apps import parameters
from apps.experiments import services
from apps.experiments.draft import BY_NODES, Draft
from apps.experiments.offers import (
    faults_offered,
    nodes_offered,
    probes_offered,
    topologies_offered,
    workloads_offered,
)
from apps.targets.models import Target
from engine import catalogue
from engine.errors import BadInput, Problem
from engine.faults import REGISTRY as FAULTS
from engine.probes import REGISTRY as PROBES
from engine.target import Target as EngineTarget
from engine.workloads import REGISTRY as WORKLOADS

REDRAW = {
    "hx-post": reverse_lazy("experiments:draw"),
    "hx-trigger": "change",
    "hx-target": "#drawn",
    "hx-swap": "outerMorph",
    "hx-include": "#editor",
}
TEXTS = {  # name: label, help, placeholder
    "every": ("every", "How often it looks at each node; 1ms is possible.", "100ms"),
    "timeout": ("timeout", "No answer within this is a bad reading.", "1s"),
    "availability": ("steady availability", "The share of good readings that counts as steady.", ">= 99%"),
    "p99": ("steady p99", "The latency that 99 % of readings keep; empty: any.", "<= 200ms"),
    "baseline": ("baseline", "How long it is watched before anything is hurt.", "10s"),
    "recovery_timeout": ("wait at most", "for it to be steady again after the last fault.", "60s"),
    "recovery_stable": ("steady for", "this long, and it has recovered.", "5s"),
    "expect_recover_within": ("recovers within", "of the injection.", "30s"),
    "expect_detect_within": ("detected within", "of the injection; empty: not judged.", "1s"),
    "expect_availability": ("availability", "over the whole run.", ">= 95%"),
    "expect_p99": ("p99", "over the whole run.", "<= 500ms"),
    "expect_lost_writes": ("lost writes", "acknowledged and then gone; needs a workload.", "0"),
}


class OfferSelect(forms.Select):
    """A select whose impossible options are shown, disabled, with the reason."""

    def __init__(self, reasons: dict[str, str], **kwargs: Any) -> None:
        self.reasons = reasons
        super().__init__(**kwargs)

    def create_option(self, name: str, value: Any, label: Any, selected: bool, *args: Any, **kw: Any) -> Any:
        option = super().create_option(name, value, label, selected, *args, **kw)
        if why := self.reasons.get(str(value), ""):
            option["attrs"]["disabled"] = True
            option["label"] = f"{label} – {why.partition('. ')[0].rstrip('.')}"
        return option


class EditorForm(forms.Form):
    """Bound to what was posted when it is to be saved; else only drawn, and then it complains of nothing."""

    def __init__(self, draft: Draft, *, bound: bool = False) -> None:
        self.draft = draft
        self.document: dict[str, Any] = {}
        super().__init__(draft.values if bound else None, initial=draft.values, label_suffix="")
        self.aimed = _target(draft.values.get("target", ""))
        self.fields["name"] = forms.CharField(
            max_length=200, required=False, help_text="What happens, in a few words."
        )
        self.fields["target"] = forms.ChoiceField(
            label="service", choices=_targets(), required=False, widget=forms.Select(attrs=REDRAW)
        )
        for name, (label, help_text, example) in TEXTS.items():
            self.fields[name] = _text(label, help_text, example)
        self.fields["together"] = forms.ChoiceField(
            label="together", choices=[("", "no"), ("yes", "yes")], required=False,
            help_text="May two faults hurt one node at the same time?",
        )  # fmt: skip
        self.fields["abort_when"] = forms.CharField(
            label="If", required=False, max_length=5000, widget=forms.Textarea(attrs={"rows": 3}),
            help_text="One condition a line, as in: availability < 20% for 5s",
        )  # fmt: skip
        if self.aimed:
            self._draw(self.aimed)

    def _draw(self, target: EngineTarget) -> None:
        self.fields["probe"] = forms.ChoiceField(
            choices=probes_offered(),
            required=False,
            widget=forms.Select(attrs=REDRAW),
            help_text="How it is watched.",
        )
        offered = workloads_offered(target)
        self.fields["workload"] = forms.ChoiceField(
            choices=[("", "none"), *((name, name) for name in offered)],
            required=False, widget=OfferSelect(offered, attrs=REDRAW),
            help_text=next(filter(None, offered.values()), "Clients that use it while it is hurt, and count what is lost."),
        )  # fmt: skip
        self._family("probe", PROBES)
        self._family("workload", WORKLOADS)
        for step in self.draft.steps:
            self._draw_step(step, target)

    def _family(self, name: str, registry: Any) -> None:
        kind = self.draft.values.get(name, "")
        if kind in registry:
            self.fields.update(parameters.form_fields(registry.get(kind), f"{name}-{kind}"))

    def _draw_step(self, step: str, target: EngineTarget) -> None:
        reasons = faults_offered(target)
        kind = self.draft.values.get(f"step-{step}-fault", "")
        self.fields[f"step-{step}-fault"] = forms.ChoiceField(
            label="fault", choices=[(name, name) for name in reasons], required=False,
            widget=OfferSelect(reasons, attrs=REDRAW),
            help_text=catalogue.first(FAULTS.get(kind)) if kind in FAULTS else "",
        )  # fmt: skip
        self.fields[f"step-{step}-at"] = _text("at", "after the baseline", "0s")
        self.fields[f"step-{step}-for"] = _text("for", "then it is healed", "10s")
        self.fields[f"step-{step}-pulse"] = _text(
            "pulse", "on and off within its time; empty: all of it", "2s on, 3s off"
        )
        self.fields[f"step-{step}-moments"] = _text(
            "random moments", "instead of a pulse: when nobody knows", "3 of 2s"
        )
        if kind in FAULTS:
            prefix = f"step-{step}-{kind}"
            self.fields.update(parameters.form_fields(FAULTS.get(kind), prefix))
            now = self.draft.values.get(f"{prefix}-nodes", "")
            self.fields[f"{prefix}-nodes"] = forms.ChoiceField(
                label="nodes", choices=nodes_offered(target, now), initial=now or "one", required=False,
                help_text="Looked up again at the moment of the fault.",
            )  # fmt: skip
            if f"{prefix}-topology" in self.fields:
                self._draw_topology(prefix, target)

    def _draw_topology(self, prefix: str, target: EngineTarget) -> None:
        choices, reasons = topologies_offered(target, self.draft.values.get(f"{prefix}-topology", ""))
        self.fields[f"{prefix}-topology"] = forms.ChoiceField(
            label="topology", choices=choices, required=False, widget=OfferSelect(reasons, attrs=REDRAW),
            help_text="Which links are cut; the map above shows them.",
        )  # fmt: skip
        self.fields[f"{prefix}-links"] = _text(
            "links",
            "picked by hand, on the map or here: -> is one way, <-> both",
            "n1 -> n2; n2 <-> clients",
            most=parameters.MOST,
        )

    def clean(self) -> dict[str, Any]:
        self.document, problems = self.draft.document()
        try:
            services.check(self.document)
        except BadInput as error:
            problems += error.problems
        for problem in problems:
            self._show(problem)
        return self.cleaned_data

    def add_problems(self, error: BadInput) -> None:
        for problem in error.problems:
            self._show(problem)

    def _show(self, problem: Problem) -> None:
        name = self.draft.field_of(problem.where, self.fields)
        if name is None:
            self.add_error(None, str(problem))
        elif name == "abort_when" or name not in self.errors:
            self.add_error(name, problem.message)

    # What the page shows together

    def _fields(self, start: str, *, but: tuple[str, ...] = ()) -> list[BoundField]:
        return [self[name] for name in self.fields if name.startswith(start) and name not in but]

    def probe_parameters(self) -> list[BoundField]:
        return self._fields("probe-")

    def workload_parameters(self) -> list[BoundField]:
        return self._fields("workload-")

    def expectations(self) -> list[BoundField]:
        return self._fields("expect_")

    def steps(self) -> list[dict[str, Any]]:
        return [self._step(i, step) for i, step in enumerate(self.draft.steps, 1)] if self.aimed else []

    def _step(self, number: int, step: str) -> dict[str, Any]:
        main = (f"step-{step}-fault", f"step-{step}-at", f"step-{step}-for")
        rhythm = (f"step-{step}-pulse", f"step-{step}-moments")
        kind = self.draft.values.get(f"step-{step}-fault", "")
        unasked = [f"step-{step}-{kind}-{name}" for name in BY_NODES] if self.draft.by_links(step) else []
        return {
            "id": step,
            "number": number,
            "main": [self[name] for name in main],
            "parameters": self._fields(f"step-{step}-", but=(*main, *rhythm, *unasked)),
            "rhythm": [self[name] for name in rhythm],
            "rhythmic": any(self[name].value() or self[name].errors for name in rhythm),
        }

    def more_probes(self) -> int:
        """How many probes of the document this form does not show; they are kept."""
        return len(self.draft.base.get("steady_state", [])[1:])


def _text(label: str, help_text: str, example: str, most: int = 200) -> forms.CharField:
    widget = forms.TextInput(attrs={"placeholder": example, "autocomplete": "off"})
    return forms.CharField(label=label, help_text=help_text, required=False, max_length=most, widget=widget)


def _targets() -> list[tuple[str, str]]:
    return [
        ("", "choose a service"),
        *((name, name) for name in Target.objects.values_list("name", flat=True)),
    ]


def _target(name: str) -> EngineTarget | None:
    target = Target.objects.filter(name=name).first()
    return target.to_engine() if target else None
