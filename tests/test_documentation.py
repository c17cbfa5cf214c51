"""What the documentation shows is read as it stands."""

import re
from pathlib import Path

import pytest

from engine import catalogue
from engine.experiment import Experiment, load

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "experiments.md").read_text(), re.DOTALL)
FILES = [*sorted((ROOT / "examples").glob("*.yaml")), *sorted((ROOT / "chaosboard" / "demo").glob("*.yaml"))]


@pytest.mark.parametrize("text", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_of_the_documentation_is_an_experiment(text: str) -> None:
    around = "" if "steady_state" in text else "name: around it\nsteady_state: [{probe: http}]\n"
    assert Experiment.from_dict(*load(around + text)).name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_that_is_shipped_is_an_experiment(path: Path) -> None:
    assert Experiment.from_dict(*load(path.read_text())).faults


def test_the_faults_are_documented_as_they_are() -> None:
    """Made by `python -m engine list --markdown > docs/faults.md`."""
    assert (ROOT / "docs" / "faults.md").read_text() == catalogue.markdown()
