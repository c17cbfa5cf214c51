"""Two schedulers as two processes on one database: each slot starts exactly once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SLOTS = 12
PREPARE = """
from datetime import UTC, datetime
from apps.experiments.services import save_experiment
from apps.schedules.models import Schedule
from apps.targets.services import save_target
from django.core.management import call_command
call_command("migrate", verbosity=0)
node = {"name": "n1", "address": "127.0.0.1:1", "driver": {"memory": {}}}
save_target({"name": "simulated", "kind": "memory", "nodes": [node]}, force=True)
experiment = save_experiment({
    "name": "it dies", "target": "simulated", "steady_state": [{"probe": "memory"}],
    "faults": [{"at": "0s", "for": "1s", "kill": {"nodes": ["n1"]}}],
}, by="ada")
Schedule.objects.create(
    experiment=experiment, cron="0 * * * *", since=datetime(2026, 5, 4, 11, 59, tzinfo=UTC), created_by="ada"
)
"""
SCHEDULER = f"""
import sys
from datetime import UTC, datetime, timedelta
from apps.schedules.services import tick
print("ready", flush=True)
for i in range({SLOTS}):
    assert sys.stdin.readline()
    tick(datetime(2026, 5, 4, 12, 0, tzinfo=UTC) + i * timedelta(hours=1))
    print("ticked", flush=True)
"""
LOOK = """
import json
from apps.runs.models import Run
from apps.schedules.models import Slot
print(json.dumps({"slots": list(Slot.objects.values_list("state", flat=True)), "runs": Run.objects.count()}))
"""
FREE = "from apps.runs.models import Run; Run.objects.update(state='done')"


def django(code: str) -> list[str]:
    return [sys.executable, "-c", f"import django; django.setup()\n{code}"]


@pytest.mark.systems
def test_each_slot_starts_exactly_once(tmp_path: Path) -> None:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("CHAOSBOARD_", "DATABASE_URL"))}
    environ |= {
        "CHAOSBOARD_STATE": str(tmp_path), "DJANGO_SETTINGS_MODULE": "chaosboard.settings", "REDIS_URL": "",
    }  # fmt: skip

    def do(code: str) -> str:
        return subprocess.run(
            django(code), cwd=ROOT, env=environ, capture_output=True, text=True, check=True
        ).stdout

    do(PREPARE)
    schedulers = [
        subprocess.Popen(
            django(SCHEDULER), cwd=ROOT, env=environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        hear = [s.stdout.readline for s in schedulers if s.stdout]
        assert [h() for h in hear] == ["ready\n"] * 2
        for _ in range(SLOTS):
            for one in schedulers:
                assert one.stdin
                one.stdin.write("tick\n")
                one.stdin.flush()
            assert [h() for h in hear] == ["ticked\n"] * 2
            do(FREE)
    finally:
        for one in schedulers:
            one.kill()
            one.wait()
    assert json.loads(do(LOOK)) == {"slots": ["started"] * SLOTS, "runs": SLOTS}
