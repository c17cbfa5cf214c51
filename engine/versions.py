"""What took part in a run, by version: the target as its nodes tell it, chaosboard, Python and the kernel."""

import asyncio
import platform
from typing import Any

from engine import VERSION
from engine.inspect import probe_for
from engine.probes import Probe
from engine.target import Node, Target
from engine.wire import WireError

PATIENCE = 2.0  # seconds for a node to tell


def versions(target: Target) -> dict[str, Any]:
    """`target`: node -> version, of the nodes that tell one."""
    return {
        "chaosboard": VERSION,
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "target": asyncio.run(_of_nodes(target)),
    }


async def _of_nodes(target: Target) -> dict[str, str]:
    probe = probe_for(target.kind)
    told = await asyncio.gather(*(_of(probe, node) for node in target.nodes))
    return {node.name: one for node, one in zip(target.nodes, told, strict=True) if one}


async def _of(probe: Probe, node: Node) -> str:
    session = probe.session(node)
    try:
        return await asyncio.wait_for(session.version(), PATIENCE)
    except (TimeoutError, WireError, OSError):
        return ""
    finally:
        await session.close()


def in_words(found: dict[str, Any]) -> str:
    told = sorted(set(found["target"].values()))
    own = f"chaosboard {found['chaosboard']}, Python {found['python']}, {found['kernel']}"
    return f"{', '.join(told)}; {own}" if told else own
