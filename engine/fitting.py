"""Which workload can use which target, and why another one cannot."""

from engine.calls import Use
from engine.clients import REGISTRY as CLIENTS
from engine.clients import Client, Kept
from engine.errors import BadInput, Problem
from engine.parameters import build
from engine.target import Target
from engine.workloads import REGISTRY as WORKLOADS
from engine.workloads import Workload


def why_not(name: str, kind: str) -> str:
    """Why no client of this kind of target can carry the workload called `name`; "" where one can."""
    what = WORKLOADS.get(name).keeps
    able = [other for other, client in CLIENTS if what in client.keeps]
    if kind in able:
        return ""
    a = "an" if what[0] in "aeiou" else "a"
    return f"no client keeps {a} {what} in {kind}; there are clients for {', '.join(able) or 'nothing'}"


def client_for(name: str, workload: Workload, kind: str) -> Client:
    """Raises BadInput where the two do not go together, saying why."""
    where = f"workload.{name}"
    CLIENTS.get(kind, "target.kind")
    client = build(CLIENTS.get(kind), workload.client, f"{where}.client")
    if why := why_not(name, kind):
        raise BadInput([Problem(where, why)])
    if why := client.cannot(workload.use("")):
        raise BadInput([Problem(where, why)])
    return client


def open_for(name: str, workload: Workload, target: Target, prefix: str) -> Kept:
    """Raises BadInput where the two do not go together, saying why."""
    use: Use = workload.use(prefix)
    return client_for(name, workload, target.kind).open(target, use)
