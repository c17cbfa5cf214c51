from typing import Any

from django.db import models

from engine.target import Node as EngineNode
from engine.target import Target as EngineTarget

REMEMBERED = 60
LOOK_EVERY = 5.0  # seconds


class Environment(models.Model):
    """Where a service lives, and which share of its nodes may be hurt at once there."""

    name = models.CharField(max_length=100, unique=True)
    max_down = models.FloatField(default=1.0)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Target(models.Model):
    """A registered service."""

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=40)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="targets")
    description = models.TextField(blank=True)
    depends_on = models.ManyToManyField(
        "self",
        symmetrical=False,
        blank=True,
        related_name="needed_by",
        help_text="what it needs to do its work",
    )
    look_every = models.FloatField(default=LOOK_EVERY, help_text="seconds between two looks of the monitor")
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def to_engine(self) -> EngineTarget:
        return EngineTarget(
            name=self.name,
            nodes=tuple(node.to_engine() for node in self.nodes.all()),
            kind=self.kind,
            environment=self.environment.name,
            max_down=self.environment.max_down,
            depends_on=tuple(needed.name for needed in self.depends_on.all()),
        )

    @property
    def up(self) -> int:
        return sum(node.up is True for node in self.nodes.all())

    @property
    def state(self) -> str:
        """ok, warn, bad or unknown, from what the monitor saw last."""
        seen = [node.up for node in self.nodes.all()]
        if not seen or any(up is None for up in seen):
            return "unknown"
        return "ok" if all(seen) else "warn" if any(seen) else "bad"

    @property
    def leader(self) -> str:
        return next((node.name for node in self.nodes.all() if node.up and node.leads), "")

    @property
    def uptime(self) -> float | None:
        """The share of the remembered checks in which a node was up; None before the first."""
        seen = [bool(up) for node in self.nodes.all() for up in node.recent]
        return sum(seen) / len(seen) if seen else None


class Node(models.Model):
    """One instance of a service; from `up` on, what the monitor saw last."""

    target = models.ForeignKey(Target, on_delete=models.CASCADE, related_name="nodes")
    name = models.CharField(max_length=100)
    address = models.CharField(max_length=255)
    upstream = models.CharField(max_length=255, blank=True)
    control = models.CharField(max_length=40, blank=True)
    control_params = models.JSONField(default=dict, blank=True)
    tags = models.JSONField(default=list, blank=True)
    position = models.PositiveIntegerField(default=0)

    up = models.BooleanField(null=True, editable=False)
    leads = models.BooleanField(null=True, editable=False)
    seen_at = models.DateTimeField(null=True, editable=False)
    answer = models.CharField(max_length=300, blank=True, editable=False)
    recent = models.JSONField(default=list, blank=True, editable=False)

    class Meta:
        ordering = ["position", "id"]
        constraints = [models.UniqueConstraint(fields=["target", "name"], name="node_name_in_target")]

    def __str__(self) -> str:
        return f"{self.target.name}/{self.name}"

    def to_engine(self) -> EngineNode:
        return EngineNode(
            name=self.name,
            address=self.address,
            upstream=self.upstream,
            control=self.control,
            control_params=dict(self.control_params),
            tags=tuple(self.tags),
        )

    @property
    def uptime(self) -> float | None:
        return sum(map(bool, self.recent)) / len(self.recent) if self.recent else None

    def saw(self, *, up: bool, leads: bool | None, answer: str, at: Any) -> None:
        """Takes what one check saw; saving is the caller's."""
        self.up, self.leads, self.answer, self.seen_at = up, leads, answer[:300], at
        self.recent = [*self.recent, up][-REMEMBERED:]
