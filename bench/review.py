"""How long the list of runs takes to be served over 100,000 runs on SQLite: `python -m bench review`.

Each line is a page as a browser asks for it, through the whole of Django without the network: the median of
ROUNDS. The peer of each is the page of the same filter counted and cut by OFFSET, at its last page.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.test import Client

RUNS = int(os.environ.get("RUNS", "100000"))
ROUNDS = 5
EXPERIMENTS, SERVICES = 40, 8
PAGES = {
    "newest": "",
    "oldest page": "before=51",
    "in the middle": f"before={RUNS // 2}",
    "verdict": "verdict=violated",
    "service": "service=service-3",
    "experiment": "experiment=experiment+17",
    "rare experiment": "experiment=rare",
    "fault": "fault=kill",
    "rare fault": "fault=disk-fill",
    "tag": "tag=release",
    "rare tag": "tag=once",
    "who": "by=ada",
    "a day": "since=2026-03-01&until=2026-03-01",
    "found in many": "q=steady",
    "found in one": "q=unheard",
    "found nowhere": "q=xyzzy",
    "three at once": "verdict=violated&service=service-3&fault=kill",
}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-review-") as folder:
        os.environ["CHAOSBOARD_STATE"] = folder
        os.environ["DATABASE_URL"] = f"sqlite:///{folder}/db.sqlite3"
        os.environ["DJANGO_SETTINGS_MODULE"] = "chaosboard.settings"
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command

        settings.ALLOWED_HOSTS = ["testserver"]
        settings.REDIS_URL = ""
        call_command("migrate", verbosity=0)
        _fill()
        size = (Path(folder) / "db.sqlite3").stat().st_size / 1e6
        print(f"review: {RUNS:,} runs on SQLite, {size:,.0f} MB, load {os.getloadavg()[0]:.1f}")
        _measure()


def _fill() -> None:
    from apps.experiments.models import Experiment, ExperimentVersion
    from apps.runs.models import Figures, Label, Run
    from apps.targets.models import Environment, Target

    environment = Environment.objects.create(name="default")
    targets = [
        Target.objects.create(name=f"service-{i}", kind="memory", environment=environment)
        for i in range(SERVICES)
    ]
    names = [f"experiment {i}" for i in range(EXPERIMENTS)] + ["rare"]
    versions = []
    for i, name in enumerate(names):
        experiment = Experiment.objects.create(name=name, target=targets[i % SERVICES])
        versions.append(
            ExperimentVersion.objects.create(
                experiment=experiment, number=1, document={"name": name}, text=""
            )
        )
    document = {
        "nodes": [{"name": f"n{i}", "address": f"10.0.0.{i}:8080", "note": "x" * 80} for i in range(5)]
    }
    result = {"recovery": {"availability": 0.99}, "phases": ["x" * 60] * 40}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    first = Run.objects.create(
        pk=1, version=versions[-1], target=targets[0], target_document=document, state="done", verdict="held",
        ending="finished", created_at=at, started_at=at, finished_at=at, headline="unheard", result=result,
        requested_by="ada",
    )  # fmt: skip
    Label.objects.create(run=first, sort="fault", name="disk-fill")
    Label.objects.create(run=first, sort="tag", name="once")
    Figures.objects.create(
        run=first, experiment=versions[-1].experiment, target=targets[0], at=at, version=1, target_print="x",
        verdict="held", ending="finished", recover=1.0, uncertainty=0.1, detect=0.1, availability=0.99, broken=True,
    )  # fmt: skip
    _copy()


def _copy() -> None:
    """Run 1 again and again, inside the database, with other experiments, verdicts, people, times and labels."""
    from django.db import connection

    numbers = f"WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c WHERE n < {RUNS}) "
    version = f"n % {EXPERIMENTS} + 1"
    moment = "strftime('%Y-%m-%d %H:%M:%S', 1767225600 + n * 240, 'unixepoch')"
    mixed = "(n * 7919 % 1009)"  # a prime's multiples: the same every time, without a pattern that an index would love
    verdict = f"CASE WHEN {mixed} < 70 THEN 'violated' WHEN {mixed} < 100 THEN 'unknown' ELSE 'held' END"
    changed = {
        "id": "n", "run_id": "n", "version_id": version, "experiment_id": version, "verdict": verdict,
        "target_id": f"(n % {EXPERIMENTS}) % {SERVICES} + 1", "created_at": moment, "started_at": moment,
        "finished_at": moment, "at": moment, "headline": "'it was steady again ' || n || ' ms after it'",
        "requested_by": "CASE n % 3 WHEN 0 THEN 'ada' WHEN 1 THEN 'grace' ELSE 'ci' END",
    }  # fmt: skip
    with connection.cursor() as cursor:
        for table in ("runs_run", "runs_figures"):
            columns = [c.name for c in connection.introspection.get_table_description(cursor, table)]
            values = [changed.get(c, f't."{c}"') if c != "version" else "1" for c in columns]
            listed = ", ".join(f'"{c}"' for c in columns)
            cursor.execute(
                f"{numbers} INSERT INTO {table} ({listed}) SELECT {', '.join(values)} FROM c, {table} t"
            )
        fault = f"CASE {mixed} % 3 WHEN 0 THEN 'kill' WHEN 1 THEN 'pause' ELSE 'latency' END"
        into = "INSERT INTO runs_label (run_id, sort, name)"
        cursor.execute(f"{numbers} {into} SELECT n, 'fault', {fault} FROM c")
        cursor.execute(f"{numbers} {into} SELECT n, 'tag', 'release' FROM c WHERE n % 20 = 0")


def _measure() -> None:
    from django.contrib.auth import get_user_model
    from django.test import Client

    client = Client()
    client.force_login(
        get_user_model().objects.create_user("ada"), backend="django.contrib.auth.backends.ModelBackend"
    )
    for name, query in PAGES.items():
        ours = _median(lambda query=query: _get(client, f"/runs/?{query}"))
        peer = _median(lambda query=query: _by_offset(query), 3)
        print(
            f"review, {name}: ours {ours * 1e3:.0f} ms, "
            f"peer rows by COUNT and OFFSET {peer * 1e3:.0f} ms, ratio {peer / ours:.1f}"
        )
    for name, address in (
        ("the trend of 2,500 runs", "/experiments/17/trend/"),
        ("the trend of a service", "/services/3/trend/"),
    ):
        print(f"review, {name}: ours {_median(lambda address=address: _get(client, address)) * 1e3:.0f} ms")
    from apps.runs import retention

    took = _median(lambda: retention.due(retention.Rules(keep_last=100)), 3)
    due = len(retention.due(retention.Rules(keep_last=100)))
    print(f"review, what retention would delete ({due:,} runs): ours {took * 1e3:.0f} ms")


def _get(client: "Client", address: str) -> None:
    response = client.get(address)
    assert response.status_code == 200, response.status_code
    assert response.content


def _by_offset(query: str) -> None:
    """The rows alone, without their page, at the last page."""
    from django.core.paginator import Paginator
    from django.http import QueryDict

    from apps.runs import review

    paginator = Paginator(review.Filter.of(QueryDict(query)).rows(), review.PAGE)
    list(paginator.page(paginator.num_pages).object_list)


def _median(act: Callable[[], object], rounds: int = ROUNDS) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    main()
