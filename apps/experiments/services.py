"""Every change of an experiment. The pages, the API and the commands only call these."""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from apps.experiments.models import Experiment, ExperimentVersion
from apps.targets.models import Target
from apps.targets.services import save_target
from engine import document as documents
from engine import units
from engine.errors import BadInput, Problem, Refused
from engine.experiment import Experiment as Definition
from engine.experiment import load
from engine.plan import problems_of


def check(document: object, lines: documents.Lines | None = None) -> tuple[Definition, Target]:
    """The experiment and its registered service; raises BadInput with everything that is wrong."""
    definition = Definition.from_dict(document, lines)
    problems: list[Problem] = []
    if definition.targets:
        problems.append(Problem("targets", "the board hurts registered services only; leave this part out"))
    if not definition.name.isprintable():
        problems.append(Problem("name", "holds a character that cannot be shown; write it on one line"))
    target = Target.objects.filter(name=definition.target).first()
    if target is None:
        problems.append(Problem("target", _no_such_target(definition.target)))
    else:
        problems += _impossible(definition, target, document)
    if problems:
        raise BadInput(Problem(p.where, p.message, documents.line_of(lines or {}, p.where)) for p in problems)
    assert target is not None
    return definition, target


def _no_such_target(name: str) -> str:
    names = list(Target.objects.values_list("name", flat=True)[:20])
    if not names:
        return f"no service is registered yet; register {name!r} first"
    return f"no service called {name!r} is registered; there are: {', '.join(names)}"


def _impossible(definition: Definition, target: Target, document: object) -> list[Problem]:
    """What the definition asks for and this service cannot give."""
    order = _order_of_steps(document)
    found = []
    for problem in problems_of(definition, target.to_engine()):
        if problem.where.startswith("faults."):
            head, i, rest = problem.where.split(".", 2)
            problem = Problem(f"{head}.{order[int(i)]}.{rest}", problem.message)
        found.append(problem)
    return found


def _order_of_steps(document: Any) -> list[int]:
    """Where each step stands in the document: the engine sorts them by time."""
    steps = document.get("faults") or []
    return sorted(range(len(steps)), key=lambda i: units.parse(steps[i].get("at", 0), "duration"))


def read(document: dict[str, Any] | str) -> tuple[Definition, Target, str]:
    """A document, or its YAML: checked, with the text to keep. A text keeps its comments."""
    if isinstance(document, str):
        data, lines = load(document)
        definition, target = check(data, lines)
        return definition, target, document
    definition, target = check(document)
    return definition, target, documents.dump(definition.to_dict())


def save_experiment(
    document: dict[str, Any] | str, *, by: str, instance: Experiment | None = None
) -> Experiment:
    """Stores a new version if the document changed; raises BadInput, and then nothing is stored."""
    definition, target, text = read(document)
    try:
        with transaction.atomic():
            return _store(definition, target, text, by, instance)
    except IntegrityError:
        raise BadInput(
            [Problem("name", f"there is already an experiment called {definition.name!r}")]
        ) from None


def _store(
    definition: Definition, target: Target, text: str, by: str, instance: Experiment | None
) -> Experiment:
    namesake = Experiment.objects.filter(name=definition.name).exclude(pk=instance and instance.pk).first()
    if instance is None and namesake and namesake.archived:
        instance, namesake = namesake, None  # the old one comes back, with its history
    if namesake:
        raise BadInput([Problem("name", f"there is already an experiment called {definition.name!r}")])
    experiment = instance or Experiment(created_by=by)
    if experiment.pk:
        experiment = Experiment.objects.select_for_update().get(pk=experiment.pk)
    experiment.name, experiment.target, experiment.archived = definition.name, target, False
    experiment.save()
    _add_version(experiment, definition.to_dict(), text, by)
    return experiment


def _add_version(experiment: Experiment, document: dict[str, Any], text: str, by: str) -> None:
    current = experiment.current
    if current and current.document == document:
        if current.text != text:  # other comments, the same experiment
            ExperimentVersion.objects.filter(pk=current.pk).update(text=text)
        return
    number = current.number + 1 if current else 1
    experiment.versions.create(number=number, document=document, text=text, created_by=by)


def import_experiment(text: str, *, by: str) -> Experiment:
    """Saves a file under its name, new or as the next version. Services described in it are registered."""
    data, lines = load(text)
    definition = Definition.from_dict(data, lines)
    with transaction.atomic():
        for target in definition.targets:
            if not Target.objects.filter(name=target.name).exists():
                save_target({**target.to_dict(), "description": ""})
        existing = Experiment.objects.filter(name=definition.name).first()
        if not definition.targets:
            return save_experiment(text, by=by, instance=existing)
        document = {key: value for key, value in definition.to_dict().items() if key != "targets"}
        return save_experiment(document, by=by, instance=existing)


def export_experiment(experiment: Experiment) -> str:
    version = experiment.current
    return version.text if version else ""


def delete_experiment(experiment: Experiment) -> str:
    """Deletes it; one with runs is archived instead, so that they keep their meaning. Says which in words.

    Raises Refused, naming them, while schedules start it.
    """
    try:
        experiment.delete()
    except ProtectedError as error:
        held = error.protected_objects
    else:
        return f"{experiment.name} is deleted."
    schedules = [str(row) for row in held if row._meta.label == "schedules.Schedule"]
    if schedules:
        raise Refused(
            f"{experiment.name} is started by {_listed(schedules)}.",
            "Delete the schedule first." if len(schedules) == 1 else "Delete the schedules first.",
        )
    Experiment.objects.filter(pk=experiment.pk).update(archived=True)
    return f"{experiment.name} has runs, so it is archived: hidden here, its reports stay."


def _listed(names: list[str]) -> str:
    return "; ".join(sorted(names)[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
