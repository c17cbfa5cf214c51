"""A plug-in's dataclass fields are its parameters: read, checked, written back and described here.

@dataclass(frozen=True)
class Http(Probe):
    path: str = param("/", help="what to ask for")
    timeout: float = param(1.0, unit="duration", help="…")
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, TypeVar

from engine import units
from engine.errors import BadInput, Problem, there_are

T = TypeVar("T")


def param(
    default: Any = MISSING,
    *,
    help: str = "",
    unit: str | None = None,
    choices: tuple[str, ...] = (),
    least: float | None = None,
    most: float | None = None,
) -> Any:
    """A dataclass field that is a parameter. Without `default` it must be given.

    `unit` is one of duration (kept in seconds), rate (a second), size (bytes), share (0 to 1).
    """
    metadata = {"help": help, "unit": unit, "choices": choices, "least": least, "most": most}
    if isinstance(default, list | dict):
        copy = default.copy
        return field(default_factory=copy, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a plug-in; `kind` is text, integer, number, yes-no, list, mapping or a unit's name."""

    name: str
    kind: str
    required: bool
    default: Any
    help: str
    choices: tuple[str, ...]
    optional: bool
    least: float | None = None
    most: float | None = None

    def read(self, value: object) -> Any:
        """`value` as this parameter; raises ValueError saying what would be right."""
        if value is None or (value == "" and self.optional):
            if self.optional:
                return None
            raise ValueError("needs a value")
        result = self._convert(value)
        if self.choices and result not in self.choices:
            raise ValueError(f"{value!r} is not one of {', '.join(self.choices)}")
        if isinstance(result, int | float) and not isinstance(result, bool):
            if self.least is not None and result < self.least:
                raise ValueError(f"{self.show(result)} is too small; at least {self.show(self.least)}")
            if self.most is not None and result > self.most:
                raise ValueError(f"{self.show(result)} is too large; at most {self.show(self.most)}")
        return result

    def _convert(self, value: object) -> Any:
        if self.kind in units.TABLES:
            return units.parse(value, self.kind)
        if self.kind == "yes-no":
            return self._yes_no(value)
        if self.kind == "integer":
            return self._integer(value)
        if self.kind == "number":
            return self._number(value)
        if self.kind == "list":
            return self._list(value)
        if self.kind == "mapping":
            return self._mapping(value)
        if isinstance(value, list | dict):
            raise ValueError(f"must be a text, not {value!r}")
        return str(value)

    def _yes_no(self, value: object) -> bool:
        texts = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False, "": False}
        if isinstance(value, bool):
            return value
        if str(value).lower() not in texts:
            raise ValueError(f"{value!r} is neither yes nor no")
        return texts[str(value).lower()]

    def _integer(self, value: object) -> int:
        try:
            if isinstance(value, bool | float) and not float(value).is_integer():
                raise ValueError
            return int(str(value)) if not isinstance(value, float) else int(value)
        except ValueError:
            raise ValueError(f"{value!r} is not a whole number") from None

    def _number(self, value: object) -> float:
        try:
            return float(str(value))
        except ValueError:
            raise ValueError(f"{value!r} is not a number") from None

    def _list(self, value: object) -> list[str]:
        if isinstance(value, str):
            import shlex

            try:
                return shlex.split(value)
            except ValueError as error:
                raise ValueError(f"{value!r} cannot be split into words: {error}") from None
        if not isinstance(value, list | tuple):
            raise ValueError(f"must be a list, not {value!r}")
        return [str(item) for item in value]

    def _mapping(self, value: object) -> dict[str, Any]:
        if isinstance(value, str):
            import yaml  # a form sends a mapping as one line of YAML

            try:
                value = yaml.safe_load(value)
            except yaml.YAMLError:
                raise ValueError(f"{value!r} is not a mapping; write it like {{key: value}}") from None
        if not isinstance(value, Mapping):
            raise ValueError(f"must be a mapping, not {value!r}; write it like {{key: value}}")
        return {str(key): item for key, item in value.items()}

    def show(self, value: Any) -> Any:
        """`value` as a person or a file writes it."""
        if value is not None and self.kind in units.TABLES:
            return units.show(value, self.kind)
        return value


_KNOWN: dict[type, tuple[Parameter, ...]] = {}


def parameters(cls: type) -> tuple[Parameter, ...]:
    """The parameters of a dataclass, in the order of its fields."""
    if cls not in _KNOWN:
        hints = typing.get_type_hints(cls)
        _KNOWN[cls] = tuple(_parameter(f, hints[f.name]) for f in dataclasses.fields(cls) if f.init)
    return _KNOWN[cls]


def _parameter(f: "dataclasses.Field[Any]", hint: Any) -> Parameter:
    arguments = typing.get_args(hint)
    optional = isinstance(hint, types.UnionType) and type(None) in arguments
    if optional:
        hint = next(a for a in arguments if a is not type(None))
    meta = f.metadata
    kinds: dict[Any, str] = {str: "text", int: "integer", float: "number", bool: "yes-no"}
    kind = meta.get("unit") or kinds.get(hint) or ("mapping" if typing.get_origin(hint) is dict else "list")
    default = f.default
    if f.default_factory is not MISSING:
        default = f.default_factory()
    required = default is MISSING
    return Parameter(
        name=f.name,
        kind=kind,
        required=required,
        default=None if required else default,
        help=meta.get("help", ""),
        choices=tuple(meta.get("choices", ())),
        optional=optional,
        least=meta.get("least"),
        most=meta.get("most"),
    )


def build(cls: type[T], values: object, where: str = "") -> T:
    """An instance of `cls` from a mapping of texts or values; raises BadInput naming every problem."""
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise BadInput([Problem(where, f"must be a mapping of parameters, not {values!r}")])
    known = {p.name: p for p in parameters(cls)}
    problems, read = [], {}
    for key in values:
        if key not in known:
            problems.append(Problem(_join(where, key), f"unknown parameter; {there_are(key, known)}"))
    for name, parameter in known.items():
        if name not in values:
            if parameter.required:
                problems.append(
                    Problem(_join(where, name), f"is missing: {parameter.help or 'needs a value'}")
                )
            continue
        try:
            read[name] = parameter.read(values[name])
        except ValueError as error:
            problems.append(Problem(_join(where, name), str(error)))
    if problems:
        raise BadInput(problems)
    try:
        return cls(**read)
    except ValueError as error:
        raise BadInput([Problem(where, str(error))]) from None


def dump(instance: Any, *, defaults: bool = False) -> dict[str, Any]:
    """What `build` reads back; parameters at their default are left out unless `defaults`."""
    result = {}
    for p in parameters(type(instance)):
        value = getattr(instance, p.name)
        if defaults or p.required or value != p.default:
            result[p.name] = p.show(value)
    return result


def schema(cls: type) -> dict[str, Any]:
    """A JSON schema of the parameters."""
    types_of = {"integer": "integer", "number": "number", "yes-no": "boolean", "list": "array",
                "mapping": "object"}  # fmt: skip
    properties: dict[str, dict[str, Any]] = {}
    for p in parameters(cls):
        entry: dict[str, Any] = {"type": types_of.get(p.kind, "string"), "description": p.help}
        if p.kind == "list":
            entry["items"] = {"type": "string"}
        if p.kind in units.TABLES:
            entry["format"] = p.kind
        if p.choices:
            entry["enum"] = list(p.choices)
        if not p.required:
            entry["default"] = p.show(p.default)
        properties[p.name] = entry
    return {
        "type": "object",
        "description": (cls.__doc__ or "").strip(),
        "properties": properties,
        "required": [p.name for p in parameters(cls) if p.required],
        "additionalProperties": False,
    }


def _join(where: str, name: object) -> str:
    return f"{where}.{name}" if where else str(name)
