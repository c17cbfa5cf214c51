"""The engine alone: `python -m engine run|check|heal|halt|resume|list|lab|proxy|warden`."""

import argparse
import contextlib
import getpass
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import catalogue, check, experiment, inspect, judge, plan, state, undo, warden
from engine import text as words
from engine.errors import BadInput, EngineError, Problem
from engine.events import Event
from engine.experiment import Experiment
from engine.lab import command as lab
from engine.target import Target
from engine.verdict import Verdict

BAD_INPUT = 3


def main() -> int:
    arguments = _parser().parse_args()
    try:
        code: int = arguments.do(arguments)
        return code
    except BadInput as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
    except EngineError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
    return BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engine", description="Hurt a system, watch it, judge it."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, do: Callable[[Any], int], help: str) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=help, description=help)
        found.add_argument(
            "--state", type=Path, default=state.root(), help="the state directory (CHAOSBOARD_STATE)"
        )
        found.set_defaults(do=do)
        return found

    one = command(
        "run", run, "run an experiment file; exit status 0 held, 1 violated, 2 unknown, 3 bad input"
    )
    one.add_argument("file", type=Path)
    one.add_argument("--json", type=Path, metavar="OUT", help="write the result there")
    one.add_argument("--dry-run", action="store_true", help="show what would happen, and hurt nothing")
    one = command("check", check.check, "judge a stored history; exit status as of run")
    check.arguments(one)
    one = command("heal", heal, "heal from the undo records; 0 where all is clean, 1 where not")
    one.add_argument("--all", action="store_true", help="also faults of runs that are alive")
    one.add_argument("--json", action="store_true")
    one = command("halt", halt, "end every run, heal everything, and let none begin until `resume`")
    one.add_argument("--reason", required=True, help="why; whoever finds everything halted wants to know")
    one.add_argument("--by", default=getpass.getuser(), help="who halts; the system's user if absent")
    command("resume", resume, "lift the halt")
    one = command("list", list_, "what there is, with parameters")
    one.add_argument("family", nargs="?", choices=sorted(catalogue.FAMILIES))
    one.add_argument("--markdown", action="store_true", help="as docs/faults.md has it")
    one = command("lab", lambda told: BAD_INPUT, "real systems on a network of their own, to be hurt")
    lab.arguments(one)
    one = command("proxy", proxy, "the link proxy of a state directory, with Toxiproxy's HTTP API")
    one.add_argument("--api", metavar="HOST:PORT",
                     help="where the HTTP API listens (127.0.0.1:8474 if it is free), or none")  # fmt: skip
    one.add_argument("--stay", action="store_true", help="wait for the place of one that serves it already")
    one = command("warden", watch, "heal faults whose time is over, or whose run fell silent")
    one.add_argument("--stay", action="store_true", help="also while there is nothing to watch")
    return parser


def run(arguments: Any) -> int:
    from engine.runner import run as perform

    one = _read(arguments.file)
    if not one.targets:
        raise BadInput([Problem("targets", "is missing: describe the target in the file, or use the board")])
    target = next(t for t in one.targets if t.name == one.target)
    if arguments.dry_run:
        asked = any(step.fault.needs_leader() for step in one.faults)
        return _show_plan(plan.plan(one, target, leader=_leader(target) if asked else None))
    folder = arguments.state.absolute() / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="cli-", dir=folder))
    result = perform(
        one, target, directory=directory, state=arguments.state.absolute(), emit=_tell, stop=lambda: "",
        run_id=directory.name,
    )  # fmt: skip
    for judgement in [*result.get("expectations", []), *result.get("checks", [])]:
        print(f"  {judgement['verdict']:<9}{judgement['name']}: {judgement['headline']}")
    print(f"{result['verdict'].upper()}: {result['headline']}")
    print(f"recorded in {directory}")
    if arguments.json:
        arguments.json.write_text(judge.to_json(result))
    return Verdict.of(result["verdict"]).exit_status


def _read(file: Path) -> Experiment:
    try:
        data, lines = experiment.load(file.read_text())
    except UnicodeDecodeError:
        raise BadInput([Problem(str(file), "is not a text file")]) from None
    return Experiment.from_dict(data, lines)


def _leader(target: Target) -> str | None:
    """Who leads now, for whoever wants to know in advance: that nobody answers is no error."""
    with contextlib.suppress(EngineError):
        return inspect.leader(target)
    return None


def _show_plan(found: plan.Plan) -> int:
    for phase in found.phases:
        print(f"{phase.start:>8.1f} s  {phase.name}, until {phase.end:.1f} s")
        for step in found.steps if phase.name == "fault" else []:
            print(f"{step.start:>8.1f} s    {step.line}, healed at {step.end:.1f} s")
            for cut in step.cuts:
                print(f"{'':>10}      {cut.text()}, by {cut.by}")
            if step.open:
                print(f"{'':>10}      ({step.open})")
    return 0


def _tell(events: list[Event]) -> None:
    for event in events:
        line = _in_words(event)
        if line:
            print(f"{event.at:>8.2f} s  {line}", flush=True)


def _in_words(event: Event) -> str:
    data = event.data
    if event.kind == "phase":
        return f"{data['phase']}{': ' if data['text'] else ''}{data['text']}"
    if event.kind == "fault":
        return f"{data['line']}: {data['state']}{', ' if data['text'] else ''}{data['text']}"
    if event.kind == "leader":
        sees = f"sees {data['sees'] or 'no leader'}" if data["reachable"] else "does not answer"
        return f"{data['node']} {sees}"
    if event.kind == "violation":
        return f"{data['kind']}: {data['why']}"
    return str(data["text"]) if event.kind in ("note", "fact") else ""


def heal(arguments: Any) -> int:
    folder = arguments.state.absolute()
    found = []
    for record in undo.records(folder):
        if (arguments.all or undo.expired(folder, record)) and (healed := undo.heal(folder, record.id)):
            found.append(healed)
    if arguments.json:
        print(json.dumps([{"fault": h.record.line, "state": h.state, "text": h.text} for h in found]))
    else:
        for healed in found:
            print(f"{healed.record.line}: {healed.state}, {healed.text}")
        print(f"{words.count(len(found), 'fault')} healed" if found else "nothing to heal")
    return 0 if all(h.state == "clean" for h in found) else 1


def halt(arguments: Any) -> int:
    if not arguments.reason.strip():
        raise BadInput([Problem("--reason", "is empty: whoever finds everything halted wants to know why")])
    state.halt(arguments.state.absolute(), arguments.by, arguments.reason.strip())
    found = undo.heal_all(arguments.state.absolute())
    for healed in found:
        print(f"{healed.record.line}: {healed.state}, {healed.text}")
    print("Everything is halted. Lift it with: python -m engine resume")
    return 0 if all(h.state == "clean" for h in found) else 1


def resume(arguments: Any) -> int:
    (arguments.state.absolute() / "halt").unlink(missing_ok=True)
    print("The halt is lifted; runs may start again.")
    return 0


def list_(arguments: Any) -> int:
    if arguments.markdown:
        print(catalogue.markdown(), end="")
        return 0
    for family in [arguments.family] if arguments.family else catalogue.FAMILIES:
        print(f"{family}:")
        for entry in catalogue.entries(family):
            print(f"  {entry.name:<16}{entry.about}")
            if entry.carried_by:
                print(f"      carried by {words.listed(entry.carried_by)}")
            for parameter in entry.parameters:
                default = catalogue.shown(parameter) or "empty"
                print(f"      {parameter.name:<12}{parameter.help} ({parameter.kind}, {default})")
    return 0


def proxy(arguments: Any) -> int:
    from engine.proxy.server import main as serve

    serve(arguments.state.absolute(), arguments.api, stay=arguments.stay)
    return 0


def watch(arguments: Any) -> int:
    return warden.main(arguments.state.absolute(), stay=arguments.stay)


if __name__ == "__main__":
    sys.exit(main())
