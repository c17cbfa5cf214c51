"""Reports as files, and the links that show them to people without a login."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Router, Status

from apps.reports import services
from apps.reports.exports import FORMATS
from apps.reports.models import Note, Share
from apps.runs.models import Run
from chaosboard.api.answers import body, takes
from engine.errors import BadInput, Problem, Refused

router = Router()
DAYS = takes(
    {"days": {"type": "integer", "minimum": services.DAYS[0], "maximum": services.DAYS[1]}}, ["days"]
)
TEXT = takes({"text": {"type": "string"}, "kind": {"type": "string", "enum": Note.Kind.values}}, ["text"])


def _run(pk: int) -> Run:
    return get_object_or_404(Run.objects.select_related("version__experiment", "target"), pk=pk)


@router.get(
    "/runs/{int:pk}/report/{form}",
    summary="The recovery report as a file: pdf, html, json, csv, intervals, junit",
)
def report(request: HttpRequest, pk: int, form: str) -> Any:
    run = _run(pk)
    if form not in FORMATS:
        raise BadInput([Problem("form", f"must be one of {', '.join(FORMATS)}")])
    if not run.done:
        raise Refused(f"Run {pk} is not over: it is {run.get_state_display()}.", "Ask again later.")
    chosen = FORMATS[form]
    response = HttpResponse(chosen.content(run), content_type=chosen.media)
    response["Content-Disposition"] = f'attachment; filename="{chosen.filename(run)}"'
    return response


@router.get("/runs/{int:pk}/shares", summary="The links of a report")
def shares(request: HttpRequest, pk: int) -> Any:
    return {"shares": [_share(request, one) for one in _run(pk).shares.all()]}


@router.post(
    "/runs/{int:pk}/shares", response={201: dict[str, Any]}, summary="A link that ends", openapi_extra=DAYS
)
def make_share(request: HttpRequest, pk: int) -> Any:
    made = services.share(_run(pk), body(request).get("days", ""), request.user)
    return Status(201, _share(request, made))


@router.delete("/shares/{int:pk}", summary="Take a link back")
def take_back(request: HttpRequest, pk: int) -> Any:
    found = get_object_or_404(Share, pk=pk)
    services.take_back(found, request.user)
    found.refresh_from_db()
    return _share(request, found)


@router.get("/runs/{int:pk}/notes", summary="Notes and decisions on a report")
def notes(request: HttpRequest, pk: int) -> Any:
    return {"notes": [_note(one) for one in _run(pk).report_notes.all()]}


@router.post(
    "/runs/{int:pk}/notes", response={201: dict[str, Any]}, summary="A note or a decision", openapi_extra=TEXT
)
def add_note(request: HttpRequest, pk: int) -> Any:
    data = body(request)
    return Status(
        201, _note(services.note(_run(pk), data.get("text"), data.get("kind", "note"), request.user))
    )


def _share(request: HttpRequest, one: Share) -> dict[str, Any]:
    return {
        "id": one.pk, "run": one.run_id, "made_by": one.made_by, "made_at": one.made_at, "ends_at": one.ends_at,
        "state": one.became, "url": request.build_absolute_uri(one.get_absolute_url()) if one.open else None,
    }  # fmt: skip


def _note(one: Note) -> dict[str, Any]:
    return {"id": one.pk, "run": one.run_id, "kind": one.kind, "text": one.text, "by": one.by, "at": one.at}
