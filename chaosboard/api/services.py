from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Status

from apps.targets import services
from apps.targets.models import Node, Target
from chaosboard.api.answers import body, takes
from engine.errors import BadInput, Problem

router = Router()
TEXT = {"type": "string"}
NODE = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "address": {**TEXT, "description": "host:port, where clients reach it"},
        "upstream": {
            **TEXT,
            "description": "where the link proxy forwards to: host:port, or udp://host:port",
        },
        "tags": {"type": "array", "items": TEXT, "description": "words by which a fault can choose it"},
        "driver": {
            "type": "object",
            "description": 'one driver with its parameters: {"process": {"pid": 4711}}',
        },
    },
    "required": ["address"],
}
SERVICE = takes(
    {
        "name": TEXT,
        "kind": {**TEXT, "description": "the probe that looks at it: http, tcp, etcd, redis, …"},
        "environment": TEXT,
        "description": TEXT,
        "depends_on": {"type": "array", "items": TEXT, "description": "names of the services that it needs"},
        "look_every": {**TEXT, "description": "how often the monitor looks at it: 5s"},
        "nodes": {"type": "array", "items": NODE},
        "force": {"type": "boolean", "description": "store it although an address does not answer"},
    },
    ["name", "nodes"],
)


def _all() -> QuerySet[Target]:
    return Target.objects.select_related("environment").prefetch_related("nodes", "depends_on")


@router.get("", summary="All services")
def index(request: HttpRequest) -> Any:
    return {"services": [_service(target) for target in _all()]}


@router.post("", response={201: dict[str, Any]}, summary="Register a service", openapi_extra=SERVICE)
def create(request: HttpRequest) -> Any:
    return Status(201, _save(request, None))


@router.get("/{int:pk}", summary="One service")
def get(request: HttpRequest, pk: int) -> Any:
    return _service(get_object_or_404(_all(), pk=pk))


@router.put("/{int:pk}", summary="Change a service; what is left out keeps its value", openapi_extra=SERVICE)
def update(request: HttpRequest, pk: int) -> Any:
    return _save(request, get_object_or_404(_all(), pk=pk))


@router.delete("/{int:pk}", response={204: None}, summary="Delete a service that is not in use")
def delete(request: HttpRequest, pk: int) -> Any:
    services.delete_target(get_object_or_404(_all(), pk=pk))
    return Status(204, None)


@router.post("/{int:pk}/check", summary="Can it be reached, can it be hurt, who leads?")
def check(request: HttpRequest, pk: int) -> Any:
    return services.check_target(get_object_or_404(_all(), pk=pk))


def _save(request: HttpRequest, instance: Target | None) -> dict[str, Any]:
    data = body(request)
    force = data.pop("force", False)
    if not isinstance(force, bool):
        raise BadInput([Problem("force", f"{force!r} is neither true nor false")])
    if instance is not None:
        known = instance.to_engine().to_dict()
        known.pop("max_down")
        data = {**known, "description": instance.description, "look_every": instance.look_every, **data}
    saved = services.save_target(data, instance=instance, force=force, by=request.user)
    return _service(_all().get(pk=saved.pk))


def _service(target: Target) -> dict[str, Any]:
    return {
        "id": target.pk,
        **target.to_engine().to_dict(),
        "description": target.description,
        "depends_on": [needed.name for needed in target.depends_on.all()],
        "look_every": target.look_every,
        "leader": target.leader or None,
        "nodes": [_node(node) for node in target.nodes.all()],
    }


def _node(node: Node) -> dict[str, Any]:
    seen = {"up": node.up, "leads": node.leads, "answer": node.answer, "seen_at": node.seen_at}
    return {**node.to_engine().to_dict(), **seen}
