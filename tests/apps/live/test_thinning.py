"""A page that has been open for an hour holds a bounded number of points, and every peak of them."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SERIES = Path(__file__).resolve().parents[3] / "static" / "js" / "series.js"
RUN = """
const { thinned, availability, latency, operations } = await import(process.argv[1])
const given = JSON.parse(await new Promise((done) => {
  let text = ''
  process.stdin.on('data', (part) => { text += part }).on('end', () => done(text))
}))
let kept = []
for (const interval of given) { kept.push(interval); kept = thinned(kept) }
console.log(JSON.stringify({
  kept, availability: availability(kept, 'http').y, p99: latency(kept, 'http', 'p99').y, failed: operations(kept, 'fail').y,
}))
"""


def interval(number: int, **probe: Any) -> dict[str, Any]:
    http = {"good": 10, "total": 10, "p50": 0.001, "p99": 0.002, "max": 0.003, **probe}
    ops = {"ok": 50, "fail": 3 if number == 30 else 0, "info": 0}
    return {"t": number / 10, "width": 0.1, "probes": {"http": http}, "ops": ops}


@pytest.fixture(scope="module")
def hour() -> dict[str, Any]:
    """What the page keeps of 36,000 intervals with one bad one, one slow one, and three failures in one."""
    node = shutil.which("node")
    assert node, "node is missing: apt-get install nodejs"
    given = [interval(n) for n in range(36_000)]
    given[17] = interval(17, good=4)
    given[20_001] = interval(20_001, p99=0.9)
    module = "data:text/javascript;base64," + base64.b64encode(SERIES.read_bytes()).decode()
    done = subprocess.run(
        [node, "--input-type=module", "-e", RUN, "--", module],
        input=json.dumps(given), capture_output=True, text=True, check=True,
    )  # fmt: skip
    kept: dict[str, Any] = json.loads(done.stdout)
    return kept


def test_at_most_two_thousand_intervals_are_held_and_one_thousand_points_drawn(hour: dict[str, Any]) -> None:
    assert len(hour["kept"]) <= 2000
    assert len(hour["p99"]) <= 1000


def test_the_worst_moments_are_kept(hour: dict[str, Any]) -> None:
    assert min(hour["availability"]) == pytest.approx(40.0)
    assert max(hour["p99"]) == pytest.approx(900.0)
    assert max(hour["failed"]) == pytest.approx(30.0)


def test_nothing_is_counted_twice_or_lost(hour: dict[str, Any]) -> None:
    kept = hour["kept"]
    assert sum(i["probes"]["http"]["total"] for i in kept) == 360_000
    assert sum(i["ops"]["fail"] for i in kept) == 3
    ends = [i["t"] + i["width"] for i in kept]
    assert all(abs(end - following["t"]) < 1e-6 for end, following in zip(ends, kept[1:], strict=False))
