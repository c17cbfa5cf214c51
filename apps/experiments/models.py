"""What to do to whom: a document with versions. A run keeps the version that it was started with."""

from typing import Any

from django.apps import apps
from django.db import models
from django.urls import reverse

from engine import experiment as engine_experiment


class Experiment(models.Model):
    name = models.CharField(max_length=200, unique=True)
    target = models.ForeignKey("targets.Target", models.PROTECT, related_name="experiments")
    archived = models.BooleanField(default=False)
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("experiments:detail", args=[self.pk])

    @property
    def current(self) -> "ExperimentVersion | None":
        """The newest version; every saved experiment has one."""
        return self.versions.order_by("-number").first()

    @property
    def runs(self) -> models.QuerySet[Any]:
        """Its runs, newest first. The rows belong to apps.runs, which this app may not import."""
        run = apps.get_model("runs", "Run")
        found = run.objects.filter(version__experiment=self).select_related("version", "target")
        return found.defer("result", "target_document").order_by("-pk")

    @property
    def last_run(self) -> Any:
        return self.runs.first()


class ExperimentVersion(models.Model):
    experiment = models.ForeignKey(Experiment, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    document = models.JSONField()
    text = models.TextField(help_text="The document as YAML, as it was written.")
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["experiment", "number"], name="one_version_a_number")]

    def __str__(self) -> str:
        return f"{self.experiment} v{self.number}"

    def to_engine(self) -> engine_experiment.Experiment:
        return engine_experiment.Experiment.from_dict(self.document)
