"""Reports of 20 real runs, exported in every format and opened again: `python -m bench.reports [FOLDER]`.

Real etcd, Valkey with Sentinels and an HTTP service behind HAProxy are hurt in 20 ways, two at a time; some
promises are broken on purpose, some runs are aborted and some halted. Each report is written as PDF, HTML, JSON,
CSV and JUnit XML, read by other programs (pdftotext, pdftoppm, an HTML, a CSV and an XML parser), and every figure
is compared with the database. There is no peer: nobody else exports such a report. FOLDER keeps the files.
"""

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

RUNS = [  # of which system, fault, its parameters, what is expected, and what is done meanwhile
    ("etcd", "kill", {"nodes": "leader", "signal": "KILL"}, {"recover_within": "10s", "lost_writes": 0}, ""),
    ("etcd", "kill", {"nodes": "majority", "signal": "KILL"}, {"recover_within": "10s", "lost_writes": 0}, ""),
    ("etcd", "pause", {"nodes": "leader"}, {"recover_within": "10s", "lost_writes": 0}, ""),
    ("etcd", "pause", {"nodes": "one"}, {"recover_within": "1ms", "availability": ">= 100%"}, ""),
    ("etcd", "restart", {"nodes": "one"}, {"recover_within": "10s", "linearizable": True}, ""),
    ("etcd", "pause", {"nodes": "majority"}, {"recover_within": "10s"}, "abort"),
    ("etcd", "transfer-leader", {}, {"recover_within": "10s", "lost_writes": 0}, ""),
    ("valkey", "kill", {"nodes": "leader", "signal": "KILL"}, {"recover_within": "10s", "lost_writes": 0}, ""),
    ("valkey", "kill", {"nodes": "followers", "signal": "KILL"}, {"recover_within": "10s", "lost_writes": 0}, ""),
    ("valkey", "pause", {"nodes": "leader"}, {"recover_within": "10s", "lost_writes": 0}, ""),
    ("valkey", "pause", {"nodes": "leader"}, {"recover_within": "50ms", "availability": ">= 99.9%"}, ""),
    ("valkey", "restart", {"nodes": "one"}, {"recover_within": "10s", "lost_writes": 0}, ""),
    ("valkey", "pause", {"nodes": "leader"}, {"recover_within": "10s"}, "abort"),
    ("http", "kill", {"nodes": "one", "signal": "KILL"}, {"recover_within": "5s"}, ""),
    ("http", "pause", {"nodes": "one"}, {"recover_within": "5s", "availability": ">= 90%"}, ""),
    ("http", "pause", {"nodes": "all"}, {"recover_within": "100ms", "availability": ">= 99.9%"}, ""),
    ("http", "restart", {"nodes": "one"}, {"recover_within": "5s"}, ""),
    ("http", "pause", {"nodes": "majority"}, {"recover_within": "5s"}, "abort"),
    ("http", "pause", {"nodes": "one"}, {"recover_within": "5s"}, "halt"),
    ("http", "kill", {"nodes": "one", "signal": "KILL"}, {"recover_within": "5s"}, "halt"),
]  # fmt: skip
PROBES = {"etcd": "etcd", "valkey": "redis", "http": "http"}
ABREAST = 2  # systems that are hurt side by side
# intervals are readings, not figures: written, and not compared
FORMATS = ("json", "csv", "intervals", "junit", "html", "pdf")


def main(folder: Path) -> int:
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit("ended from outside")
    )  # the systems are stopped all the same
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as state:
        os.environ.update(
            CHAOSBOARD_STATE=state,
            REDIS_URL="",
            DJANGO_SETTINGS_MODULE="chaosboard.settings",
            LOG_LEVEL="ERROR",
        )
        import django

        django.setup()
        from bench._hurt import clusters

        with clusters(Path(state)) as systems:
            done = perform(systems)
        told = [compare(run, folder / f"{run.pk:02d}") for run in done]
    for line, _ in told:
        print(line)
    equal = sum(not wrong for _, wrong in told)
    print(f"reports: {equal} of {len(told)} runs have equal figures in {len(FORMATS) - 1} formats, in "
          f"{time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}; no peer exports such a report")  # fmt: skip
    return equal != len(RUNS)


def perform(systems: dict[str, Any]) -> list[Any]:
    """Side by side, one after the other on each system; those that are halted come last, and alone."""
    calm = [[one for one in RUNS if one[0] == name and one[4] != "halt"] for name in systems]
    halted = [one for one in RUNS if one[4] == "halt"]
    with ThreadPoolExecutor(ABREAST) as pool:
        found = [
            run
            for some in pool.map(lambda ones: [perform_one(systems, *o) for o in ones], calm)
            for run in some
        ]
    return found + [perform_one(systems, *one) for one in halted]


def perform_one(
    systems: dict[str, Any], system: str, fault: str, how: dict[str, Any], expect: dict[str, Any], then: str
) -> Any:
    from django.db import connection

    from bench._hurt import run_of
    from tests.waiting import until

    cluster = systems[system]
    cluster.restore()
    document = {
        "name": f"{fault} {how.get('nodes', 'leader')}{', ' + then if then else ''}", "target": cluster.name,
        "steady_state": [{"probe": {PROBES[system]: {}}, "every": "50ms", "tolerance": {"availability": ">= 99%"}}],
        "baseline": "2s", "faults": [{"at": "0s", "for": "3s", fault: how}],
        "recovery": {"timeout": "15s", "stable": "1s"}, "expect": expect,
    }  # fmt: skip
    if system != "http":
        document["workload"] = {"set": {"clients": 4, "rate": "200/s"}}
    try:
        run = run_of(document)
        stopper = threading.Thread(target=_stop, args=(run, then, until)) if then else None
        if stopper:
            stopper.start()
        return _execute(run, stopper)
    finally:
        connection.close()


def _execute(run: Any, stopper: threading.Thread | None) -> Any:
    from apps.runs import services

    services.execute(run.pk)
    if stopper:
        stopper.join()
    if services.halted():
        services.resume("the bench")
    run.refresh_from_db()
    print(f"  run {run.pk}: {run.ending}, {run.verdict}: {run.headline}", flush=True)
    return run


def _stop(run: Any, then: str, until: Callable[..., None]) -> None:
    """Aborts the run, or halts everything, as soon as its fault is active."""
    from django.db import connection

    from apps.runs import services

    hurt = run.events.filter(kind="fault", data__state="active") | run.events.filter(kind="verdict")
    until(hurt.exists, 120)
    services.abort(run, "the bench") if then == "abort" else services.halt(
        "the bench wants it so", "the bench"
    )
    connection.close()


def compare(run: Any, folder: Path) -> tuple[str, list[str]]:
    from django.core.management import call_command

    from tests.apps.reports import opened

    folder.mkdir(parents=True, exist_ok=True)
    with open(os.devnull, "w") as nowhere:
        for form in FORMATS:
            out = str(folder / f"run.{form}")
            call_command("export_report", run.pk, format=form, output=out, stdout=nowhere)
    wrong = list(opened.differences(run.result, folder))
    pages = opened.pages_of_pdf(folder / "run.pdf", folder)
    wrong += [f"{page.name} is empty" for page in pages if page.stat().st_size < 500]
    sizes = ", ".join(f"{form} {(folder / f'run.{form}').stat().st_size / 1000:.0f} kB" for form in FORMATS)
    figures = len(opened.of_json(folder / "run.json"))
    told = f"  run {run.pk} ({run.name}): {figures} figures, {len(pages)} pages, {sizes}"
    return "\n    ".join([told, *wrong]), wrong


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(Path(sys.argv[1])))
    with tempfile.TemporaryDirectory() as kept:
        sys.exit(main(Path(kept)))
