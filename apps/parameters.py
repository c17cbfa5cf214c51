"""Django form fields and a JSON schema from a plug-in's dataclass: no list to keep, no form to write.

A parameter called `signal` under the prefix `step-0-kill` is the form field `step-0-kill-signal`.
Everything travels as text and is judged in one place, by `engine.parameters`.
"""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from django import forms

from engine import units
from engine.errors import BadInput, Problem
from engine.parameters import Parameter, build, dump, parameters, schema

__all__ = ["ParameterField", "SelectField", "collect", "field_name", "form_fields", "read", "schema", "texts"]

YES_NO = (("yes", "yes"), ("no", "no"))
MOST = 2_000  # characters in one parameter


class _Reads:
    """A form field whose value is judged by its parameter, and kept as the text that was written."""

    parameter: Parameter

    def clean(self, value: Any) -> Any:
        cleaned = super().clean(value)  # type: ignore[misc]  # a mix-in: the field is the next class
        if cleaned in (None, ""):
            return cleaned
        try:
            self.parameter.read(cleaned)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None
        return cleaned


class ParameterField(_Reads, forms.CharField):
    def __init__(self, parameter: Parameter, **kwargs: Any) -> None:
        self.parameter = parameter
        super().__init__(max_length=MOST, **kwargs)


class SelectField(_Reads, forms.ChoiceField):
    def __init__(self, parameter: Parameter, **kwargs: Any) -> None:
        self.parameter = parameter
        super().__init__(**kwargs)


def field_name(prefix: str, name: str) -> str:
    return f"{prefix}-{name}" if prefix else name


def form_fields(cls: type, prefix: str, initial: Mapping[str, Any] | None = None) -> dict[str, forms.Field]:
    """One form field for each parameter of `cls`; `initial` maps parameter names to values."""
    given = initial or {}
    return {field_name(prefix, p.name): _field(p, given.get(p.name)) for p in parameters(cls)}


def _field(p: Parameter, given: Any) -> forms.Field:
    value = p.show(p.default) if given is None else given
    common: dict[str, Any] = {
        "label": p.name.replace("_", " "),
        "help_text": p.help,
        "required": p.required,
        "initial": text(p, value),
        "error_messages": {"required": "needs a value"},
    }
    if p.kind == "yes-no":
        return SelectField(p, choices=YES_NO, **common)
    if p.choices:
        blank = [("", "–")] if p.optional else []
        return SelectField(p, choices=[*blank, *((c, c) for c in p.choices)], **common)
    return ParameterField(p, widget=forms.TextInput(attrs=_attributes(p)), **common)


def _attributes(p: Parameter) -> dict[str, Any]:
    result: dict[str, Any] = {"autocomplete": "off"}
    if p.kind in units.EXAMPLES:
        result["placeholder"] = units.EXAMPLES[p.kind]
    if p.kind in ("integer", "number"):
        result["inputmode"] = "decimal"
    return result


def text(p: Parameter, value: Any) -> str:
    """`value` as it stands in a form."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return shlex.join(map(str, value))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)  # which is YAML too
    return str(value)


def texts(cls: type, prefix: str, values: Mapping[str, Any] | None) -> dict[str, str]:
    """What `form_fields` would show for `values`: form field name -> text."""
    given = values or {}
    return {field_name(prefix, p.name): text(p, given[p.name]) for p in parameters(cls) if p.name in given}


def collect(cls: type, prefix: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that were filled in, as they stand: not judged yet. An empty one is left out."""
    result: dict[str, Any] = {}
    for p in parameters(cls):
        value = data.get(field_name(prefix, p.name))
        if value not in (None, ""):
            result[p.name] = _plain(p, value)
    return result


def _plain(p: Parameter, value: Any) -> Any:
    """`value` as a document writes it, where it can be read; else the text, to be complained about."""
    if p.kind in units.TABLES or p.kind == "text":
        return str(value).strip()
    try:
        return p.read(value)
    except ValueError:
        return value


def read(cls: type, prefix: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in the form that a document holds; raises BadInput at the form fields' names."""
    try:
        return dump(build(cls, collect(cls, prefix, data)))
    except BadInput as error:
        problems = [
            Problem(field_name(prefix, p.where) if p.where else prefix, p.message) for p in error.problems
        ]
        raise BadInput(problems) from None
