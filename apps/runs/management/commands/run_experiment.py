import getpass
import json
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.experiments.models import Experiment
from apps.experiments.services import import_experiment
from apps.runs import services
from apps.runs.models import Run
from engine.errors import EngineError
from engine.verdict import Verdict

LOOK = 0.5  # seconds between two looks at the run
BAD_INPUT = 3
TOLD = {"phase": ("phase", "text"), "fault": ("line", "state", "text"), "note": ("text",), "fact": ("text",)}


class Command(BaseCommand):
    help = "Starts a run through the workers. Exit status: 0 held, 1 violated, 2 unknown, 3 bad input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("experiment", metavar="NAME_OR_FILE")
        parser.add_argument("--wait", action="store_true", help="until the verdict is there")
        parser.add_argument("--json", metavar="OUT", help="write the result into this file; waits for it")

    def handle(self, *args: Any, **options: Any) -> None:
        by = getpass.getuser()
        try:
            run = services.request_run(self._experiment(options["experiment"], by), by=by, trigger="command")
        except EngineError as error:
            raise CommandError(str(error), returncode=BAD_INPUT) from None
        self.stdout.write(f"run {run.pk}: {run.name}: {run.get_absolute_url()}")
        if options["wait"] or options["json"]:
            self._finish(self._follow(run), options["json"])

    def _experiment(self, wanted: str, by: str) -> Experiment:
        """The stored experiment of that name, or the one in that file, which is stored first."""
        found = Experiment.objects.filter(name=wanted).first()
        if found:
            return found
        path = Path(wanted)
        if not path.is_file():
            raise CommandError(f"There is no experiment and no file called {wanted!r}.", returncode=BAD_INPUT)
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{path} cannot be read: {error}", returncode=BAD_INPUT) from None
        return import_experiment(text, by=by)

    def _follow(self, run: Run) -> Run:
        last = 0
        while True:
            run.refresh_from_db()
            for event in run.events.filter(n__gt=last).order_by("n"):
                last = event.n
                words = [str(event.data.get(key) or "") for key in TOLD.get(event.kind, ())]
                if any(words):
                    self.stdout.write(f"{event.at:8.2f} s  {event.kind}: {', '.join(filter(None, words))}")
            if run.done:
                return run
            time.sleep(LOOK)

    def _finish(self, run: Run, out: str | None) -> None:
        if out:
            result = run.result or {
                "verdict": run.verdict, "headline": run.headline, "ending": run.ending, "name": run.name,
            }  # fmt: skip
            Path(out).write_text(json.dumps(result, indent=1, ensure_ascii=False))
        self.stdout.write(f"{run.verdict or 'unknown'}: {run.headline}")
        if status := Verdict.of(run.verdict or "unknown").exit_status:
            self.stdout.flush()
            sys.exit(status)
