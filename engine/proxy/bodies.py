"""The bodies that the HTTP API takes, read as strictly as Toxiproxy does, and those that it gives."""

import json
import time
from collections.abc import Mapping
from typing import Any

from engine.proxy.link import Link
from engine.proxy.refusals import Refusal, bad_body, bad_stream, bad_type
from engine.proxy.toxics import Attributes, Kind, Toxic, kind_of

_WORDS = {str: "string", int: "int64", float: "number", bool: "bool", dict: "object", list: "array"}
_LARGEST = 1 << 63


def parse(body: bytes) -> Any:
    def no(word: str) -> Any:
        raise ValueError(f"invalid character {word[0]!r}")

    if not body.strip():
        raise bad_body("EOF")
    try:
        return json.loads(body, parse_constant=no)
    except (ValueError, RecursionError) as error:
        raise bad_body(str(error)) from None


def mapping(found: Any) -> dict[str, Any]:
    """With its names in lower case; null counts as nothing said."""
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise bad_body(f"cannot read {_kind(found)} into an object")
    return {name.lower(): value for name, value in found.items()}


def field(found: Mapping[str, Any], name: str, default: Any) -> Any:
    """The value of the default's type; the default where nothing is said."""
    value: Any = found.get(name)
    if value is None:
        return default
    wanted = type(default)
    if wanted is float and type(value) is int:
        value = float(value) if abs(value) < _LARGEST else None
    if type(value) is not wanted or (wanted is int and not -_LARGEST <= value < _LARGEST):
        raise bad_body(f"cannot read {_kind(found[name])} into field {name} of type {_WORDS[wanted]}")
    return value


def _kind(value: Any) -> str:
    return "number" if type(value) in (int, float) else _WORDS.get(type(value), "null")


def new_toxic(found: dict[str, Any]) -> Toxic:
    type, stream = field(found, "type", ""), field(found, "stream", "downstream").lower()
    toxicity, name = field(found, "toxicity", 1.0), field(found, "name", "")
    if stream not in ("upstream", "downstream"):
        raise bad_stream()
    kind = kind_of(type)
    if kind is None:
        raise bad_type()
    if stream not in kind.streams:
        raise bad_body(f"{type} must be {kind.streams[0]}")
    attributes = _attributes(kind, found, {**kind.attributes, **kind.beyond})
    return Toxic(
        name or f"{type}_{stream}", type, stream, toxicity, attributes, kind, until=_until(found, None)
    )


def changed_toxic(old: Toxic, found: dict[str, Any]) -> Toxic:
    attributes = _attributes(old.kind, found, old.attributes)
    toxicity, until = field(found, "toxicity", old.toxicity), _until(found, old.until)
    old.before = None  # one step back is enough
    return Toxic(old.name, old.type, old.stream, toxicity, attributes, old.kind, until=until, before=old)


def _attributes(kind: Kind, found: dict[str, Any], defaults: Attributes) -> Attributes:
    given = mapping(found.get("attributes"))
    read = {name: field(given, name, default) for name, default in defaults.items()}
    if why := kind.wrong(read):
        raise bad_body(why)
    return read


def _until(found: dict[str, Any], default: float | None) -> float | None:
    """Our own: `lease` in milliseconds from now, or `until` in epoch seconds."""
    if found.get("lease") is not None:
        return time.time() + float(field(found, "lease", 0.0)) / 1000
    if found.get("until") is not None:
        return float(field(found, "until", 0.0))
    return default


def of_toxic(toxic: Toxic) -> dict[str, Any]:
    beyond = toxic.kind.beyond
    attributes = {
        name: value for name, value in toxic.attributes.items() if name not in beyond or value != beyond[name]
    }
    shown = {
        "attributes": attributes, "name": toxic.name, "type": toxic.type, "stream": toxic.stream,
        "toxicity": int(toxic.toxicity) if toxic.toxicity == int(toxic.toxicity) else toxic.toxicity,
    }  # fmt: skip
    return shown if toxic.until is None else {**shown, "until": toxic.until}


def of_proxy(link: Link) -> dict[str, Any]:
    shown = {
        "name": link.name, "listen": link.listen, "upstream": link.upstream, "enabled": link.enabled,
        "toxics": [of_toxic(toxic) for toxic in link.toxics()],
    }  # fmt: skip
    return shown if link.protocol == "tcp" else {**shown, "protocol": link.protocol}


def of_populate(links: list[Link], refusal: Refusal | None) -> dict[str, Any]:
    shown = {"proxies": [of_proxy(link) for link in links]}
    return shown if refusal is None else {**refusal.body(), **shown}
