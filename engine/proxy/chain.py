"""The stages of a flow, brought in line with the toxics of its side."""

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.proxy.datagrams import DatagramFlow
    from engine.proxy.flow import Flow
    from engine.proxy.toxics import Toxic


def refit(flow: "Flow | DatagramFlow") -> None:
    """Stages whose toxic has gone give on what they hold, and those of new toxics begin."""
    flow.version = flow.side.version
    old = {stage.toxic: stage for stage in flow.chain}
    wanted = [toxic for toxic in flow.side.toxics if toxic in old or _applies(flow, toxic)]
    wanted.sort(key=lambda toxic: toxic.kind.last)
    fixed = [stage for stage in flow.chain if stage.fixed]
    gone = [stage for stage in flow.chain if stage.toxic not in wanted and not stage.fixed]
    if wanted:
        flow.stop_splicing()
    stages = fixed + [old.get(toxic) or toxic.kind(flow, toxic) for toxic in wanted]
    flow.held = any(stage.holds for stage in stages)
    for stage in gone:
        stage.release()
    if flow.connection.closed:
        return
    flow.chain = tuple(stages)
    for stage, after in zip(stages, [*stages[1:], flow], strict=False):
        stage.next = after
    for stage in stages:
        if stage.toxic not in old:
            stage.start(next((one for one in gone if one.toxic is stage.toxic.before), None))
    if gone:
        flow.unread = True
        flow.loop.soon(flow.writable if flow.stuck else flow.resume)


def _applies(flow: "Flow | DatagramFlow", toxic: "Toxic") -> bool:
    """The dice are thrown once for each toxic and flow."""
    if not toxic.meets(flow.connection.opener):
        return False
    if toxic.toxicity >= 1:
        return True
    if flow.spared is None:
        flow.spared = set()
    flow.spared &= set(flow.side.toxics)
    if toxic not in flow.spared:
        if random.random() < toxic.toxicity:
            return True
        flow.spared.add(toxic)
    return False
