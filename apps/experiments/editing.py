"""What the editor's page shows: a form or its YAML, and the plan that would follow from it."""

from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from apps.experiments import services
from apps.experiments.cutting import Cutting, cutting
from apps.experiments.draft import Draft
from apps.experiments.forms import EditorForm
from apps.experiments.models import Experiment
from apps.experiments.timeline import Drawing, draw
from apps.targets.models import Target
from engine import document as documents
from engine.errors import BadInput, Problem
from engine.experiment import Experiment as Definition
from engine.experiment import load
from engine.plan import plan


@dataclass
class Editor:
    """In mode `form` it has a draft and its form, in mode `yaml` a text; problems belong to the text."""

    instance: Experiment | None = None
    mode: str = "form"
    draft: Draft = field(default_factory=Draft)
    text: str = ""
    problems: tuple[Problem, ...] = ()
    form: EditorForm | None = None

    @classmethod
    def opened(
        cls, instance: Experiment | None, target: Target | None, mode: str, node: str = ""
    ) -> "Editor":
        """As the page is first shown; a new one may be about one `node`."""
        if instance is None:
            editor = cls(draft=Draft.fresh(target.to_engine() if target else None, node))
        else:
            editor = cls(instance, draft=Draft.of(current_document(instance)))
            editor.draft.values["drawn_for"] = instance.target.name
        if mode == "yaml":
            editor.to_yaml()
            editor.text = services.export_experiment(instance) if instance else editor.text
        return editor

    @classmethod
    def posted(cls, post: QueryDict, instance: Experiment | None) -> "Editor":
        base = current_document(instance) if instance else None
        editor = cls(instance, "yaml" if post.get("mode") == "yaml" else "form")
        editor.text = post.get("text", "").replace("\r\n", "\n")
        editor.draft = Draft.posted(post, base)
        if editor.mode == "form" and (target := editor.target()):
            editor.draft.settle(target.to_engine())
        return editor

    def target(self) -> Target | None:
        return Target.objects.filter(name=self.draft.values.get("target", "")).first()

    def to_yaml(self) -> None:
        if self.mode == "form":
            self.mode, self.text = "yaml", documents.dump(_shortest(self.draft.document()[0]))

    def to_form(self) -> None:
        """Stays with the text, and says why, where it cannot be read."""
        try:
            definition = Definition.from_dict(*load(self.text))
        except BadInput as error:
            self.problems = error.problems
            return
        self.mode, self.draft = "form", Draft.of(definition.to_dict())
        self.draft.values["drawn_for"] = definition.target

    def drawn(self) -> "Editor":
        if self.mode == "form" and self.form is None:
            self.form = EditorForm(self.draft)
        return self

    def save(self, by: str) -> Experiment | None:
        """The saved experiment, or None: then the form or the problems say why."""
        if self.mode == "yaml":
            try:
                return services.save_experiment(self.text, by=by, instance=self.instance)
            except BadInput as error:
                self.problems = error.problems
                return None
        self.form = EditorForm(self.draft, bound=True)
        if not self.form.is_valid():
            return None
        try:
            return services.save_experiment(self.form.document, by=by, instance=self.instance)
        except BadInput as error:
            self.form.add_problems(error)
            return None

    def preview(self) -> dict[str, Any]:
        """The drawing of the plan, or what stands in its way; and the map."""
        return {**self._plan(), "cutting": self._cutting()}

    def _cutting(self) -> Cutting | None:
        try:
            document = load(self.text)[0] if self.mode == "yaml" else self.draft.document()[0]
        except BadInput:
            return None
        name = document.get("target") if isinstance(document, dict) else None
        found = Target.objects.prefetch_related("nodes").filter(name=str(name or "")).first()
        if found is None:
            return None
        shown = cutting(document, found)
        shown.form = self.mode == "form"
        if shown.form and shown.steps:
            shown.step = self.draft.steps[shown.steps[0]]
        return shown

    def _plan(self) -> dict[str, Any]:
        try:
            if self.mode == "yaml":
                return {"drawing": drawing_of(*services.check(*load(self.text)))}
            if not self.draft.values.get("target"):
                return {"unbegun": True}  # a new form, of which everything is missing yet
            document, problems = self.draft.document()
            return _drawn(document, problems)
        except BadInput as error:
            return {"problems": error.problems, "mode": self.mode}


def _drawn(document: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """The plan, also of an experiment that has no name yet; raises BadInput with all that is wrong."""
    try:
        found = services.check({**document, "name": document["name"] or "unnamed"})
    except BadInput as error:
        raise BadInput([*problems, *error.problems]) from None
    if problems:
        raise BadInput(problems)
    return {"drawing": drawing_of(*found), "unnamed": not document["name"]}


def _shortest(document: dict[str, Any]) -> dict[str, Any]:
    """Without what is at its default; as it stands where it is not right yet."""
    try:
        return Definition.from_dict(document).to_dict()
    except BadInput:
        return document


def drawing_of(definition: Definition, target: Target) -> Drawing:
    return draw(definition, plan(definition, target.to_engine(), leader=target.leader or None).to_dict())


def current_document(experiment: Experiment) -> dict[str, Any]:
    """The newest document, naming the service as it is called now."""
    version = experiment.current
    return {**(version.document if version else {}), "target": experiment.target.name}
