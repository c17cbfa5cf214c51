"""A YAML document with the line of each of its parts, so that errors can say where."""

from typing import Any

import yaml

from engine.errors import BadInput, Problem

Lines = dict[str, int]
MOST = 1_000_000  # characters; an experiment is a page, not a book


def load(text: str) -> tuple[Any, Lines]:
    """The document, and the line of each path in it (`faults.0.kill` -> 7, counted from 1)."""
    if len(text) > MOST:
        raise BadInput([Problem("", f"the document has {len(text):,} characters; at most {MOST:,} are read")])
    lines: Lines = {}
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            raise BadInput([Problem("", "the document is empty", 1)])
        _walk(node, "", lines)
        return loader.construct_document(node), lines  # type: ignore[no-untyped-call]  # untyped in PyYAML
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else None
        raise BadInput([Problem("", f"this is not YAML: {error.problem}", line)]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput([Problem("", f"this is not YAML: {error}")]) from None


def _walk(node: yaml.Node, path: str, lines: Lines) -> None:
    if path not in lines:
        lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            place = f"{path}.{key.value}" if path else str(key.value)
            lines[place] = key.start_mark.line + 1
            if place in seen:
                raise BadInput(
                    [Problem(place, "is written twice; the second would win silently", lines[place])]
                )
            seen.add(place)
            _walk(value, place, lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            place = f"{path}.{i}" if path else str(i)
            lines[place] = item.start_mark.line + 1
            _walk(item, place, lines)


def dump(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)


def line_of(lines: Lines, where: str) -> int | None:
    """The line of `where`, or of the nearest part around it."""
    while where and where not in lines:
        where = where.rpartition(".")[0]
    return lines.get(where) if where in lines and lines else None
