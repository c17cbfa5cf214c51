from typing import Any

from django.http import HttpRequest
from ninja import Router

from apps.runs import evidence
from apps.runs.evidence import Hurt

router = Router()


@router.get(
    "/hurt", summary="What is hurt now, and what each system itself shows of it; what was healed last"
)
def index(request: HttpRequest) -> Any:
    return {
        "hurt": [_told(hurt) for hurt in evidence.hurt_now()],
        "healed": [_told(hurt) for hurt in evidence.healed_last()],
    }


@router.post("/hurt/{record}/heal", summary="Heal one fault at once")
def heal(request: HttpRequest, record: str) -> Any:
    healed = evidence.heal(record)
    return {"state": healed.state if healed else "clean", "text": healed.text if healed else "it was clean"}


@router.post("/hurt/{record}/acknowledge", summary="Close what could not be read back: somebody looked at it")
def acknowledge(request: HttpRequest, record: str) -> Any:
    closed = evidence.acknowledge(record, request.user)
    return {"state": "acknowledged", "text": closed.text if closed else "it was closed already"}


def _told(hurt: Hurt) -> dict[str, Any]:
    """`gone` is what the system shows: null where it could not be read."""
    return {
        "record": hurt.record.id if hurt.record else None,
        "fault": hurt.line,
        "node": hurt.node,
        "service": hurt.run.target.name if hurt.run else None,
        "run": hurt.run.pk if hurt.run else None,
        "state": hurt.state,
        "text": hurt.text,
        "seen": {"gone": hurt.seen.gone, "text": hurt.seen.text} if hurt.seen else None,
        "injected_at": hurt.injected_at,
        "ends_at": hurt.ends_at,
    }
