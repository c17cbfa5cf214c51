"""The faults of one run side by side: one that takes its time must not cost the others their leases."""

import time
from pathlib import Path
from typing import Any

import pytest

from engine import undo
from engine.clock import now_ns
from engine.drivers.memory import Memory
from engine.experiment import Experiment
from engine.hurting import Hurting
from engine.target import Target
from tests.engine.far import end_warden

NODE = {"address": "127.0.0.1:1", "driver": {"memory": {}}}
DOCUMENT = {
    "name": "two at once",
    "target": "t",
    "targets": [{"name": "t", "kind": "memory", "nodes": [
        {"name": "a", **NODE}, {"name": "b", **NODE, "address": "127.0.0.1:2"},
    ]}],
    "steady_state": [{"probe": {"memory": {}}, "every": "100ms", "tolerance": {"availability": ">= 1%"}}],
    "baseline": "1s",
    "faults": [
        {"at": "0s", "for": "60s", "pause": {"nodes": ["a"]}},
        {"at": "0s", "for": "60s", "kill": {"nodes": ["b"]}},
    ],
    "recovery": {"timeout": "5s", "stable": "500ms"},
    "expect": {"recover_within": "5s"},
}  # fmt: skip


def test_leases_run_on_while_another_host_takes_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    prepare = undo.prepare

    def slowly(state: Path, run: str, step: str, kind: str, *more: Any, **how: Any) -> undo.UndoRecord:
        if kind == "kill":
            time.sleep(undo.LEASE + 1)  # as a host that answers late
        return prepare(state, run, step, kind, *more, **how)

    monkeypatch.setattr(undo, "prepare", slowly)
    experiment = Experiment.from_dict(DOCUMENT)
    target: Target = experiment.targets[0]
    told: list[tuple[str, str]] = []
    hurting = Hurting(experiment, target, tmp_path, "r", lambda hurt: told.append((hurt.id, hurt.state)))
    try:
        began = now_ns()
        while len(told) < 4:
            hurting.tick(began)
        assert [state for _, state in told] == ["injecting", "injecting", "active", "active"]
        assert (Memory().look("a"), Memory().look("b")) == ({"paused": True}, {"down": True})
        assert not any(undo.expired(tmp_path, record) for record in undo.records(tmp_path))
    finally:
        hurting.heal_all()
        hurting.close()
        end_warden(tmp_path)
    assert undo.records(tmp_path) == []
