"""Tags of runs, and how long runs are kept: what the pages of the review do, for scripts."""

from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from ninja import Router

from apps.runs import bulk, retention
from apps.runs.models import Label, Retention, Run
from apps.runs.retention import Rules
from chaosboard.api.answers import body, takes
from engine.errors import BadInput, Problem

router = Router()
MOST = 10_000  # runs that one request tags
NUMBERS = {"type": "array", "items": {"type": "integer"}, "maxItems": MOST}
NAMES = {"type": "array", "items": {"type": "string"}}
TAGS = takes({"runs": NUMBERS, "add": NAMES, "remove": NAMES}, ["runs"])
WHOLE = {"type": "integer", "minimum": 1, "maximum": retention.MOST, "nullable": True}
RULES = takes(
    {
        "keep_last": WHOLE,
        "keep_days": WHOLE,
        "keep_tagged": {"type": "boolean"},
        "keep_violated": {"type": "boolean"},
    },
    [],
)
FIRST = 100  # of the runs that would go


@router.get("/tags", summary="Every tag, and how many runs have it")
def tags(request: HttpRequest) -> Any:
    counted = (
        Label.objects.filter(sort=Label.Sort.TAG).values("name").annotate(runs=Count("run")).order_by("name")
    )
    return {"tags": [{"name": row["name"], "runs": row["runs"]} for row in counted]}


@router.post("/tags", summary="Give tags to runs, or take them away", openapi_extra=TAGS)
def tag(request: HttpRequest) -> Any:
    data = body(request)
    pks, add, remove = _numbers(data), _names(data, "add"), _names(data, "remove")
    if not add and not remove:
        raise BadInput([Problem("add", "say which tags to add or to remove")])
    runs = Run.objects.filter(pk__in=pks)
    told = {"added": bulk.tag(runs, add) if add else 0, "removed": bulk.untag(runs, remove) if remove else 0}
    found = set(runs.values_list("pk", flat=True))
    return {**told, "missing": sorted(set(pks) - found)}


def _numbers(data: dict[str, Any]) -> list[int]:
    found = data.get("runs")
    if not isinstance(found, list) or not all(type(pk) is int and 0 < pk < 2**63 for pk in found):
        raise BadInput([Problem("runs", "must be a list of the numbers of runs")])
    if len(found) > MOST:
        raise BadInput([Problem("runs", f"at most {MOST:,} at once")])
    return found


def _names(data: dict[str, Any], where: str) -> list[str]:
    found = data.get(where, [])
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise BadInput([Problem(where, "must be a list of tags")])
    bad = [name for name in found if not bulk.TAG.fullmatch(name)]
    if bad:
        raise BadInput([Problem(where, f"{bad[0]!r} is no tag: {bulk.LETTERS}")])
    return [name.lower() for name in found]


@router.get("/retention", summary="How long runs are kept, and which would go tonight")
def rules(request: HttpRequest) -> Any:
    row = Retention.objects.first()
    swept = {"at": row.swept_at, "runs": row.swept} if row and row.swept_at else None
    return {**_told(retention.current()), "changed_by": row.changed_by if row else None, "swept": swept}


@router.put(
    "/retention", summary="Say how long runs are kept; what is left out is no rule", openapi_extra=RULES
)
def save(request: HttpRequest) -> Any:
    retention.save(_rules(body(request)), request.user.get_username())
    return rules(request)


@router.post("/retention/preview", summary="Which runs other rules would delete tonight", openapi_extra=RULES)
def preview(request: HttpRequest) -> Any:
    return _told(_rules(body(request)))


def _told(rules: Rules) -> dict[str, Any]:
    due = retention.due(rules)
    return {
        "keep_last": rules.keep_last, "keep_days": rules.keep_days, "keep_tagged": rules.keep_tagged,
        "keep_violated": rules.keep_violated, "due": {"count": len(due), "first": due[:FIRST]},
    }  # fmt: skip


def _rules(data: dict[str, Any]) -> Rules:
    """Raises BadInput with every part that is wrong: what is misspelt would keep runs, or delete them."""
    standard = Rules()
    wholes = {name: data.get(name) for name in ("keep_last", "keep_days")}
    yes_no = {name: data.get(name, getattr(standard, name)) for name in ("keep_tagged", "keep_violated")}
    problems = [
        Problem(name, f"must be a whole number from 1 to {retention.MOST:,}, or null for no rule")
        for name, value in wholes.items()
        if value is not None and not (type(value) is int and 1 <= value <= retention.MOST)
    ]
    problems += [
        Problem(name, "must be true or false") for name, value in yes_no.items() if type(value) is not bool
    ]
    problems += [
        Problem(name, "there is no such rule") for name in data.keys() - wholes.keys() - yes_no.keys()
    ]
    if problems:
        raise BadInput(problems)
    return Rules(**wholes, **yes_no)
