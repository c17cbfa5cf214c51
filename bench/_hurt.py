"""Real systems registered on a board of their own database, and runs on them. Needs Django set up."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management import call_command

from apps.experiments.models import Experiment
from apps.experiments.services import save_experiment
from apps.runs.models import Run
from apps.runs.services import request_run
from chaosboard import processes
from chaosboard.demo import board
from engine.document import dump
from engine.lab.cluster import Cluster
from engine.lab.systems.etcd import Etcd
from engine.lab.systems.http import Http
from engine.lab.systems.valkey import Valkey


@contextmanager
def clusters(state: Path) -> Iterator[dict[str, Cluster]]:
    """etcd, valkey and http: up, and known to the board."""
    call_command("migrate", verbosity=0)
    found = {
        name: Cluster(kind, state / name, name=name)
        for name, kind in (("etcd", Etcd()), ("valkey", Valkey()), ("http", Http()))
    }
    try:
        with ThreadPoolExecutor(len(found)) as pool:
            list(pool.map(Cluster.start, found.values()))
        for cluster in found.values():
            board.register(cluster.documents())
        http = found["http"]
        http.name = f"{http.name} backends"  # the nodes are hurt; the balancer stays
        yield found
    finally:
        for cluster in found.values():
            cluster.stop()
        processes.stop(processes.marked(state))


def run_of(document: dict[str, Any]) -> Run:
    """Waits for nobody: whoever asked performs it."""
    document = document | {"name": f"{document['target']}: {document['name']}"}
    known = Experiment.objects.filter(name=document["name"]).first()
    run = request_run(
        save_experiment(dump(document), by="the bench", instance=known), by="the bench", trigger="bench"
    )
    return Run.objects.select_related("version__experiment", "target").get(pk=run.pk)
