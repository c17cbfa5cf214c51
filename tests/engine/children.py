"""The prober and the load as the runner starts them: children that are led by their standard input."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 40.0


class Child:
    def __init__(self, module: str, spec: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=ROOT, text=True, env=dict(os.environ),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.say(json.dumps(spec))

    def say(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def stop(self) -> None:
        self.say("stop")
        assert self.hear() == "done"
        assert self.process.wait(PATIENCE) == 0

    def abandon(self) -> int:
        """As if its parent had died; gives its exit status."""
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]  # all three are pipes

    def errors(self) -> str:
        assert self.process.stderr
        return self.process.stderr.read()


@contextmanager
def child(module: str, spec: dict[str, Any]) -> Iterator[Child]:
    """Ready, and not left behind."""
    one = Child(module, spec)
    try:
        said = one.hear()
        assert said == "ready", f"{said!r} {one.errors()}"
        yield one
    finally:
        one.end()


def target(kind: str, *addresses: str, **node: Any) -> dict[str, Any]:
    nodes = [{"name": f"n{i}", "address": address, **node} for i, address in enumerate(addresses, 1)]
    return {"name": "it", "kind": kind, "nodes": nodes}
