"""EDN, as far as Jepsen writes it. Read by us: the library on PyPI takes some 1,700 events a second.

Keywords and symbols become texts, vectors, lists and sets become lists, a tagged value is the value.
"""

import re
from collections.abc import Iterator
from typing import Any

from engine.pairing import bad

TOKEN = re.compile(
    r"""[\s,]+|;[^\n]*                       # nothing
    |(?P<skip>\#_)
    |(?P<open>\#\{|[\[({])
    |(?P<close>[\])}])
    |"(?P<text>(?:[^"\\]|\\.)*)"
    |(?P<character>\\(?:newline|return|space|tab|formfeed|backspace|u[0-9A-Fa-f]{4}|.))
    |(?P<tag>\#[A-Za-z][^\s,\[\](){}"]*)
    |(?P<whole>[+-]?[0-9]+N?(?=[\s,\[\](){}";]|$))
    |(?P<word>[^\s,\[\](){}";\\]+)
    """,
    re.VERBOSE | re.DOTALL,
)
CLOSES = {"[": "]", "(": ")", "{": "}", "#{": "}"}
WORDS: dict[str, Any] = {"nil": None, "true": True, "false": False}
CHARACTERS = {
    "newline": "\n", "return": "\r", "space": " ", "tab": "\t", "formfeed": "\f", "backspace": "\b",
}  # fmt: skip
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
NUMBER = re.compile(r"[+-]?[0-9]")
Token = tuple[str, str, int]  # kind, text, where it begins


def read(text: str) -> Iterator[tuple[int, Any]]:
    """The top-level values with the line of each. Raises BadInput with the line."""
    tokens = _tokens(text)
    line, before = 1, 0
    for token in tokens:
        if token[0] == "skip":
            _value(text, next(tokens, None), tokens)
            continue
        line += text.count("\n", before, token[2])
        before = token[2]
        yield line, _value(text, token, tokens)


def _tokens(text: str) -> Iterator[Token]:
    position = 0
    for match in TOKEN.finditer(text):
        if match.start() != position:
            break
        position = match.end()
        kind = match.lastgroup
        if kind:
            yield kind, match.group(kind), match.start()
    if position != len(text):
        bad(_line(text, position), f"is not EDN at {text[position : position + 20]!r}")


def _value(text: str, token: Token | None, tokens: Iterator[Token]) -> Any:
    if token is None:
        bad(_line(text, len(text)), "ends in the middle of a value; a bracket is not closed")
    kind, found, at = token
    if kind == "word":
        return _word(text, found, at)
    if kind == "whole":
        return int(found.rstrip("N"))
    if kind == "open":
        return _collection(text, found, at, tokens)
    if kind == "text":
        return ESCAPE.sub(_escaped, found) if "\\" in found else found
    if kind == "tag":
        return _value(text, next(tokens, None), tokens)
    if kind == "character":
        name = found[1:]
        return CHARACTERS.get(name) or (chr(int(name[1:], 16)) if len(name) == 5 else name)
    if kind == "skip":
        _value(text, next(tokens, None), tokens)
        return _value(text, next(tokens, None), tokens)
    bad(_line(text, at), f"{found!r} closes what is not open")


def _collection(text: str, opened: str, at: int, tokens: Iterator[Token]) -> Any:
    items: list[Any] = []
    for token in tokens:
        kind, found, _ = token
        if kind == "close":
            if found != CLOSES[opened]:
                bad(_line(text, token[2]), f"{found!r} closes {opened!r}")
            return items if opened != "{" else _mapping(text, items, at)
        if kind == "skip":
            _value(text, next(tokens, None), tokens)
        else:
            items.append(_value(text, token, tokens))
    bad(_line(text, at), f"{opened!r} is never closed")


def _mapping(text: str, items: list[Any], at: int) -> dict[Any, Any]:
    if len(items) % 2:
        bad(_line(text, at), "a map has a key without a value")
    keys = [item if not isinstance(item, list | dict) else repr(item) for item in items[::2]]
    return dict(zip(keys, items[1::2], strict=True))


def _word(text: str, found: str, at: int) -> Any:
    if found == ":":
        bad(_line(text, at), "is not EDN: a colon without a name; is it JSON?")
    if found[0] == ":":
        return found[1:]
    if found in WORDS:
        return WORDS[found]
    if NUMBER.match(found):
        try:
            return float(found.rstrip("M"))
        except ValueError:
            bad(_line(text, at), f"{found!r} is not a number")
    return found


def _escaped(match: "re.Match[str]") -> str:
    name = match.group(1)
    return chr(int(name[1:], 16)) if len(name) == 5 else ESCAPES.get(name, name)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
