"""Runs held against each other, and over time."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from apps.reports import comparing, trend
from apps.runs.models import Figures, Run

ALL = Run.objects.select_related("version__experiment", "target")
LISTED = 200


@require_GET
def compare(request: HttpRequest) -> HttpResponse:
    """`/runs/compare/?runs=1,2`: the first is the one that the others are held against."""
    wanted = [int(pk) for pk in request.GET.get("runs", "").split(",") if pk.isdecimal() and len(pk) < 18]
    wanted = list(dict.fromkeys(wanted))[: comparing.MOST]
    found = ALL.in_bulk(wanted)
    runs = [found[pk] for pk in wanted if pk in found and found[pk].done]
    if len(runs) < 2:
        messages.error(request, "A comparison needs two runs that are over: tick them in the list.")
        return redirect("runs:list")
    return render(request, "runs/compare.html", comparing.context(runs))


@require_GET
def experiment_trend(request: HttpRequest, pk: int) -> HttpResponse:
    return _trend(request, "experiment", pk)


@require_GET
def service_trend(request: HttpRequest, pk: int) -> HttpResponse:
    return _trend(request, "target", pk)


def _trend(request: HttpRequest, of: str, pk: int) -> HttpResponse:
    found = Figures._meta.get_field(of).related_model.objects.filter(pk=pk).first()
    if found is None:
        raise Http404
    return render(request, "runs/trend.html", {"of": of, "subject": found, **context(of, pk)})


def context(of: str, pk: int) -> dict[str, Any]:
    points = trend.points(Figures.objects.filter(**{of: pk}))
    return {
        "points": points[::-1][:LISTED],
        "summary": trend.summary(points),
        "versions": trend.by_version(points),
        "drawn": trend.drawn(points),
        "total": len(points),
    }
