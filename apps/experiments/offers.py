"""What the editor offers for a target: the plug-ins that fit, and why the others do not."""

from engine import drivers
from engine.blast import WORDS
from engine.faults import REGISTRY as FAULTS
from engine.fitting import why_not
from engine.probes import REGISTRY as PROBES
from engine.target import Target
from engine.workloads import REGISTRY as WORKLOADS

Choices = list[tuple[str, str]]


def faults_offered(target: Target) -> dict[str, str]:
    """Each fault, with "" where at least one node can suffer it, or why none can."""
    found = {}
    for name, fault in FAULTS:
        reasons = [drivers.lacks(node, fault.needs) for node in target.nodes]
        found[name] = reasons[0] if reasons and all(reasons) else ""
    return found


def probes_offered() -> Choices:
    return [(name, name) for name in PROBES.names()]


def workloads_offered(target: Target) -> dict[str, str]:
    """Each workload, with "" where the target's kind has a client that can carry it, or why not."""
    return {name: why_not(name, target.kind) for name in WORKLOADS.names()}


def nodes_offered(target: Target, now: str) -> Choices:
    """Whom a fault may hit: by role, by name, and what is chosen now even if it is neither."""
    leaders = ("leader", "followers")
    roles = [word for word in WORDS if _has_leader(target) or word not in leaders]
    choices = [(word, f"the {word}" if word in leaders else word) for word in roles]
    whole = len(target.nodes)
    choices += [(str(n), f"{n} of {whole}") for n in range(2, whole)]
    if whole > 1:
        choices += [("50%", "half"), ("<=50%", "a random number, up to half")]
    tags = sorted({tag for node in target.nodes for tag in node.tags})
    choices += [(f"tag:{tag}", f"those tagged {tag}") for tag in tags]
    choices += [(node.name, node.name) for node in target.nodes]
    if now and now not in dict(choices):
        choices.append((now, now))
    return choices


def default_nodes(target: Target) -> str:
    """The leader where there is one to find, else any one."""
    return "leader" if _has_leader(target) and len(target.nodes) > 1 else "one"


def _has_leader(target: Target) -> bool:
    return target.kind in PROBES and PROBES.get(target.kind).leads
