from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.histories import figures, services
from apps.histories.models import History
from engine.checkers import REGISTRY as CHECKERS
from engine.errors import BadInput, EngineError
from engine.specs import REGISTRY as SPECS

LISTED = History.objects.defer("result")


class JudgeForm(forms.Form):
    """By which rules a history is judged."""

    spec = forms.ChoiceField(
        label="What it is a history of", required=False,
        help_text="What a correct system would have done. Usually the operations tell.",
    )  # fmt: skip
    checker = forms.ChoiceField(label="Who judges it", required=False)
    level = forms.ChoiceField(
        label="Isolation level promised", required=False, help_text="Of transactions only."
    )
    limit = forms.IntegerField(
        label="Time limit", required=False, initial=60, min_value=services.LIMITS[0], max_value=services.LIMITS[1],
        help_text="Seconds. What is not decided by then is unknown, never held.",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = {
            "spec": ("tell by the operations", SPECS.names()), "checker": ("the spec's own", CHECKERS.names()),
            "level": ("serializable", services.levels()),
        }  # fmt: skip
        for name, (nothing, names) in choices.items():
            self.fields[name].choices = [("", nothing), *((n, n.replace("_", " ")) for n in names)]  # type: ignore[attr-defined]  # a choice field


class UploadForm(JudgeForm):
    field_order = ("file", "name", "note", "spec", "checker", "level", "limit")

    file = forms.FileField(label="The history")
    name = forms.CharField(max_length=120, required=False, help_text="The file's name if empty.")
    note = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    page = Paginator(LISTED.all(), 50).get_page(request.GET.get("page"))
    return render(request, "histories/list.html", {"histories": page.object_list, "page": page})


@require_http_methods(["GET", "HEAD", "POST"])
def add(request: HttpRequest) -> HttpResponse:
    sent = request.method == "POST"
    form = UploadForm(request.POST, request.FILES) if sent else UploadForm()
    if sent and form.is_valid():
        given = form.cleaned_data
        upload = given.pop("file")
        try:
            history = services.keep(upload.chunks(), upload.name, by=request.user, **given)
        except BadInput as error:
            for problem in error.problems:
                form.add_error(problem.where if problem.where in form.fields else None, problem.message)
        except EngineError as error:
            form.add_error("file", str(error))
        else:
            return redirect(history)
    status = 400 if form.errors else 200
    context = {"form": form, "limit": settings.CHAOSBOARD_HISTORY_LIMIT}
    return render(request, "histories/add.html", context, status=status)


@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    history = get_object_or_404(History, pk=pk)
    given = {name: getattr(history, name) for name in ("spec", "checker", "level", "limit")}
    context = {"history": history, "result": history.result, "form": JudgeForm(initial=given)}
    if history.result:
        context |= _told(history.result)
    return render(request, "histories/detail.html", context)


def _told(result: dict[str, Any]) -> dict[str, Any]:
    windows = figures.nemesis_windows(result.get("windows", []), result.get("zero", 0))
    told = figures.told(result.get("stories", []), windows, result.get("duration"))
    return {"told": told, "untold": max(result.get("found", 0) - len(told), 0)}


@require_POST
def again(request: HttpRequest, pk: int) -> HttpResponse:
    history = get_object_or_404(History, pk=pk)
    given = {name: request.POST.get(name, "") for name in ("spec", "checker", "level", "limit")}
    try:
        services.again(history, **given)
    except EngineError as error:
        messages.error(request, str(error))
    return redirect(history)


@require_POST
def describe(request: HttpRequest, pk: int) -> HttpResponse:
    history = get_object_or_404(LISTED, pk=pk)
    services.describe(history, request.POST.get("name", ""), request.POST.get("note", ""))
    messages.success(request, "Saved.")
    return redirect(history)


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    history = get_object_or_404(LISTED, pk=pk)
    if request.method != "POST":
        return render(request, "histories/delete.html", {"history": history})
    services.delete(history)
    messages.success(request, f"{history.name} is deleted.")
    return redirect("histories:list")


@require_GET
def file(request: HttpRequest, pk: int) -> FileResponse:
    history = get_object_or_404(LISTED, pk=pk)
    if not history.file.exists():
        raise Http404
    return FileResponse(history.file.open("rb"), as_attachment=True, filename=history.filename)


@require_GET
def result(request: HttpRequest, pk: int) -> HttpResponse | FileResponse | JsonResponse:
    """All that was found, as `engine check --json --story` says it."""
    history = get_object_or_404(LISTED, pk=pk)
    if history.state != History.State.JUDGED:
        return JsonResponse(
            {"error": f"history {pk} has no verdict: {history.state}", "problems": []}, status=409
        )
    return FileResponse((history.directory / "result.json").open("rb"), content_type="application/json")
