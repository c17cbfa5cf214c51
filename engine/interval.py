"""What one interval of a run tells: shares, latencies, errors by name. Pure, and small: it is told ten times a second."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.recovery import in_time, measures
from engine.samples import Outcome, Samples, Status
from engine.series import readings
from engine.tolerance import Tolerance

FINEST = 1e5  # ns, where the first bucket of the heat map ends
BUCKETS = 24  # four for each tenfold: from 0.1 ms to 56 s, and what is beyond
NAMED = 6  # errors that an interval names; the others are counted together
LONGEST = 60  # characters of the name of an error
OTHER = "other"
SERVERS = 24  # behind a balancer that an interval names
_ADDRESS = re.compile(r"\[?[0-9a-fA-F:.]*[0-9a-fA-F]\]?:\d{2,5}|\b\d{1,3}(\.\d{1,3}){3}\b")
_NUMBER = re.compile(r"\b\d{4,}\b|0x[0-9a-f]+")


def probe(chosen: Samples, i: int, joins: str, tolerance: Tolerance) -> dict[str, Any]:
    """`chosen`: the samples of the interval; times in seconds."""
    service = readings(chosen, i, joins)
    values, good = measures(service), in_time(service, tolerance).good
    del values["availability"]
    return {"good": int(good.sum()), "total": len(good), **values}


def node(chosen: Samples, i: int) -> dict[str, int]:
    """`there`: how often it answered well, or left it to another node; `bad`: how often it answered, but not well."""
    mine = chosen[(chosen["node"] == i) & (chosen["probe"] == 0)]
    good, standby, bad = (
        int((mine["status"] == status).sum()) for status in (Status.OK, Status.STANDBY, Status.BAD)
    )
    return {"good": good, "there": good + standby, "bad": bad, "total": len(mine)}


def operations(ended: Samples, nodes: Sequence[str]) -> dict[str, Any]:
    """`ended`: the operations that ended in it; `shares`: how many each node was asked, where that is known."""
    ok = ended[ended["status"] == Outcome.OK]
    latency = np.percentile(ok["latency"], [50, 99]) / 1e9 if len(ok) else [None, None]
    asked = np.bincount(ended["probe"], minlength=len(nodes) + 1)
    shares = {name: int(asked[i]) for i, name in enumerate(nodes, 1) if asked[i]}
    return {
        "ok": len(ok),
        "fail": int((ended["status"] == Outcome.FAIL).sum()),
        "info": int((ended["status"] == Outcome.INFO).sum()),
        "p50": None if latency[0] is None else round(float(latency[0]), 6),
        "p99": None if latency[1] is None else round(float(latency[1]), 6),
        **({"shares": shares} if shares else {}),
    }


def heat(latencies: npt.NDArray[np.int64]) -> list[int]:
    """Latencies (ns) as [bucket, how many, bucket, how many, …]: bucket b ends at 0.1 ms * 10^(b/4)."""
    if not len(latencies):
        return []
    place = np.ceil(np.log10(np.maximum(latencies, 1) / FINEST) * 4 - 1e-9)
    counts = np.bincount(np.clip(place, 0, BUCKETS - 1).astype(int))
    return [int(value) for b in np.flatnonzero(counts) for value in (b, counts[b])]


def errors(parts: Sequence[tuple[Samples, Sequence[str]]]) -> dict[str, int]:
    """How often each error came; `parts` are samples that were not good, each with its table of texts."""
    found: Counter[str] = Counter()
    for bad, texts in parts:
        for number, times in enumerate(np.bincount(bad["error"]).tolist()):
            if times:
                found[named(texts[number] if number < len(texts) else "")] += times
    named_here = dict(found.most_common(NAMED))
    rest = found.total() - sum(named_here.values())
    return {**named_here, OTHER: named_here.get(OTHER, 0) + rest} if rest else named_here


def answered(good: Samples, texts: Sequence[str]) -> dict[str, int]:
    """How many good answers came from each server behind a balancer, where they tell; those that gave most."""
    counts = np.bincount(good["error"]).tolist()
    found = Counter({texts[n]: times for n, times in enumerate(counts) if n and times and n < len(texts)})
    return dict(found.most_common(SERVERS))


def named(text: str) -> str:
    """The name of an error: its text without what differs from node to node and from time to time."""
    short = _NUMBER.sub("#", _ADDRESS.sub("…", text)).strip() or "no reason was given"
    return short if len(short) <= LONGEST else f"{short[: LONGEST - 1]}…"


def lags(lines: Sequence[Mapping[str, Any]], end: int) -> dict[str, int]:
    """The last known lag of each node before `end`, in bytes; `lines` as `engine.watch` writes them."""
    return {line["node"]: line["lag"] for line in lines if line["time"] < end}
