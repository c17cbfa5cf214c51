"""Our mark on objects of a cluster, by which anybody finds and removes what chaosboard did.

What it creates carries the labels OWNER and MARK; what it changes carries the label MARK. Both carry the
annotations MARK and UNTIL, the absolute end in UTC, and what else is needed to take it back by hand:

    kubectl get nodes,deployments,statefulsets,pods,networkpolicies -A -l chaosboard/mark
    kubectl get pods -A -l chaosboard/isolated
"""

from datetime import UTC, datetime

from engine import state
from engine.drivers._kubernetes_answers import Object
from engine.errors import Refused

OWNER = ("app.kubernetes.io/managed-by", "chaosboard")
MARK, UNTIL = "chaosboard/mark", "chaosboard/until"


def labels(mark: str) -> dict[str, str]:
    return {OWNER[0]: OWNER[1], MARK: mark}


def annotations(mark: str, until: float) -> dict[str, str]:
    """`until` is epoch seconds, 0 where the end is not known."""
    end = {UNTIL: datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds")} if until else {}
    return {MARK: mark, **end}


def put(mark: str, until: float, more: dict[str, str] | None = None) -> Object:
    """The patch of its metadata that puts our mark on an object, with `more` annotations."""
    return {"annotations": annotations(mark, until) | (more or {}), "labels": {MARK: mark}}


def off(*more: str) -> Object:
    """The patch of its metadata that takes our mark off, and the annotations `more`."""
    return {"annotations": dict.fromkeys((MARK, UNTIL, *more)), "labels": {MARK: None}}


def of(one: Object) -> str:
    """The mark that an object carries as an annotation; "" where it carries none."""
    return str((one["metadata"].get("annotations") or {}).get(MARK, ""))


def refuse_other(one: Object, mark: str = "") -> None:
    """Raises Refused where another injection has its mark on it."""
    if (other := of(one)) and other != mark:
        kind, name = one.get("kind") or "The object", one["metadata"]["name"]
        raise Refused(
            f"{kind} {name} carries the mark of another fault already, {other}.", "Heal that one first."
        )


def end_of(mark: str) -> float:
    """The absolute end of the fault `mark`, from its undo record; 0 where it has none."""
    record = state.read(state.root() / "undo" / f"{mark}.json")
    return float(record["expires_at"]) if record else 0.0
