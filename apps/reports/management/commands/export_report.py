from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.reports.exports import FORMATS
from apps.runs.models import Run
from engine.errors import EngineError


class Command(BaseCommand):
    help = "Writes the report of a run into a file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", type=int)
        parser.add_argument("--format", choices=[*FORMATS], default="json")
        parser.add_argument("-o", "--output", metavar="FILE", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        run = Run.objects.select_related("version__experiment", "target").filter(pk=options["run"]).first()
        if run is None:
            raise CommandError(f"There is no run {options['run']}.", returncode=3)
        if not run.done:
            raise CommandError(f"Run {run.pk} is not over: {run.state}, {run.phase}.", returncode=3)
        try:
            Path(options["output"]).write_bytes(FORMATS[options["format"]].content(run))
        except EngineError as error:
            raise CommandError(str(error), returncode=3) from None
        except OSError as error:
            raise CommandError(
                f"{options['output']} cannot be written: {error.strerror}", returncode=3
            ) from None
        self.stdout.write(f"{options['output']}: {run.verdict}: {run.headline}")
