"""The form of a service: its own fields, and one row a node with the fields of the driver it chose.

Nothing is judged here: `apps.targets.services.save_target` judges for the page and the API alike,
and `TargetForm.blame` puts its words beside the fields.
"""

from typing import Any

from django import forms

from apps.parameters import collect, form_fields, texts
from apps.targets.models import Environment, Node, Target
from engine import units
from engine.drivers import REGISTRY as DRIVERS
from engine.drivers import Driver
from engine.errors import BadInput, EngineError
from engine.probes import REGISTRY as PROBES

EMPTY_ROWS = 3  # JavaScript leaves one and adds others when asked
NO_NODE = "Fill in at least one node: the address where it is reached will do."
LOOK_ONLY = "nothing: look only"


def chosen_drivers() -> list[tuple[str, type[Driver]]]:
    return [(name, cls) for name, cls in DRIVERS if cls.chosen]


class NodeForm(forms.Form):
    name = forms.CharField(required=False, label="Name", help_text="short, as its logs say it: n1")
    address = forms.CharField(
        required=False,
        label="Address",
        help_text="host:port, where clients reach it",
        widget=forms.TextInput(attrs={"placeholder": "127.0.0.1:2379", "autocomplete": "off"}),
    )
    control = forms.ChoiceField(
        required=False, label="Controlled by", help_text="how it can be hurt and put back"
    )
    upstream = forms.CharField(
        required=False,
        label="Upstream",
        help_text="optional. Clients reach the address; chaosboard's link proxy forwards to the upstream, "
        "so that the link can be delayed or cut. Of a service by UDP: udp://127.0.0.1:1053.",
        widget=forms.TextInput(attrs={"placeholder": "127.0.0.1:12379", "autocomplete": "off"}),
    )

    tags = forms.CharField(
        required=False,
        label="Tags",
        help_text="optional words, so that a fault can choose by them: zone-a",
        widget=forms.TextInput(attrs={"placeholder": "zone-a", "autocomplete": "off"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["control"].choices = [("", LOOK_ONLY), *((name, name) for name, _ in chosen_drivers())]
        self.parameters: dict[str, list[str]] = {}
        for driver, cls in chosen_drivers():
            fields = form_fields(cls, driver)
            for field in fields.values():
                field.required = False
            self.fields.update(fields)
            self.parameters[driver] = list(fields)

    def clean(self) -> dict[str, Any]:
        """What stands in the fields of drivers that were not chosen does not matter."""
        for driver, names in self.parameters.items():
            if driver != self.cleaned_data.get("control"):
                for name in names:
                    self._errors.pop(name, None)
        return self.cleaned_data

    @property
    def groups(self) -> list[tuple[str, str, list[forms.BoundField]]]:
        """Each driver with what it is and its fields."""
        about = {name: (cls.__doc__ or "").strip().split("\n")[0] for name, cls in chosen_drivers()}
        return [(d, about[d], [self[name] for name in names]) for d, names in self.parameters.items()]

    @property
    def filled(self) -> bool:
        """Whether anything was written; a driver's fields come filled in, so they do not tell."""
        return any(self.cleaned_data.get(name) for name in ("name", "address", "upstream", "control"))

    def to_node(self) -> dict[str, Any]:
        data = self.cleaned_data
        node = {key: data[key] for key in ("name", "address", "upstream") if data.get(key)}
        if tags := data.get("tags", "").replace(",", " ").split():
            node["tags"] = tags
        if driver := data.get("control"):
            node["driver"] = {driver: collect(DRIVERS.get(driver), driver, data)}
        return node

    def blame(self, place: list[str], message: str) -> None:
        """Puts `message` beside the field for `place`, such as ["driver", "process", "pid"]."""
        name = place[0] if place else ""
        if name in ("driver", "control", "control_params"):
            parameter = "-".join(place[1:])
            name = parameter if parameter in self.fields else "control"
        self.add_error(name if name in self.fields else None, message)


NodeForms = forms.formset_factory(
    NodeForm, extra=EMPTY_ROWS, can_delete=True, max_num=100, absolute_max=200, validate_max=True
)


class TargetForm(forms.Form):
    name = forms.CharField(
        required=False,
        label="Service name",
        widget=forms.TextInput(attrs={"placeholder": "orders", "autocomplete": "off"}),
    )
    kind = forms.ChoiceField(
        required=False, label="Kind", help_text="how it is asked whether it is there, and who leads"
    )
    environment = forms.CharField(
        required=False,
        label="Environment",
        initial="default",
        help_text="where it lives: default, staging, …",
        widget=forms.TextInput(attrs={"list": "environments", "autocomplete": "off"}),
    )
    max_down = forms.CharField(
        required=False,
        label="May be hurt at once",
        help_text="The share of a service's nodes; it counts for all services of this environment. Empty: as it is.",
        widget=forms.TextInput(attrs={"placeholder": "100%", "autocomplete": "off"}),
    )
    depends_on = forms.MultipleChoiceField(
        required=False,
        label="Depends on",
        help_text="The services that it needs to do its work; the map draws an arrow to each.",
        widget=forms.CheckboxSelectMultiple,
    )
    look_every = forms.CharField(
        required=False,
        label="Looked at every",
        initial="5s",
        help_text="how often the board asks its nodes whether they are there: 1s to 1h",
        widget=forms.TextInput(attrs={"placeholder": "5s", "autocomplete": "off"}),
    )
    description = forms.CharField(
        required=False, label="Description", widget=forms.Textarea(attrs={"rows": 3})
    )
    force = forms.BooleanField(
        required=False,
        label="Save although it does not answer",
        help_text="An address that does not answer now is otherwise refused.",
    )

    def __init__(self, data: Any = None, *, instance: Target | None = None) -> None:
        if data is not None and "nodes-TOTAL_FORMS" not in data:
            data = {**data.dict(), "nodes-TOTAL_FORMS": "0", "nodes-INITIAL_FORMS": "0"}
        super().__init__(data, initial=_initial(instance))
        self.fields["kind"].choices = [(name, name) for name in PROBES.names()]
        self.fields["kind"].initial = "http"  # what most people have
        others = Target.objects.exclude(pk=instance.pk if instance else None).values_list("name", flat=True)
        self.fields["depends_on"].choices = [(name, name) for name in others]
        rows = [_row(node) for node in instance.nodes.all()] if instance else []
        self.nodes = NodeForms(data, prefix="nodes", initial=rows)
        self.node_errors: list[str] = []
        self.environments = Environment.objects.values_list("name", flat=True)

    def is_valid(self) -> bool:
        return all([super().is_valid(), self.nodes.is_valid()])

    @property
    def rows(self) -> list[NodeForm]:
        """The rows that were filled in and not removed."""
        found = [row for row in self.nodes.forms if row.filled or row.initial]
        return [row for row in found if not row.cleaned_data.get("DELETE")]

    def data_of_target(self) -> dict[str, Any]:
        data = {key: self.cleaned_data[key] for key in ("name", "kind", "description")}
        data["environment"] = self.cleaned_data["environment"] or "default"
        return {
            **data,
            "max_down": self.cleaned_data["max_down"] or None,
            "depends_on": self.cleaned_data.get("depends_on", []),
            "look_every": self.cleaned_data["look_every"] or None,
            "nodes": [row.to_node() for row in self.rows],
        }

    def blame(self, error: EngineError) -> None:
        if not isinstance(error, BadInput):
            self.add_error(None, str(error))
            return
        for problem in error.problems:
            place = problem.where.split(".") if problem.where else []
            if place[:1] == ["nodes"] and len(place) > 1:
                self.rows[int(place[1])].blame(place[2:], problem.message)
            elif place[:1] == ["nodes"]:
                self.node_errors.append(problem.message if self.rows else NO_NODE)
            else:
                self.add_error(place[0] if place and place[0] in self.fields else None, problem.message)


def _initial(instance: Target | None) -> dict[str, Any]:
    if instance is None:
        return {}
    return {
        "name": instance.name,
        "kind": instance.kind,
        "environment": instance.environment.name,
        "max_down": units.show(instance.environment.max_down, "share"),
        "description": instance.description,
        "depends_on": [needed.name for needed in instance.depends_on.all()],
        "look_every": units.show(instance.look_every, "duration"),
    }


def _row(node: Node) -> dict[str, Any]:
    row = {"name": node.name, "address": node.address, "upstream": node.upstream, "control": node.control}
    row["tags"] = " ".join(node.tags)
    if node.control in DRIVERS:
        row |= texts(DRIVERS.get(node.control), node.control, node.control_params)
    return row
