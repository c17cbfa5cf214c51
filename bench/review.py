"""How long the list of runs takes to be served over 100,000 runs on SQLite: `python -m bench review`.

Each line is a page as a browser asks for it, through the whole of Django without the network: the median of
ROUNDS. The peer of each is the page of the same filter counted and cut by OFFSET, at its last page.
"""

import os
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

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

    dice = random.Random(7)
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
    start = datetime(2026, 1, 1, tzinfo=UTC)
    document = {
        "nodes": [{"name": f"n{i}", "address": f"10.0.0.{i}:8080", "note": "x" * 80} for i in range(5)]
    }
    result = {"recovery": {"availability": 0.99}, "phases": ["x" * 60] * 40}
    runs, labels, figures = [], [], []
    for pk in range(1, RUNS + 1):
        version = versions[-1] if pk in (10, 20) else versions[pk % EXPERIMENTS]
        verdict = dice.choices(("held", "violated", "unknown"), (90, 7, 3))[0]
        at = start + timedelta(minutes=pk * 4)
        runs.append(
            Run(
                pk=pk, version=version, target=version.experiment.target, target_document=document, state="done",
                verdict=verdict, ending="finished", created_at=at, started_at=at, finished_at=at,
                headline=f"it was steady again {dice.random():.2f} s after it" + (" unheard" if pk == 777 else ""),
                requested_by=dice.choice(("ada", "grace", "ci")), result=result,
            )
        )  # fmt: skip
        kinds = ["disk-fill"] if pk == 99 else [dice.choice(("kill", "pause", "latency"))]
        labels += [Label(run_id=pk, sort="fault", name=kind) for kind in kinds]
        labels += [Label(run_id=pk, sort="tag", name="release")] if pk % 20 == 0 else []
        labels += [Label(run_id=pk, sort="tag", name="once")] if pk == 5 else []
        figures.append(
            Figures(
                run_id=pk, experiment=version.experiment, target=version.experiment.target, at=at, version=1,
                target_print="x", verdict=verdict, ending="finished", recover=dice.random(), uncertainty=0.1,
                detect=0.1, availability=0.99, broken=True,
            )
        )  # fmt: skip
        if len(runs) == 5000 or pk == RUNS:
            for model, rows in ((Run, runs), (Label, labels), (Figures, figures)):
                model.objects.bulk_create(rows, batch_size=500)
            runs, labels, figures = [], [], []


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


def _get(client: object, address: str) -> None:
    response = client.get(address)  # type: ignore[attr-defined]
    assert response.status_code == 200, response.status_code
    assert response.content


def _by_offset(query: str) -> None:
    """The rows alone, without their page, at the last page."""
    from django.core.paginator import Paginator
    from django.http import QueryDict

    from apps.runs import review

    paginator = Paginator(review.Filter.of(QueryDict(query)).rows(), review.PAGE)
    list(paginator.page(paginator.num_pages).object_list)


def _median(act: object, rounds: int = ROUNDS) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()  # type: ignore[operator]
        times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    main()
