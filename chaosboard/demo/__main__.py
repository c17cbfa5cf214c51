"""python -m chaosboard.demo SYSTEMS.json URL BEGAN: registers the demo systems and hurts each."""

import json
import os
import sys
from pathlib import Path

import django


def main(file: str, url: str, began: str) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chaosboard.settings")
    django.setup()
    from chaosboard.demo.board import run_all

    return 0 if run_all(json.loads(Path(file).read_text()), url, float(began), print) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
