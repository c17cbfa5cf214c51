"""The processes beside a run: one that probes, and one that is its clients."""

from pathlib import Path

from engine.errors import EngineError
from engine.experiment import Experiment
from engine.follow import Child
from engine.probes import REGISTRY as PROBES
from engine.target import Target

FINAL_READ = 25.0  # seconds for the workload to end and read back
LEADER_EVERY = 0.02  # seconds between two looks at who leads


class Watching:
    def __init__(self, experiment: Experiment, target: Target, directory: Path) -> None:
        self.experiment, self.target, self.directory = experiment, target, directory
        self.prober: Child | None = None
        self.load: Child | None = None

    def start(self, state: Path, run: str) -> None:
        """Returns when both look and work. Raises EngineError."""
        kind = self.target.kind
        leads = kind in PROBES and PROBES.get(kind).leads
        common = {"target": self.target.to_dict(), "directory": str(self.directory), "run": run}
        document = self.experiment.to_dict()
        probes = [
            {
                "name": s.name,
                "kind": s.kind,
                "params": d["probe"][s.kind],
                "every": s.every,
                "timeout": s.timeout,
            }
            for s, d in zip(self.experiment.steady_state, document["steady_state"], strict=True)
        ]
        leader = {"kind": kind, "every": LEADER_EVERY} if leads else None
        log = self.directory / "children.log"
        self.prober = Child("engine.prober", {**common, "probes": probes, "leader": leader}, state, log)
        if self.experiment.workload:
            spec = {**common, "workload": document["workload"]}
            self.load = Child("engine.load", spec, state, log)
            self.load.wait_for("ready", 20.0)
        self.prober.wait_for("ready", 20.0)

    def look(self) -> None:
        """Raises EngineError where one of them has died."""
        for child in (self.prober, self.load):
            if child and not child.alive():
                raise EngineError(f"The {child.name} died, so the run was blind.", child.last_words())

    def end(self) -> list[str]:
        """Ends the load (it reads back what it wrote), then the prober; what went wrong, in words."""
        wrong = []
        for child, patience in ((self.load, FINAL_READ), (self.prober, 10.0)):
            if child:
                child.ask_to_stop()
                try:
                    child.stop(patience)
                except EngineError as error:
                    wrong.append(str(error))
        return wrong
