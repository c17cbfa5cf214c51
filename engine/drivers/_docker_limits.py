"""The limits of a container as its engine names them, lowered and put back.

An engine reads 0 as "leave it", and takes neither quota nor memory back to it. What means "none" to the
kernel is told instead: a quota of -1, and all the memory that can be named.
"""

from collections.abc import Mapping
from typing import Any

from engine import units
from engine.errors import Refused

Limits = dict[str, int]

NAMES = ("NanoCpus", "CpuQuota", "CpuPeriod", "Memory", "MemorySwap")
PERIOD = 100_000  # microseconds: the kernel's own, where none is set
ALL_MEMORY = 2**63 - 4096  # bytes


def of(attrs: Mapping[str, Any]) -> Limits:
    """What the engine holds the container to; 0 where there is no limit."""
    return {name: attrs["HostConfig"].get(name) or 0 for name in NAMES}


def lower(old: Limits, cpu: float | None, memory: int | None) -> Limits:
    """What to tell the engine so that the container has `cpu` processors and `memory` bytes at most.

    Raises Refused where it has less already.
    """
    wanted: Limits = {}
    if cpu is not None:
        had = _processors(old)
        if had is not None and had <= cpu:
            raise Refused(f"It may use {had:g} processors already; {cpu:g} would be no less.")
        if old["NanoCpus"]:
            wanted["NanoCpus"] = round(cpu * 1e9)
        else:  # a quota alone: a period would forbid to set processors ever after
            wanted["CpuQuota"] = round(cpu * (old["CpuPeriod"] or PERIOD))
    if memory is not None:
        if 0 < old["Memory"] <= memory:
            had_memory, wish = units.show(old["Memory"], "size"), units.show(memory, "size")
            raise Refused(f"It may use {had_memory} of memory already; {wish} would be no less.")
        wanted |= {"Memory": memory, **_swap(old)}
    return wanted


def former(old: Limits, now: Limits) -> Limits:
    """What to tell the engine so that the limits `now` are the `old` ones again; nothing if they are."""
    wanted: Limits = {}
    if _changed(old, now, "NanoCpus"):
        wanted["NanoCpus"] = old["NanoCpus"]
    if _changed(old, now, "CpuQuota"):
        wanted["CpuQuota"] = old["CpuQuota"] or -1
    if _changed(old, now, "Memory"):
        wanted |= {"Memory": old["Memory"] or ALL_MEMORY, **_swap(old)}
    return wanted


def show(limits: Limits) -> str:
    """`0.5 processors and 64MiB of memory`."""
    cpu, memory = _processors(limits), _plain("Memory", limits["Memory"])
    return (
        f"{'all processors' if cpu is None else f'{cpu:g} processors'} and "
        f"{units.show(memory, 'size') if memory else 'all'} of memory"
    )


def _changed(old: Limits, now: Limits, name: str) -> bool:
    return _plain(name, old[name]) != _plain(name, now[name])


def _swap(old: Limits) -> Limits:
    """Memory is not changed unless its sum with swap is named too; -1 leaves that without a limit."""
    return {"MemorySwap": old["MemorySwap"] if old["MemorySwap"] > 0 else -1}


def _processors(limits: Limits) -> float | None:
    if limits["NanoCpus"] > 0:
        return limits["NanoCpus"] / 1e9
    if limits["CpuQuota"] > 0:
        return limits["CpuQuota"] / (limits["CpuPeriod"] or PERIOD)
    return None


def _plain(name: str, value: int) -> int:
    """One word for the many that mean no limit."""
    return 0 if value < 0 or (name == "Memory" and value >= ALL_MEMORY) else value
