from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Status

from apps.histories import services
from apps.histories.models import History
from chaosboard.api.answers import body, takes

router = Router()
CHUNK = 1 << 20
RULES = {
    "spec": {"type": "string", "description": "what it is a history of; told by the operations if absent"},
    "checker": {"type": "string", "description": "who judges it, if not the spec's own"},
    "level": {"type": "string", "description": "the isolation level that transactions are held to"},
    "limit": {"type": "integer", "description": "seconds after which the verdict is unknown", "default": 60},
}
NAMED = {"filename": {"type": "string"}, "name": {"type": "string"}, "note": {"type": "string"}, **RULES}
UPLOAD = {
    "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}},
    "parameters": [
        {"in": "query", "name": name, "schema": {"type": schema["type"]}, "description": schema.get("description", "")}
        for name, schema in NAMED.items()
    ],
}  # fmt: skip


@router.get("", summary="All histories, the newest first")
def index(request: HttpRequest) -> Any:
    return {"histories": [_history(h) for h in History.objects.defer("result")[:200]]}


@router.post("", response={201: dict[str, Any]}, openapi_extra=UPLOAD,
             summary="Upload a history as the body of the request, and have it judged")  # fmt: skip
def create(request: HttpRequest) -> Any:
    given = {name: request.GET[name] for name in NAMED if name in request.GET}
    filename = given.pop("filename", "") or given.get("name", "")
    return Status(201, _history(services.keep(_chunks(request), filename, by=request.user, **given)))


def _chunks(request: HttpRequest) -> Iterator[bytes]:
    while chunk := request.read(CHUNK):
        yield chunk


@router.get("/{int:pk}", summary="A history, its verdict, what was found, and its stories")
def detail(request: HttpRequest, pk: int) -> Any:
    history = get_object_or_404(History, pk=pk)
    return _history(history) | {"result": history.result}


@router.post("/{int:pk}/judge", response={202: dict[str, Any]}, summary="Judge it again",
             openapi_extra=takes(RULES, []))  # fmt: skip
def again(request: HttpRequest, pk: int) -> Any:
    services.again(get_object_or_404(History, pk=pk), **(body(request) if request.body else {}))
    return Status(202, _history(History.objects.get(pk=pk)))


@router.delete("/{int:pk}", response={204: None}, summary="Delete a history and its file")
def delete(request: HttpRequest, pk: int) -> Any:
    services.delete(get_object_or_404(History, pk=pk))
    return Status(204, None)


def _history(history: History) -> dict[str, Any]:
    return {
        "id": history.pk, "name": history.name, "note": history.note, "filename": history.filename,
        "size": history.size, "uploaded_by": history.uploaded_by, "created_at": history.created_at.isoformat(),
        "spec": history.spec or "auto", "checker": history.checker, "level": history.level, "limit": history.limit,
        "state": history.state, "progress": history.progress, "verdict": history.verdict,
        "headline": history.headline, "error": history.error,
        "judged_at": history.judged_at.isoformat() if history.judged_at else None,
    }  # fmt: skip
