from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.reports.exports import FORMATS
from apps.runs.models import Run


class Command(BaseCommand):
    help = "Writes the report of a run into a file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", type=int)
        parser.add_argument("--format", choices=[*FORMATS, "pdf"], default="json")
        parser.add_argument("-o", "--output", metavar="FILE", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["format"] == "pdf":
            raise CommandError("pdf is not there yet; export html and print it.", returncode=3)
        run = Run.objects.select_related("version__experiment", "target").filter(pk=options["run"]).first()
        if run is None:
            raise CommandError(f"There is no run {options['run']}.", returncode=3)
        if not run.done:
            raise CommandError(f"Run {run.pk} is not over: {run.state}, {run.phase}.", returncode=3)
        try:
            Path(options["output"]).write_text(FORMATS[options["format"]](run))
        except OSError as error:
            raise CommandError(
                f"{options['output']} cannot be written: {error.strerror}", returncode=3
            ) from None
        self.stdout.write(f"{options['output']}: {run.verdict}: {run.headline}")
