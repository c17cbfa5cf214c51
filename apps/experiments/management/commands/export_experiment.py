from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.experiments.models import Experiment
from apps.experiments.services import export_experiment


class Command(BaseCommand):
    help = "Writes the YAML of an experiment's newest version to standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        experiment = Experiment.objects.filter(name=name).first()
        if experiment is None:
            raise CommandError(f"there is no experiment called {name!r}", returncode=3)
        self.stdout.write(export_experiment(experiment), ending="")
