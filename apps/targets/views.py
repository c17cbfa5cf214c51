from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.targets import picture, services
from apps.targets.forms import TargetForm
from apps.targets.models import Target
from engine.errors import BadInput, EngineError, Refused

page = require_http_methods(["GET", "HEAD", "POST"])


def _targets() -> "object":
    return Target.objects.select_related("environment").prefetch_related("nodes", "depends_on", "needed_by")


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    return render(request, "targets/list.html", {"targets": _targets()})


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    target = get_object_or_404(_targets(), pk=pk)
    context = {
        "target": target,
        "experiments": target.experiments.all(),
        "runs": target.runs.select_related("version__experiment")[:8],
        **picture.context(target),
    }
    return render(request, "targets/detail.html", context)


@require_safe
def links(request: HttpRequest, pk: int) -> HttpResponse:
    """The map's data and table alone, asked for again and again by the page of a service."""
    target = get_object_or_404(_targets(), pk=pk)
    return render(request, "parts/links.html", picture.context(target))


@page
def add(request: HttpRequest) -> HttpResponse:
    return _edit(request, None)


@page
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    return _edit(request, get_object_or_404(_targets(), pk=pk))


def _edit(request: HttpRequest, target: Target | None) -> HttpResponse:
    form = TargetForm(request.POST if request.method == "POST" else None, instance=target)
    if request.method == "POST" and form.is_valid():
        try:
            saved = services.save_target(
                form.data_of_target(), instance=target, force=form.cleaned_data["force"], by=request.user
            )
        except (BadInput, Refused) as error:
            form.blame(error)
        else:
            messages.success(request, f"{saved.name} is {'saved' if target else 'registered'}.")
            return redirect("targets:detail", saved.pk)
    status = 400 if form.is_bound else 200
    return render(request, "targets/edit.html", {"form": form, "target": target}, status=status)


@require_POST
def check(request: HttpRequest, pk: int) -> HttpResponse:
    target = get_object_or_404(_targets(), pk=pk)
    try:
        context = {"target": target, "seen": services.check_target(target)}
    except EngineError as error:
        context = {"target": target, "error": str(error)}
    if not request.htmx:
        return render(request, "targets/checked.html", context)
    return render(request, "targets/_check.html", context)


@page
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    target = get_object_or_404(_targets(), pk=pk)
    if request.method != "POST":
        return render(request, "targets/delete.html", {"target": target})
    try:
        services.delete_target(target)
    except Refused as error:
        context = {"target": target, "refusal": str(error)}
        return render(request, "targets/delete.html", context, status=409)
    messages.success(request, f"{target.name} is no longer registered.")
    return redirect("targets:list")
