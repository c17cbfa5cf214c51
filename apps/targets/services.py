"""Registering services: what is refused, what is only warned about, and how they are looked at."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from apps.targets.examine import examine, release
from apps.targets.models import Environment, Node, Target
from engine import inspect, units
from engine.errors import BadInput, Problem, Refused
from engine.probes import REGISTRY as PROBES
from engine.target import Node as EngineNode
from engine.target import Target as EngineTarget

KEYS = {"name", "kind", "environment", "max_down", "depends_on", "driver", "nodes"}
OWN = {"description", "look_every"}  # what the board keeps, and the engine does not know
LOOKS = (1.0, 3600.0)  # seconds between two looks of the monitor, at least and at most
UNSEEN = {"up": None, "leads": None, "seen_at": None, "answer": "", "recent": []}


def save_target(
    data: object, *, instance: Target | None = None, force: bool = False, by: object = None
) -> Target:
    """Stores the service described by `data`, all of it or nothing; raises BadInput.

    `data` is the form of `engine.target.Target.from_dict` with a `description`. New and changed
    nodes are looked at first: what must not be hurt is refused; an address that does not answer
    is refused unless `force` says that it will.
    """
    if instance is not None and instance.runs.filter(state="running").exists():
        raise Refused(f"{instance.name} has a running experiment.", "Change it when that is done.")
    described, own = _read(data, instance)
    known = {node.name: node.to_engine() for node in instance.nodes.all()} if instance else {}
    with examine(described, known=known, force=force):
        try:
            cap = described.max_down if data.get("max_down") is not None else None
            target = _store(described, own, instance, by, cap)
        except IntegrityError:  # somebody else took the name in the meantime
            raise BadInput([Problem("name", _taken(described.name))]) from None
    release(known.values(), keeping=described.nodes)
    return target


def register(documents: Iterable[object], by: object = None) -> list[Target]:
    """Stores services; those whose names are known are changed. Raises BadInput at the first that is wrong."""
    saved = []
    for document in documents:
        name = document.get("name") if isinstance(document, Mapping) else None
        known = Target.objects.filter(name=name).first()
        saved.append(save_target(document, instance=known, by=by))
    return saved


def delete_target(target: Target) -> None:
    """Raises Refused, naming what uses it, while anything does."""
    experiments = list(target.experiments.values_list("name", flat=True))
    if experiments:
        named = ", ".join(f"“{name}”" for name in experiments[:5])
        raise Refused(
            f"{target.name} is in use by {len(experiments)} experiment{'s' * (len(experiments) > 1)}: {named}.",
            "Delete or change those first.",
        )
    nodes = [node.to_engine() for node in target.nodes.all()]
    try:
        with transaction.atomic():
            target.delete()
    except models.ProtectedError:
        raise Refused(
            f"{target.name} has runs, and their reports would lose it.",
            "Keep it, or delete its runs first.",
        ) from None
    release(nodes)


def check_target(target: Target) -> dict[str, Any]:
    """Looks at every node now, keeps what was seen, and returns it (`Inspection.to_dict()`)."""
    seen = inspect.check(target.to_engine()).to_dict()
    keep({target: seen})
    return seen


def keep(looks: Mapping[Target, dict[str, Any]]) -> None:
    """Stores what was seen of each target's nodes."""
    now, changed = timezone.now(), []
    for target, seen in looks.items():
        by_name = {node["name"]: node for node in seen["nodes"]}
        for node in target.nodes.all():
            if look := by_name.get(node.name):
                node.saw(up=look["reachable"], leads=look["leads"], answer=look["answer"], at=now)
                changed.append(node)
    Node.objects.bulk_update(changed, ["up", "leads", "answer", "seen_at", "recent"])


def _read(data: object, instance: Target | None) -> tuple[EngineTarget, dict[str, Any]]:
    if not isinstance(data, Mapping):
        raise BadInput([Problem("", "must be a mapping with name, kind and nodes")])
    rest = {key: value for key, value in data.items() if key in KEYS and value is not None}
    problems = [
        Problem(str(key), "unknown key; there are: " + ", ".join(sorted(KEYS | OWN)))
        for key in data
        if key not in KEYS | OWN
    ]
    problems += _texts(data)
    described = None
    try:
        described = EngineTarget.from_dict({**rest, "max_down": _share(rest.get("max_down", 1.0))})
    except BadInput as error:
        problems += [Problem(p.where.removeprefix("target.").strip("."), p.message) for p in error.problems]
    if described is not None and described.kind not in PROBES:
        known = ", ".join(PROBES.names())
        problems.append(Problem("kind", f"there is no kind {described.kind!r}; there are: {known}"))
    name = str(rest.get("name") or "").strip()
    taken = Target.objects.filter(name=name).exclude(pk=instance.pk if instance else None)
    if name and taken.exists():
        problems.append(Problem("name", _taken(name)))
    if described is not None:
        problems += _needed(described, instance)
    own: dict[str, Any] = {
        "description": str(data.get("description") or "").strip(),
        "names_needed": data.get("depends_on") is not None,
    }
    try:
        own["look_every"] = _pace(data.get("look_every"))
    except BadInput as error:
        problems += error.problems
    if problems or described is None:
        raise BadInput(problems)
    return described, own


def _needed(described: EngineTarget, instance: Target | None) -> list[Problem]:
    """A problem for each name in `depends_on` that is no other registered service."""
    others = Target.objects.exclude(pk=instance.pk if instance else None)
    known = set(others.filter(name__in=described.depends_on).values_list("name", flat=True))
    return [
        Problem("depends_on", f"there is no other service called “{name}”; register it first")
        for name in described.depends_on
        if name not in known or name == described.name
    ]


def _pace(value: object) -> float | None:
    """Seconds between two looks, given as `5s` or a number; None where nothing is said."""
    if value in (None, ""):
        return None
    try:
        pace = float(value) if isinstance(value, int | float) else float(units.parse(value, "duration"))
    except ValueError:
        pace = -1.0
    if not LOOKS[0] <= pace <= LOOKS[1]:
        raise BadInput(
            [Problem("look_every", f"{value!r} is not a time between 1 s and 1 h; write it like 5s")]
        )
    return pace


def _taken(name: str) -> str:
    return f"there is a service called “{name}” already; choose another name"


def _texts(data: Mapping[Any, Any]) -> list[Problem]:
    problems = []
    for key, most in {"name": 100, "kind": 40, "environment": 100, "description": 5000}.items():
        value = data.get(key)
        if value is not None and not isinstance(value, str):
            problems.append(Problem(key, f"must be a text, not {value!r}"))
        elif value and len(value) > most:
            problems.append(Problem(key, f"is too long: {len(value)} characters; at most {most}"))
        elif value and "\x00" in value:
            problems.append(Problem(key, "holds a character that no text holds"))
    return problems


def _share(value: object) -> float:
    """A share as `50%` or as a number up to 1."""
    try:
        share = units.parse(value, "share") if "%" in str(value) else float(str(value))
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        message = f"{value!r} is not a share of the nodes; write it like 50%, above 0% and up to 100%"
        raise BadInput([Problem("max_down", message)])
    return share


@transaction.atomic
def _store(
    described: EngineTarget, own: dict[str, Any], instance: Target | None, by: object, max_down: float | None
) -> Target:
    """`max_down` is the cap of its environment, for all services there; None leaves it as it is."""
    environment, _ = Environment.objects.get_or_create(name=described.environment)
    if max_down is not None and environment.max_down != max_down:
        environment.max_down = max_down
        environment.save()
    target = instance or Target(created_by=str(by or ""))
    target.name, target.kind, target.description = described.name.strip(), described.kind, own["description"]
    target.environment = environment
    target.look_every = own["look_every"] or target.look_every
    target.save()
    if own["names_needed"]:
        target.depends_on.set(Target.objects.filter(name__in=described.depends_on))
    stored = {node.name: node for node in target.nodes.all()}
    problems = []
    for i, node in enumerate(described.nodes):
        problems += _store_node(target, stored.pop(node.name, None), node, i)
    if problems:
        raise BadInput(problems)
    for gone in stored.values():
        gone.delete()
    target._prefetched_objects_cache = {}
    return target


def _store_node(target: Target, row: Node | None, node: EngineNode, position: int) -> list[Problem]:
    row = row or Node(target=target, name=node.name)
    if row.pk and row.to_engine() != node:
        for field, value in UNSEEN.items():
            setattr(row, field, value)
    row.address, row.upstream, row.position = node.address, node.upstream, position
    row.tags = list(node.tags)
    row.control, row.control_params = node.control, node.control_params
    try:
        row.clean_fields(exclude=["target"])
    except ValidationError as error:
        return [
            Problem(f"nodes.{position}.{field}", " ".join(messages))
            for field, messages in error.message_dict.items()
        ]
    row.save()
    return []
