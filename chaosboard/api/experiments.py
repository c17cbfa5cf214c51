from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Status

from apps.experiments import services
from apps.experiments.models import Experiment
from apps.runs.services import request_run
from apps.targets.models import Target
from chaosboard.api.answers import body
from chaosboard.api.runs import summary
from engine.errors import BadInput, Problem
from engine.experiment import Experiment as Definition
from engine.plan import plan

router = Router()
DOCUMENT = {
    "requestBody": {
        "required": True,
        "description": "The experiment as YAML (any content type but JSON's), or the same as JSON.",
        "content": {
            "application/yaml": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}


@router.get("", summary="All experiments")
def index(request: HttpRequest) -> Any:
    found = Experiment.objects.filter(archived=False).select_related("target")
    return {"experiments": [_experiment(experiment) for experiment in found]}


@router.post("", response={201: dict[str, Any]}, summary="Save a new experiment", openapi_extra=DOCUMENT)
def create(request: HttpRequest) -> Any:
    return Status(201, _save(request, None))


@router.get("/{int:pk}", summary="One experiment with its document")
def get(request: HttpRequest, pk: int) -> Any:
    return _experiment(_get(pk), whole=True)


@router.put("/{int:pk}", summary="Save a new version", openapi_extra=DOCUMENT)
def update(request: HttpRequest, pk: int) -> Any:
    return _save(request, _get(pk))


@router.delete("/{int:pk}", summary="Delete an experiment; one with runs is archived")
def delete(request: HttpRequest, pk: int) -> Any:
    return {"message": services.delete_experiment(_get(pk))}


@router.get("/{int:pk}/plan", summary="What it would do and when, link by link; nothing is hurt")
def planned(request: HttpRequest, pk: int) -> Any:
    experiment = _get(pk)
    if experiment.current is None:
        raise BadInput([Problem("", "the experiment has no document")])
    return _plan(experiment.current.to_engine(), experiment.target)


@router.post("/plan", summary="What a document would do and when; nothing is saved", openapi_extra=DOCUMENT)
def preview(request: HttpRequest) -> Any:
    definition, target, _ = services.read(_document(request))
    return _plan(definition, target)


@router.post("/{int:pk}/start", response={202: dict[str, Any]}, summary="Ask for a run")
def start(request: HttpRequest, pk: int) -> Any:
    run = request_run(_get(pk), by=request.user, trigger="api")
    return Status(202, summary(run))


def _get(pk: int) -> Experiment:
    return get_object_or_404(Experiment.objects.select_related("target"), pk=pk)


def _plan(definition: Definition, target: Target) -> dict[str, Any]:
    return plan(definition, target.to_engine(), leader=target.leader or None).to_dict()


def _document(request: HttpRequest) -> dict[str, Any] | str:
    if "json" in request.headers.get("Content-Type", ""):
        return dict(body(request))
    try:
        return request.body.decode()
    except UnicodeDecodeError:
        raise BadInput([Problem("", "the document is not text in UTF-8")]) from None


def _save(request: HttpRequest, instance: Experiment | None) -> dict[str, Any]:
    by = request.user.get_username()
    return _experiment(services.save_experiment(_document(request), by=by, instance=instance), whole=True)


def _experiment(experiment: Experiment, *, whole: bool = False) -> dict[str, Any]:
    version, last = experiment.current, experiment.last_run
    shown = {
        "id": experiment.pk,
        "name": experiment.name,
        "target": experiment.target.name,
        "version": version.number if version else None,
        "archived": experiment.archived,
        "last_run": summary(last) if last else None,
    }
    if whole and version:
        shown |= {"document": version.document, "yaml": version.text}
    return shown
