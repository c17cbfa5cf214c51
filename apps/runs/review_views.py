"""The list of runs: found, ticked, and what is done with those."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Max, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.runs import bulk, rejudging, retention, review
from apps.runs.models import Judgement, Retention, Run
from apps.runs.retention import Rules
from engine.errors import BadInput, Problem, Refused

MOST_COMPARED = 6
SHOWN = 10  # of the runs that something is about to be done with
TICKED = 1000  # that one form may carry


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    asked = review.Filter.of(request.GET)
    page = review.page(asked.rows(), _number(request.GET, "before"), _number(request.GET, "after"))
    context = {
        "filter": asked,
        "page": page,
        "runs": review.with_tags(page.runs),
        "any_run": bool(page.runs) or Run.objects.exists(),
        **review.choices(),
    }
    return render(request, "runs/list.html", context)


def _number(asked: QueryDict, name: str) -> int | None:
    value = asked.get(name, "")
    return int(value) if value.isdecimal() and len(value) < 18 else None


@dataclass(frozen=True)
class Action:
    """`says` what will happen to so many runs; `act` does it and says what was done."""

    says: str
    act: Callable[[QuerySet[Run], HttpRequest], str]
    button: str
    harmful: bool = False


def _tag(runs: QuerySet[Run], request: HttpRequest) -> str:
    names = bulk.tag_names(request.POST.get("tags", ""))
    return f"{_runs(bulk.tag(runs, names))} now carry {', '.join(names)}."


def _untag(runs: QuerySet[Run], request: HttpRequest) -> str:
    names = bulk.tag_names(request.POST.get("tags", ""))
    return f"{', '.join(names)} is taken from {_runs(bulk.untag(runs, names))}."


def _archive(runs: QuerySet[Run], request: HttpRequest) -> str:
    return f"{_runs(bulk.archive(runs))} archived: hidden from this list, their reports stay."


def _restore(runs: QuerySet[Run], request: HttpRequest) -> str:
    return f"{_runs(bulk.archive(runs, archived=False))} brought back."


def _judge(runs: QuerySet[Run], request: HttpRequest) -> str:
    return (
        f"{_runs(bulk.judge_again(runs, request.user.get_username()))} will be judged again by the workers."
    )


def _delete(runs: QuerySet[Run], request: HttpRequest) -> str:
    gone, kept = bulk.delete(runs)
    stays = f" Kept: {'; '.join(f'run {k.run}, {k.why}' for k in kept[:SHOWN])}." if kept else ""
    return f"{_runs(gone)} deleted, with their files.{stays}"


def _runs(count: int) -> str:
    return f"{count:,} run{'' if count == 1 else 's'}"


ACTIONS = {
    "tag": Action("get a tag", _tag, "Tag"),
    "untag": Action("lose a tag", _untag, "Take the tag away"),
    "archive": Action("are hidden from the list; their reports stay", _archive, "Archive"),
    "restore": Action("come back into the list", _restore, "Bring back"),
    "judge": Action(
        "are judged again with today's checkers; what was said before is kept", _judge, "Judge again"
    ),
    "delete": Action("are deleted for ever, with their events, reports and files", _delete, "Delete", True),
}


@require_POST
def act(request: HttpRequest) -> HttpResponse:
    """First says how many runs it would be; with `confirmed` equal to that number it does it."""
    do = request.POST.get("do") or request.POST.get("then", "")
    if do in LEADS:
        return LEADS[do](request)
    action = ACTIONS.get(do)
    if action is None:
        messages.error(request, "Say what is to be done with the runs.")
        return redirect("runs:list")
    runs, upto = _chosen(request.POST)
    count = runs.count()
    back = _back(request.POST)
    if not count:
        messages.info(request, "No run is ticked.")
        return redirect(back)
    error = ""
    if request.POST.get("confirmed") == str(count):
        try:
            messages.success(request, action.act(runs, request))
            return redirect(back)
        except (BadInput, Refused) as refusal:
            error = str(refusal)
    elif "confirmed" in request.POST:
        error = f"It is {_runs(count)} by now. Look again, and say it once more."
    context = {
        "action": action, "do": do, "count": count, "error": error, "upto": upto, "back": back,
        "all": request.POST.get("all", ""), "filter": request.POST.get("filter", ""),
        "ticked": request.POST.getlist("run")[:TICKED], "tags": request.POST.get("tags", ""),
        "shown": runs[:SHOWN], "more": max(count - SHOWN, 0), "not_over": runs.exclude(state="done").count(),
    }  # fmt: skip
    return render(request, "runs/bulk.html", context, status=400 if error else 200)


def _compare(request: HttpRequest) -> HttpResponse:
    """From check boxes to the address of a comparison, which can be kept."""
    pks = _ticked(request.POST)
    if not 2 <= len(pks) <= MOST_COMPARED:
        messages.error(request, f"Tick two to {MOST_COMPARED} runs to compare them.")
        return redirect(_back(request.POST))
    return redirect(f"{reverse('runs:compare')}?runs={','.join(map(str, sorted(pks)))}")


def _export(request: HttpRequest) -> HttpResponse:
    if request.POST.get("all"):
        return redirect(
            f"{reverse('runs:export_many')}?{review.Filter.of(QueryDict(request.POST.get('filter', ''))).query}"
        )
    if not (pks := _ticked(request.POST)):
        messages.info(request, "No run is ticked.")
        return redirect(_back(request.POST))
    return redirect(f"{reverse('runs:export_many')}?runs={','.join(map(str, pks))}")


LEADS = {"compare": _compare, "export": _export}


def _back(posted: QueryDict) -> str:
    return f"{reverse('runs:list')}?{review.Filter.of(QueryDict(posted.get('filter', ''))).query}"


def _ticked(posted: QueryDict) -> list[int]:
    return [int(pk) for pk in posted.getlist("run")[:TICKED] if pk.isdecimal() and len(pk) < 18]


def _chosen(posted: QueryDict) -> tuple[QuerySet[Run], int]:
    """The ticked runs, or all that the filter finds up to the newest run of the moment it was asked."""
    if not posted.get("all"):
        return review.ROWS.filter(pk__in=_ticked(posted)).order_by("-pk"), 0
    upto = _number(posted, "upto") or Run.objects.aggregate(newest=Max("pk"))["newest"] or 0
    rows = review.Filter.of(QueryDict(posted.get("filter", ""))).rows()
    return rows.filter(pk__lte=upto), upto


@require_http_methods(["GET", "POST"])
def keeping(request: HttpRequest) -> HttpResponse:
    """The rules, and what they would delete today."""
    rules, error, previewed = retention.current(), "", False
    if request.method == "POST":
        try:
            rules = _rules(request.POST)
        except BadInput as problem:
            error = problem.problems[0].message
        else:
            if request.POST.get("do") == "save":
                retention.save(rules, request.user.get_username())
                messages.success(request, "Saved. The next sweep is at 03:30 UTC.")
                return redirect("runs:keeping")
            previewed = True
    due = retention.due(rules)
    context = {
        "rules": rules, "error": error, "previewed": previewed, "stored": Retention.objects.first(),
        "due": len(due), "shown": review.ROWS.filter(pk__in=due[:SHOWN]), "total": Run.objects.count(),
    }  # fmt: skip
    return render(request, "runs/keeping.html", context, status=400 if error else 200)


def _rules(posted: QueryDict) -> Rules:
    return Rules(
        _whole(posted, "keep_last"), _whole(posted, "keep_days"),
        "keep_tagged" in posted, "keep_violated" in posted,
    )  # fmt: skip


def _whole(posted: QueryDict, name: str) -> int | None:
    text = posted.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text[:9]) <= retention.MOST or len(text) > 7:
        raise BadInput([Problem(name, f"{text!r}: a whole number from 1 on, or nothing")])
    return int(text)


@require_POST
def judge_again(request: HttpRequest, pk: int) -> HttpResponse:
    get_object_or_404(Run, pk=pk, state=Run.State.DONE)
    try:
        rejudging.enqueue(pk, request.user.get_username())
        messages.success(request, "A worker judges it again; load this page in a moment.")
    except Refused as error:
        messages.error(request, str(error))
    return redirect("runs:judgements", pk)


@require_GET
def judgements(request: HttpRequest, pk: int) -> HttpResponse:
    """What the run was judged to be, the newest first, each with what changed after it."""
    run = get_object_or_404(Run.objects.select_related("version__experiment", "target"), pk=pk)
    return render(request, "runs/judgements.html", {"run": run, "earlier": history(run)})


def history(run: Run) -> list[dict[str, Any]]:
    found, following = [], run.result
    for judgement in Judgement.objects.filter(run=run):
        found.append({"judgement": judgement, "changes": rejudging.changes(judgement.result, following)})
        following = judgement.result
    return found
