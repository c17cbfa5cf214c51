from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET

from apps.reports import pages
from apps.runs.models import Run

ALL = Run.objects.select_related("version__experiment", "target")


@require_GET
def report(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(ALL, pk=pk)
    if not run.done:
        return redirect(run)
    return render(request, "runs/report.html", pages.context(run))


@require_GET
def report_json(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(ALL, pk=pk)
    if not run.done:
        return JsonResponse({"error": f"run {pk} is not over: {run.state}, {run.phase}"}, status=409)
    return JsonResponse(pages.report(run))


@require_GET
def violation(request: HttpRequest, pk: int) -> HttpResponse:
    """The first violation of the data, as a part of the live page."""
    told = pages.first_violation(get_object_or_404(ALL, pk=pk))
    if told is None:
        raise Http404
    return render(request, "histories/_story.html", {"told": told})
