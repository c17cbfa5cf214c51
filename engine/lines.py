"""A growing file of JSON lines, as the children of a run write it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Lines:
    """Reads a growing file of JSON lines, each once and never half."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0

    def read(self) -> Iterator[Any]:
        if not self._path.exists():
            return
        with open(self._path, "rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            yield json.loads(line)
