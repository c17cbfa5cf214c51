from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import aget_object_or_404, get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.experiments.models import Experiment
from apps.live import events as live
from apps.runs import evidence, services
from apps.runs.consumers import feed
from apps.runs.models import Halt, Run
from engine.errors import EngineError
from engine.undo import LEASE

ALL = Run.objects.select_related("version__experiment", "target")


@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(ALL, pk=pk)
    context = {"run": run, "page": page_data(run), "waits_for": services.waits_for(run)}
    return render(request, "runs/detail.html", context)


def page_data(run: Run) -> dict[str, Any]:
    """All that is known up to event `last`; the socket delivers what follows."""
    events = list(run.events.order_by("n").values("n", "at", "kind", "data"))
    last = events[-1]["n"] if events else 0
    return {
        "run": {
            "id": run.pk,
            "name": run.name,
            "target": run.target.name,
            "state": run.state,
            "phase": run.phase,
            "verdict": run.verdict,
            "ending": run.ending,
            "headline": run.headline,
            "started_at": run.started_at.isoformat() if run.started_at else None,
        },
        "events": events,
        "last": last,
        "socket": f"/ws/runs/{run.pk}/",
        "stream": reverse("runs:stream", args=[run.pk]),
    }


@require_GET
async def stream(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The same events as through the socket, for a browser that gets none."""
    await aget_object_or_404(Run, pk=pk)
    return live.response(feed(pk, live.after(request)))


@require_POST
def start(request: HttpRequest, pk: int) -> HttpResponse:
    experiment = get_object_or_404(Experiment, pk=pk)
    try:
        run = services.request_run(experiment, by=request.user)
    except EngineError as error:
        messages.error(request, str(error))
        return redirect("experiments:detail", pk=pk)
    return redirect("runs:detail", pk=run.pk)


@require_POST
def abort(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(Run, pk=pk)
    if services.abort(run, request.user):
        messages.info(request, "It is being stopped and healed.")
    else:
        messages.info(request, "It was over already.")
    return redirect("runs:detail", pk=pk)


@require_http_methods(["GET", "POST"])
def halt(request: HttpRequest) -> HttpResponse:
    if request.method == "GET":
        return _halt_page(request)
    try:
        healed = services.halt(request.POST.get("reason", ""), request.user)
    except EngineError as error:
        return _halt_page(request, error)
    messages.success(request, f"Everything is halted. {_told(healed)}")
    following = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(following, {request.get_host()}, require_https=request.is_secure()):
        return redirect(following)
    return redirect("runs:halt")


def _halt_page(request: HttpRequest, error: EngineError | None = None) -> HttpResponse:
    context = {
        "halted": services.halted(),
        "halts": Halt.objects.all()[:20],
        "hurt": services.hurt_now(),
        "running": ALL.exclude(state=Run.State.DONE),
        "error": error,
    }
    return render(request, "runs/halt.html", context, status=400 if error else 200)


def _told(healed: list[Any]) -> str:
    if not healed:
        return "Nothing was hurt."
    return "; ".join(f"{h.record.line}: {h.state}, {h.text}" for h in healed) + "."


@require_POST
def resume(request: HttpRequest) -> HttpResponse:
    if services.resume(request.user):
        messages.success(request, "The halt is lifted; runs may start again.")
    else:
        messages.info(request, "Nothing was halted.")
    return redirect("runs:halt")


@require_GET
def hurt(request: HttpRequest) -> HttpResponse:
    context = {
        "hurts": evidence.hurt_now(),
        "healed": evidence.healed_last(),
        "states": evidence.STATES,
        "lease": LEASE,
    }
    return render(request, "runs/hurt.html", context)


@require_POST
def heal(request: HttpRequest, record: str) -> HttpResponse:
    healed = evidence.heal(record)
    if healed is None:
        messages.info(request, "It was clean already.")
    elif healed.state == "clean":
        messages.success(request, f"{healed.record.line}: clean, {healed.text}.")
    else:
        messages.error(request, f"{healed.record.line}: {healed.state}, {healed.text}.")
    return redirect("runs:hurt")


@require_POST
def acknowledge(request: HttpRequest, record: str) -> HttpResponse:
    try:
        closed = evidence.acknowledge(record, request.user)
    except EngineError as error:
        messages.error(request, str(error))
    else:
        messages.info(request, f"{closed.line}: {closed.text}." if closed else "It was closed already.")
    return redirect("runs:hurt")
