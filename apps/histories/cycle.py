"""A circle of transactions as a drawing: who must have come before whom. Pure."""

from dataclasses import dataclass
from math import cos, hypot, pi, sin
from typing import Any

from engine.anomalies import EDGES

WIDTH = 460
NODE_W, NODE_H = 112, 46
GAP = 7  # px between an arrow and a node


@dataclass(frozen=True)
class Node:
    index: int
    anchor: str
    name: str
    client: str
    x: float
    y: float


@dataclass(frozen=True)
class Arrow:
    """A curve from one node to the next; the label stands beside its middle."""

    kind: str
    path: str
    label: str
    label_x: float
    label_y: float
    why: str


@dataclass(frozen=True)
class Circle:
    width: int
    height: int
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]
    legend: tuple[tuple[str, str], ...]


def circle(story: dict[str, Any], anchors: dict[int, str]) -> Circle | None:
    """None where the story has no cycle."""
    edges = story.get("cycle") or []
    if not edges:
        return None
    names = list(dict.fromkeys(edge["from"] for edge in edges))
    height = 190 if len(names) == 2 else 340
    places = _places(len(names), height)
    where = dict(zip(names, places, strict=True))
    clients = {op["index"]: f"client {op['process']}" for op in story["operations"]}
    nodes = tuple(
        Node(n, anchors.get(n, ""), f"T{n}", clients.get(n, ""), round(x, 1), round(y, 1))
        for n, (x, y) in where.items()
    )
    arrows = tuple(_arrow(edge, where, (WIDTH / 2, height / 2)) for edge in edges)
    kinds = dict.fromkeys(edge["edge"] for edge in edges)
    legend = tuple((kind, MEANS.get(kind, EDGES.get(kind, ""))) for kind in kinds)
    return Circle(WIDTH, height, nodes, arrows, legend)


MEANS = {
    "ww": "both wrote it, and the first was overwritten by the second",
    "wr": "the first wrote what the second read",
    "rw": "the first read it before the second wrote",
    "process": "the same client ran the one before the other",
    "real time": "the first was over before the second began",
}


def _places(number: int, height: int) -> list[tuple[float, float]]:
    """Two stand side by side, more of them round a circle, the first on top."""
    if number == 2:
        return [(NODE_W / 2 + 20, height / 2), (WIDTH - NODE_W / 2 - 20, height / 2)]
    across, down = (WIDTH - NODE_W) / 2 - 24, (height - NODE_H) / 2 - 26
    angles = [2 * pi * i / number - pi / 2 for i in range(number)]
    return [(WIDTH / 2 + across * cos(a), height / 2 + down * sin(a)) for a in angles]


def _arrow(edge: dict[str, Any], where: dict[int, tuple[float, float]], middle: tuple[float, float]) -> Arrow:
    (ax, ay), (bx, by) = where[edge["from"]], where[edge["to"]]
    mx, my = (ax + bx) / 2, (ay + by) / 2
    length = hypot(bx - ax, by - ay) or 1.0
    nx, ny = (by - ay) / length, -(bx - ax) / length  # to the left of the way
    bend = 66 if len(where) == 2 else 22
    cx, cy = mx + nx * bend, my + ny * bend
    sx, sy = _border(ax, ay, cx, cy)
    tx, ty = _border(bx, by, cx, cy)
    px, py = (sx + 2 * cx + tx) / 4, (sy + 2 * cy + ty) / 4  # the middle of the curve
    key = edge.get("key")
    label = edge["edge"] if key is None else f"{edge['edge']} · {key}"
    path = f"M{sx:.1f} {sy:.1f}Q{cx:.1f} {cy:.1f} {tx:.1f} {ty:.1f}"
    beside = 12 + 3.4 * len(label) * abs(nx)
    return Arrow(
        edge["edge"].replace(" ", "-"), path, label, round(px + nx * beside, 1),
        round(py + ny * beside + 5, 1), edge["why"],
    )  # fmt: skip


def _border(x: float, y: float, to_x: float, to_y: float) -> tuple[float, float]:
    """Where the line from the middle of a node leaves it, and a little further."""
    dx, dy = to_x - x, to_y - y
    scale = min(
        (NODE_W / 2 + GAP) / abs(dx) if dx else float("inf"),
        (NODE_H / 2 + GAP) / abs(dy) if dy else float("inf"),
    )
    return x + dx * scale, y + dy * scale
