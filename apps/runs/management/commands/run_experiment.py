import getpass
import json
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.experiments.models import Experiment
from apps.experiments.services import import_experiment
from apps.runs import baseline, services
from apps.runs.models import Figures, Run
from engine.errors import EngineError
from engine.verdict import Verdict

LOOK = 0.5  # seconds between two looks at the run
BAD_INPUT = 3
TOLD = {"phase": ("phase", "text"), "fault": ("line", "state", "text"), "note": ("text",), "fact": ("text",)}


class Command(BaseCommand):
    help = "Starts a run through the workers. Exit status: 0 held, 1 violated or worse than the baseline, 2 unknown, 3 bad input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("experiment", metavar="NAME_OR_FILE")
        parser.add_argument("--wait", action="store_true", help="until the verdict is there")
        parser.add_argument("--json", metavar="OUT", help="write the result into this file; waits for it")
        parser.add_argument(
            "--baseline", metavar="RUN", help="the number of a run; 1 where this one is worse; waits"
        )
        parser.add_argument(
            "--slower", default="10%", help="times may be longer than the baseline's by this; 10%% if absent"
        )
        parser.add_argument(
            "--less-available", default="1%", help="points that the availability may be lower; 1%% if absent"
        )
        parser.add_argument(
            "--target-version", default="", help="of the service, to be shown in comparisons and trends"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        by = getpass.getuser()
        try:
            base = self._baseline(options)
            run = services.request_run(
                self._experiment(options["experiment"], by), by=by, trigger="command",
                target_version=options["target_version"][:100],
            )  # fmt: skip
        except EngineError as error:
            raise CommandError(str(error), returncode=BAD_INPUT) from None
        self.stdout.write(f"run {run.pk}: {run.name}: {run.get_absolute_url()}")
        if options["wait"] or options["json"] or base:
            run = self._follow(run)
            worse = self._worse(run, *base) if base else False
            self._finish(run, options["json"], worse)

    def _baseline(self, options: dict[str, Any]) -> tuple[Figures, baseline.Tolerance] | None:
        if not options["baseline"]:
            return None
        shares = (baseline.share_of(options[name]) for name in ("slower", "less_available"))
        return baseline.baseline_of(options["baseline"]), baseline.Tolerance(*shares)

    def _worse(self, run: Run, base: Figures, tolerance: baseline.Tolerance) -> bool:
        """Whether it is worse than the baseline; says how. A run without figures is compared by its verdict."""
        now = Figures.objects.filter(run=run).first() or Figures(run=run, verdict=run.verdict or "unknown")
        found = baseline.worse(now, base, tolerance)
        for line in found:
            self.stdout.write(f"worse than run {base.run_id}: {line}")
        if not found:
            self.stdout.write(f"not worse than run {base.run_id}")
        return bool(found)

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

    def _finish(self, run: Run, out: str | None, worse: bool = False) -> None:
        if out:
            result = run.result or {
                "verdict": run.verdict, "headline": run.headline, "ending": run.ending, "name": run.name,
            }  # fmt: skip
            Path(out).write_text(json.dumps(result, indent=1, ensure_ascii=False))
        self.stdout.write(f"{run.verdict or 'unknown'}: {run.headline}")
        status = Verdict.of(run.verdict or "unknown").exit_status
        if worse and status == 0:
            status = Verdict.VIOLATED.exit_status
        if status:
            self.stdout.flush()
            sys.exit(status)
