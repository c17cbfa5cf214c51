from dataclasses import dataclass

import pytest
from django import forms

from apps import parameters
from engine.errors import BadInput
from engine.faults import REGISTRY as FAULTS
from engine.parameters import build, param
from engine.probes import REGISTRY as PROBES
from engine.workloads import REGISTRY as WORKLOADS


@dataclass(frozen=True)
class Everything:
    """One of each."""

    path: str = param(help="what to ask for")
    wait: float = param(0.2, unit="duration", least=0.1)
    share: float = param(0.5, unit="share")
    times: int = param(3, least=1, most=9)
    loud: bool = param(False)
    mode: str = param("soft", choices=("soft", "hard"))
    words: list[str] = param(["a"])
    status: int | None = param(None)


def a_form(data: dict | None = None, initial: dict | None = None) -> forms.Form:
    form = forms.Form(data)
    form.fields.update(parameters.form_fields(Everything, "x", initial))
    return form


def test_every_parameter_is_a_field_with_its_help_and_default() -> None:
    fields = a_form().fields
    assert list(fields) == [
        f"x-{n}" for n in ["path", "wait", "share", "times", "loud", "mode", "words", "status"]
    ]
    assert fields["x-path"].required
    assert fields["x-path"].help_text == "what to ask for"
    assert [fields[f"x-{n}"].initial for n in ("wait", "share", "loud", "words", "status")] == [
        "200ms", "50%", "no", "a", "",
    ]  # fmt: skip
    assert [value for value, _ in fields["x-mode"].choices] == ["soft", "hard"]


def test_initial_values_are_shown_as_people_write_them() -> None:
    fields = a_form(initial={"wait": "3s", "loud": True, "words": ["n1", "two words"]}).fields
    assert (fields["x-wait"].initial, fields["x-loud"].initial) == ("3s", "yes")
    assert fields["x-words"].initial == "n1 'two words'"


def test_what_was_written_is_read_as_a_document_holds_it() -> None:
    data = {
        "x-path": "/",
        "x-wait": "300ms",
        "x-loud": "yes",
        "x-words": "n1 n2",
        "x-times": "4",
        "x-status": "",
    }
    assert parameters.read(Everything, "x", data) == {
        "path": "/", "wait": "300ms", "loud": True, "words": ["n1", "n2"], "times": 4,
    }  # fmt: skip


def test_what_is_wrong_is_said_at_its_field() -> None:
    with pytest.raises(BadInput) as caught:
        parameters.read(Everything, "x", {"x-wait": "3", "x-times": "many"})
    found = {p.where: p.message for p in caught.value.problems}
    assert set(found) == {"x-path", "x-wait", "x-times"}
    assert "100ms" in found["x-wait"]
    assert "whole number" in found["x-times"]


def test_a_form_complains_in_the_same_words() -> None:
    form = a_form({"x-path": "/", "x-wait": "1ms", "x-times": "x", "x-mode": "soft", "x-loud": "no"})
    assert not form.is_valid()
    assert form.errors["x-wait"] == ["1ms is too small; at least 100ms"]
    assert form.errors["x-times"] == ["'x' is not a whole number"]


@pytest.mark.parametrize("cls", [cls for r in (FAULTS, PROBES, WORKLOADS) for _, cls in r])
def test_every_plug_in_can_be_drawn_and_read_back_unchanged(cls: type) -> None:
    form = forms.Form()
    form.fields.update(parameters.form_fields(cls, "p"))
    shown = {name: form[name].value() for name in form.fields}
    if all(shown[name] for name, field in form.fields.items() if field.required):
        assert build(cls, parameters.read(cls, "p", shown)) == build(cls, {})
    assert form.as_p()
    assert parameters.schema(cls)["properties"].keys() == {name.removeprefix("p-") for name in form.fields}
