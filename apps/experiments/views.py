from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.experiments import services
from apps.experiments.editing import Editor, drawing_of
from apps.experiments.models import Experiment, ExperimentVersion
from apps.targets.models import Target
from engine import catalogue
from engine.errors import BadInput, Refused

page = require_http_methods(["GET", "HEAD", "POST"])


def _experiments() -> QuerySet[Experiment]:
    return Experiment.objects.select_related("target")


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    archived = "archived" in request.GET
    context = {
        "experiments": _experiments().filter(archived=archived),
        "archived": archived,
        "any_archived": Experiment.objects.filter(archived=True).exists(),
        "any_target": Target.objects.exists(),
    }
    return render(request, "experiments/list.html", context)


@require_safe
def faults(request: HttpRequest) -> HttpResponse:
    """What can be done to a service, made from the registry."""
    context = {
        "faults": catalogue.entries("faults"),
        "drivers": catalogue.entries("drivers"),
        "nodes": catalogue.NODES,
    }
    return render(request, "experiments/faults.html", context)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    experiment = get_object_or_404(_experiments(), pk=pk)
    version = experiment.current
    if number := request.GET.get("version", ""):
        version = get_object_or_404(experiment.versions, number=number if number.isdecimal() else 0)
    context = {
        "experiment": experiment,
        "version": version,
        "current": experiment.current,
        "versions": experiment.versions.all()[:50],
        "runs": experiment.runs[:20],
        **_plan(version, experiment.target),
    }
    return render(request, "experiments/detail.html", context)


def _plan(version: ExperimentVersion | None, target: Target) -> dict[str, Any]:
    try:
        return {"drawing": drawing_of(version.to_engine(), target)} if version else {}
    except BadInput as error:
        return {"problems": error.problems}


@require_safe
def document(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    version = get_object_or_404(ExperimentVersion, experiment_id=pk, number=number)
    response = HttpResponse(version.text, content_type="application/yaml; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="experiment-{pk}-v{number}.yaml"'
    return response


@page
def add(request: HttpRequest) -> HttpResponse:
    return _edit(request, None)


@page
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    return _edit(request, get_object_or_404(_experiments(), pk=pk))


def _edit(request: HttpRequest, instance: Experiment | None) -> HttpResponse:
    if request.method == "POST":
        editor = Editor.posted(request.POST, instance)
        if saved := editor.save(request.user.get_username()):
            messages.success(request, f"{saved.name} is saved as version {saved.current.number}.")
            return redirect("experiments:detail", saved.pk)
    else:
        wanted = request.GET
        editor = Editor.opened(
            instance, _wanted_target(request), wanted.get("as", "form"), wanted.get("node", "")
        )
    context = {"editor": editor.drawn(), "experiment": instance, **editor.preview()}
    context["any_target"] = Target.objects.exists()
    return render(request, "experiments/edit.html", context, status=400 if request.method == "POST" else 200)


def _wanted_target(request: HttpRequest) -> Target | None:
    """The one that the address names, or the only one there is."""
    wanted = request.GET.get("target", "")
    if wanted:
        by = {"pk": wanted} if wanted.isdecimal() else {"name": wanted}
        return Target.objects.filter(**by).first()
    found = list(Target.objects.all()[:2])
    return found[0] if len(found) == 1 else None


def _posted(request: HttpRequest) -> Editor:
    pk = request.POST.get("instance", "")
    return Editor.posted(request.POST, _experiments().filter(pk=pk).first() if pk.isdecimal() else None)


@require_POST
def draw(request: HttpRequest) -> HttpResponse:
    """The editor again, after a choice that changes which fields there are."""
    editor, do = _posted(request), request.POST.get("do", "")
    if do == "yaml":
        editor.to_yaml()
    elif do == "form":
        editor.to_form()
    elif do == "add":
        target = editor.target()
        editor.draft.add_step(target.to_engine() if target else None)
    elif do == "cut" and (cut := editor.target()):
        editor.draft.cut_links(cut.to_engine())
    elif do.startswith("remove-"):
        editor.draft.remove_step(do.removeprefix("remove-"))
    response = render(request, "experiments/_editor.html", {"editor": editor.drawn()})
    response["HX-Trigger"] = "drawn"
    return response


@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    return render(request, "experiments/_previewed.html", _posted(request).preview() | {"swapped": True})


@page
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    experiment = get_object_or_404(_experiments(), pk=pk)
    refusal = ""
    if request.method == "POST":
        try:
            messages.success(request, services.delete_experiment(experiment))
            return redirect("experiments:list")
        except Refused as error:
            refusal = str(error)
    context = {"experiment": experiment, "refusal": refusal}
    return render(request, "experiments/delete.html", context, status=409 if refusal else 200)
