"""What the editor offers for a target: the plug-ins that fit, and why the others do not."""

from engine import drivers
from engine.blast import WORDS
from engine.errors import EngineError
from engine.faults import REGISTRY as FAULTS
from engine.fitting import why_not
from engine.probes import REGISTRY as PROBES
from engine.target import Target
from engine.topology import BY_HAND, KINDS, Topology
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


def topologies_offered(target: Target, now: str) -> tuple[Choices, dict[str, str]]:
    """Which links may be cut, in words, and why some of them cannot be here; "" is what is chosen below it."""
    texts = [kind for kind in KINDS if kind not in (BY_HAND, "zone-from-zone")]
    names = [node.name for node in target.nodes]
    texts += [f"{kind} {name}" for kind in ("one-alone", "one-way", "bridge") for name in names]
    tags = sorted({tag for node in target.nodes for tag in node.tags})
    texts += [f"zone-from-zone {tag}" for tag in tags]
    found = [(text, Topology.read(text)) for text in texts]
    choices = [("", "clients from the nodes below, or the links picked by hand")]
    choices += [(text, f"{KINDS[topology.kind].title}: {topology.line()}") for text, topology in found]
    if now and now not in dict(choices):
        choices.append((now, now))
    return choices, {text: unmakeable(topology, target) for text, topology in found}


def unmakeable(topology: Topology, target: Target) -> str:
    """Why a topology cannot be made of these nodes; "" where it can."""
    try:
        topology.example(target)
    except EngineError as error:
        return str(error)
    return ""


def default_nodes(target: Target) -> str:
    """The leader where there is one to find, else any one."""
    return "leader" if _has_leader(target) and len(target.nodes) > 1 else "one"


def _has_leader(target: Target) -> bool:
    return target.kind in PROBES and PROBES.get(target.kind).leads
