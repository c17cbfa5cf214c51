from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.reports import pages, services
from apps.reports.exports import FORMATS
from apps.reports.models import Attachment, Note, Share
from apps.reports.paper import SHEETS
from apps.runs.models import Run
from engine.errors import EngineError

ALL = Run.objects.select_related("version__experiment", "target")
# the downloaded file carries its style sheet inside itself, and may load and run nothing
ONLY_ITSELF = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; sandbox"


@require_GET
def report(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(ALL, pk=pk)
    if not run.done:
        return redirect(run)
    return render(request, "runs/report.html", {**pages.context(run), **_people(request, run)})


def _people(request: HttpRequest, run: Run) -> dict[str, Any]:
    shares = list(run.shares.all()[:50])
    return {
        "formats": FORMATS.values(),
        "all_notes": run.report_notes.all(),
        "note_kinds": Note.Kind.choices,
        "attachments": run.attachments.all(),
        "endings": ",".join(sorted(services.ENDINGS)),
        "shares": [(one, request.build_absolute_uri(one.get_absolute_url())) for one in shares],
    }


@require_GET
def report_json(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(ALL, pk=pk)
    if not run.done:
        return JsonResponse({"error": f"run {pk} is not over: {run.state}, {run.phase}"}, status=409)
    return JsonResponse(pages.report(run))


@require_GET
def export(request: HttpRequest, pk: int, form: str) -> HttpResponse:
    run = get_object_or_404(ALL, pk=pk)
    if not run.done:
        return redirect(run)
    return _file(request, run, form)


def _file(request: HttpRequest, run: Run, form: str) -> HttpResponse:
    """The report as a file to keep."""
    if form not in FORMATS:
        raise Http404
    chosen = FORMATS[form]
    try:
        content = chosen.content(run)
    except EngineError as error:
        return render(request, "error.html", {"status": 409, "message": str(error)}, status=409)
    response = HttpResponse(content, content_type=chosen.media)
    response["Content-Disposition"] = f'attachment; filename="{chosen.filename(run)}"'
    response["Content-Security-Policy"] = ONLY_ITSELF
    return response


# With a link, and without a login


def _shared(token: str) -> Share:
    found = Share.find(token)
    if found is None:
        raise Http404
    return found


def _closed(response: HttpResponse) -> HttpResponse:
    """Kept by nobody on the way, found by no search, told to no other site."""
    response["Cache-Control"] = "private, no-store"
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["Referrer-Policy"] = "no-referrer"
    return response


@login_not_required
@require_GET
def shared(request: HttpRequest, token: str) -> HttpResponse:
    found = _shared(token)
    context = {
        **pages.context(found.run),
        "paper": True,
        "sheets": SHEETS[1:],
        "share": found,
        "formats": FORMATS.values(),
    }
    return _closed(render(request, "reports/paper.html", context))


@login_not_required
@require_GET
def shared_file(request: HttpRequest, token: str, form: str) -> HttpResponse:
    return _closed(_file(request, _shared(token).run, form))


# What people add


def _back(run_id: int, place: str) -> HttpResponse:
    response = redirect("runs:report", pk=run_id)
    response["Location"] += f"#{place}"
    return response


@require_POST
def share(request: HttpRequest, pk: int) -> HttpResponse:
    try:
        made = services.share(get_object_or_404(Run, pk=pk), request.POST.get("days", ""), request.user)
    except EngineError as error:
        messages.error(request, str(error))
    else:
        messages.success(
            request, f"Whoever has the link can read this report until {made.ends_at:%Y-%m-%d %H:%M} UTC."
        )
    return _back(pk, "share")


@require_POST
def take_back(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Share, pk=pk)
    if services.take_back(found, request.user):
        messages.success(request, "The link is taken back; it opens nothing any more.")
    else:
        messages.info(request, "It was taken back already.")
    return _back(found.run_id, "share")


@require_POST
def note(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(Run, pk=pk)
    try:
        services.note(run, request.POST.get("text", ""), request.POST.get("kind", "note"), request.user)
    except EngineError as error:
        messages.error(request, str(error))
    return _back(pk, "notes")


@require_POST
def attach(request: HttpRequest) -> HttpResponse:
    number = request.POST.get("run", "")
    run = get_object_or_404(Run, pk=int(number) if number.isdecimal() else 0)
    upload = request.FILES.get("file")
    try:
        services.attach(
            run, upload.chunks() if upload else (), (upload.name if upload else "") or "", request.user
        )
    except EngineError as error:
        messages.error(request, str(error))
    return _back(run.pk, "files")


@require_GET
def attachment(request: HttpRequest, pk: int) -> FileResponse:
    """Always a download: whatever it says it is, no browser runs it."""
    found = get_object_or_404(Attachment, pk=pk)
    if not found.file.exists():
        raise Http404
    response = FileResponse(
        found.file.open("rb"),
        as_attachment=True,
        filename=found.filename,
        content_type="application/octet-stream",
    )
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


@require_POST
def detach(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Attachment, pk=pk)
    services.detach(found)
    messages.success(request, f"{found.filename} is removed.")
    return _back(found.run_id, "files")


@require_GET
def violation(request: HttpRequest, pk: int) -> HttpResponse:
    """The first violation of the data, as a part of the live page."""
    told = pages.first_violation(get_object_or_404(ALL, pk=pk))
    if told is None:
        raise Http404
    return render(request, "histories/_story.html", {"told": told})
