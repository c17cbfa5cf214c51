"""The REST API: doors to the same services that the pages use. Every error is
{"error": message, "problems": [{"where", "message"}]}."""

from ninja import NinjaAPI

from chaosboard.api import experiments, histories, hurts, reports, review, runs, schedules, services
from chaosboard.api.access import Bearer, Session
from chaosboard.api.answers import install

api = NinjaAPI(
    title="chaosboard",
    version="1",
    description="Hurt a system, watch it, judge it. Tokens go in `Authorization: Bearer`.",
    docs_url=None,
    auth=[Bearer(), Session()],
    urls_namespace="api",
)
api.add_router("/services", services.router, tags=["services"])
api.add_router("/experiments", experiments.router, tags=["experiments"])
api.add_router("/runs", runs.router, tags=["runs"])
api.add_router("/histories", histories.router, tags=["histories"])
api.add_router("/schedules", schedules.router, tags=["schedules"])
api.add_router("", reports.router, tags=["reports"])
api.add_router("", review.router, tags=["review"])
api.add_router("", hurts.router, tags=["hurt"])
api.add_router("", runs.halt_router, tags=["halt"])
install(api)

__all__ = ["api"]
