"""What every plug-in must do: tested by being in its folder."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine import checkers, clients, drivers, faults, parameters, probes, specs, undo, workloads
from engine.drivers.memory import Memory
from engine.errors import BadInput
from engine.history import History
from engine.lab import systems
from engine.parameters import build, dump
from engine.target import Node
from engine.verdict import Verdict

FAMILIES: list[Any] = [drivers, faults, probes, workloads, clients, specs, checkers, systems]
MEMBERS = [(family.REGISTRY, name, cls) for family in FAMILIES for name, cls in family.REGISTRY]
IDS = [f"{registry.noun} {name}" for registry, name, _ in MEMBERS]
SAMPLES = {
    "local": {"memory": {}},
    "action": "a.hurt",
    "rollback": "a.heal",
}  # of required parameters that are no plain text or number
NODE = Node("n1", "127.0.0.1:1", control="memory")
ON_MEMORY = [(name, cls) for name, cls in faults.REGISTRY if not drivers.lacks(NODE, cls.needs)]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("registry", "name", "cls"), MEMBERS, ids=IDS)
def test_it_says_what_it_is_and_what_each_parameter_does(registry: Any, name: str, cls: Any) -> None:
    assert (cls.__doc__ or "").strip()
    assert not cls.__doc__.startswith(f"{cls.__name__}("), "the docstring is dataclass's own"
    assert [p.name for p in parameters.parameters(cls) if not p.help] == []
    assert registry.get(name) is cls


@pytest.mark.parametrize(("registry", "name", "cls"), MEMBERS, ids=IDS)
def test_what_it_writes_it_reads(registry: Any, name: str, cls: Any) -> None:
    needed = {
        p.name: p.choices[0] if p.choices else SAMPLES.get(p.name, "1")
        for p in parameters.parameters(cls) if p.required
    }  # fmt: skip
    try:
        one = build(cls, needed)
    except BadInput:
        one = build(cls, getattr(cls, "example", {"port": 80}))  # a process must be named in one way
    assert build(cls, dump(one)) == one == build(cls, dump(one, defaults=True))
    assert set(parameters.schema(cls)["properties"]) == {p.name for p in parameters.parameters(cls)}
    with pytest.raises(BadInput, match="unknown parameter"):
        build(cls, {"no such thing": 1})


@pytest.mark.parametrize(("name", "cls"), ON_MEMORY, ids=[name for name, _ in ON_MEMORY])
def test_a_fault_hurts_is_seen_and_heals_twice(name: str, cls: Any, state: Path) -> None:
    fault, driver = cls(), Memory()
    captured = fault.capture(driver, NODE)
    fault.inject(driver, NODE, captured, "mark", time.time() + 60)
    for _ in range(2):
        fault.heal(driver, NODE, captured, "mark")
        assert fault.read_back(driver, NODE, captured, "mark").gone is True
    assert "n1" in fault.line(["n1"])


@pytest.mark.parametrize(("name", "cls"), ON_MEMORY, ids=[name for name, _ in ON_MEMORY])
def test_an_injection_that_fails_is_healed(
    name: str, cls: Any, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(*args: Any) -> None:
        Memory()._set("n1", down=True, paused=True)
        raise OSError("the connection broke")

    record = undo.prepare(state, "r", "f0", name, cls(), NODE, 60)
    monkeypatch.setattr(cls, "inject", half)
    with pytest.raises(OSError, match="broke"):
        undo.inject(state, record)
    assert undo.records(state) == []


@pytest.mark.parametrize("cls", [c for _, c in checkers.REGISTRY], ids=checkers.REGISTRY.names())
def test_a_checker_does_not_judge_what_it_has_not_seen(cls: Any) -> None:
    assert cls().check(History([])).verdict is Verdict.UNKNOWN


def test_a_driver_that_comes_beside_others_is_not_named() -> None:
    with pytest.raises(BadInput, match=r"driver\.kernel: is not named: .* process, systemd, docker and lab"):
        drivers.control(replace(NODE, control="kernel"))
