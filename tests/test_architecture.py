"""Who may import whom, read from the imports themselves: see docs/architecture.md."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FAMILIES = {"drivers", "faults", "probes", "workloads", "clients", "specs", "checkers"}
MAY = {  # what a family may import of the other families
    "faults": {"drivers"},
    "checkers": {"specs"},
}
APPS = {
    "reports": {"runs", "histories"},
    "histories": {"live"},
    "schedules": {"runs", "experiments"},
    "runs": {"experiments", "targets", "live"},
    "monitors": {"targets", "live"},
    "experiments": {"targets"},
    "targets": set(),
    "accounts": set(),
    "weekly": {"runs", "targets"},
    "live": set(),
    "parameters": set(),
    "axis": set(),
}
SHARED = {"parameters", "axis"}  # single files that every app may use
FRAMEWORKS = {"django", "celery", "channels", "channels_redis", "ninja", "apps", "chaosboard"}


def sources(folder: str) -> list[Path]:
    return [p for p in sorted((ROOT / folder).rglob("*.py")) if "migrations" not in p.parts]


def imported(path: Path) -> set[str]:
    """Every module that the file imports, as dotted names; `from a import b` gives both a and a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", sources("engine"), ids=name)
def test_the_engine_knows_no_framework_and_no_app(path: Path) -> None:
    assert not {m for m in imported(path) if m.partition(".")[0] in FRAMEWORKS}


@pytest.mark.parametrize("path", sources("engine"), ids=name)
def test_plug_in_families_do_not_import_one_another(path: Path) -> None:
    family = path.relative_to(ROOT / "engine").parts[0]
    if family not in FAMILIES:
        return
    others = {m.split(".")[1] for m in imported(path) if m.startswith("engine.")} & FAMILIES
    assert others <= {family} | MAY.get(family, set())


@pytest.mark.parametrize("path", sources("engine"), ids=name)
def test_base_modules_name_no_concrete_plug_in(path: Path) -> None:
    if path.relative_to(ROOT / "engine").parts[0] in FAMILIES:
        return
    members = {
        f"engine.{family}.{p.stem}"
        for family in FAMILIES
        for p in (ROOT / "engine" / family).glob("*.py")
        if not p.stem.startswith("_")
    }
    assert not imported(path) & members


@pytest.mark.parametrize("path", sources("apps"), ids=name)
def test_apps_import_only_the_apps_they_may(path: Path) -> None:
    app = path.relative_to(ROOT / "apps").with_suffix("").parts[0]
    if app == "__init__":
        return
    found = imported(path)
    others = {m.split(".")[1] for m in found if m.startswith("apps.")} - {app} - SHARED
    assert others <= APPS[app]
    assert not {m for m in found if m.partition(".")[0] == "chaosboard"}
    if app == "live":
        assert not {m for m in found if m.partition(".")[0] == "engine"}


def test_no_signals_are_used() -> None:
    for path in [*sources("apps"), *sources("chaosboard")]:
        assert not {
            m for m in imported(path) if m.startswith("django.dispatch") or m.endswith("db.models.signals")
        }, name(path)


def test_every_app_is_known() -> None:
    folders = {p.name for p in (ROOT / "apps").iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders == set(APPS) - SHARED
