"""Golden histories, written by hand in pairs: what a correct system could have answered, and what none could."""

import json
from pathlib import Path

import pytest

from engine.check import own_checker
from engine.checkers import REGISTRY as CHECKERS
from engine.checkers import Checker
from engine.history import read
from engine.parameters import build
from engine.specs import REGISTRY as SPECS
from engine.verdict import Verdict

FOLDER = Path(__file__).parent / "histories"
FILES = sorted(FOLDER.glob("*/*.jsonl"))


def name(path: Path) -> str:
    return f"{path.parent.name} {path.stem}"


def asked_for(checker: str) -> Checker:
    """With the parameters that its folder names."""
    given = FOLDER / checker / "parameters.json"
    return build(CHECKERS.get(checker), json.loads(given.read_text()) if given.exists() else {})


@pytest.mark.parametrize("path", FILES, ids=name)
def test_it_is_judged_as_its_name_says(path: Path) -> None:
    name = path.parent.name
    found = (own_checker(name) if name in SPECS else asked_for(name)).check(read(path))
    assert found.verdict is Verdict.of(path.suffixes[-2].removeprefix("."))
    assert bool(found.findings) == (found.verdict is Verdict.VIOLATED)


def test_they_come_in_pairs() -> None:
    names = {path.relative_to(FOLDER).as_posix().removesuffix(".jsonl") for path in FILES}
    assert names
    others = {"held": "violated", "violated": "held"}
    for one in names:
        stem, _, verdict = one.rpartition(".")
        assert f"{stem}.{others[verdict]}" in names


@pytest.mark.parametrize("checker", CHECKERS.names())
def test_every_checker_has_a_pair_of_its_own_or_of_a_spec_that_it_judges(checker: str) -> None:
    folders = {checker, *CHECKERS.get(checker).judges}
    assert {path.suffixes[-2] for path in FILES if path.parent.name in folders} == {".held", ".violated"}
