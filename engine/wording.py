"""Operations in words: what a client asked for, what it was told, and when."""

import json
from typing import Any

MOST_ELEMENTS = 6
MOST_LETTERS = 60
LOOKS = ("read", "get", "dequeue", "drain")
Shown = dict[str, Any]  # an operation as `engine.checkers.shown` gives it
ASKED = {
    "write": "write {v}", "put": "write {v}", "add": "add {v}", "enqueue": "put {v} in", "append": "append {v}",
    "read": "read", "get": "read", "dequeue": "take one out", "drain": "take all out",
}  # fmt: skip
DONE = {
    "write": "{v} was written", "put": "{v} was written", "add": "{v} was added", "enqueue": "{v} was put in",
    "append": "{v} was appended",
}  # fmt: skip


def client(op: Shown) -> str:
    return f"client {op['process']}"


def value(found: Any) -> str:
    """Short enough for a sentence."""
    if found is None:
        return "nothing"
    if isinstance(found, list | tuple) and len(found) > MOST_ELEMENTS:
        first = ", ".join(_json(one) for one in found[: MOST_ELEMENTS // 2])
        return f"[{first}, … {_json(found[-1])}: {len(found):,} in all]"
    if isinstance(found, dict):
        parts = [f"{name}: {_json(one)}" for name, one in found.items()]
        more = f", … {len(parts):,} in all" if len(parts) > MOST_ELEMENTS else ""
        return f"{', '.join(parts[:MOST_ELEMENTS])}{more}"
    return _json(found)


def _json(found: Any) -> str:
    text = json.dumps(found, ensure_ascii=False, default=str)
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def steps(found: Any) -> list[str]:
    """The parts of a transaction, one text each."""
    return [
        f"read {_name(key)} → {value(what)}" if f == "r" else f"{_verb(f)} {_name(key)} {value(what)}"
        for f, key, what in found
    ]


def _verb(f: str) -> str:
    return {"w": "write", "append": "append to"}.get(f, f)


def _name(key: Any) -> str:
    return key if isinstance(key, str) else _json(key)


def is_transaction(op: Shown) -> bool:
    asked = op["value"]
    return (
        op["f"] == "txn"
        and isinstance(asked, list | tuple)
        and all(isinstance(step, list | tuple) and len(step) == 3 for step in asked)
    )


def asked(op: Shown) -> str:
    """What was asked for: `write 9`, `read`, `change 1 to 2`."""
    f, what = op["f"], op["value"]
    if is_transaction(op):
        return "; ".join(steps(op["result"] if op["type"] == "ok" and op["result"] else what))
    if f == "cas" and isinstance(what, list | tuple) and len(what) == 2:
        return f"change {value(what[0])} to {value(what[1])}"
    if f == "transfer" and isinstance(what, dict):
        return f"move {value(what.get('amount'))} from {what.get('from')} to {what.get('to')}"
    form = ASKED.get(f, f if what is None else f"{f} {{v}}")
    return form.format(v=value(what))


def label(op: Shown) -> str:
    """On a bar: what was asked and what came back."""
    text = asked(op)
    if op["type"] == "info":
        return f"{text}, no answer"
    if op["type"] == "fail":
        return f"{text}, refused"
    if is_transaction(op):
        return text
    return f"{text} → {value(op['result'])}" if looks(op) else f"{text} → ok"


def looks(op: Shown) -> bool:
    return op["f"] in LOOKS


def told(op: Shown) -> str:
    """A clause whose subject is the client: `was told that 9 was written`."""
    if op["type"] == "info":
        return f"asked to {asked(op)}, and never got an answer: it may have happened, or not"
    if op["type"] == "fail":
        return f"asked to {asked(op)}, and was told that it was not done"
    if looks(op):
        return _looked(op)
    if op["f"] == "cas":
        return f"was told that {value(op['value'][0])} was changed to {value(op['value'][1])}"
    if op["f"] in DONE:
        return f"was told that {DONE[op['f']].format(v=value(op['value']))}"
    return f"was told that this was done: {asked(op)}"


def _looked(op: Shown) -> str:
    if op["f"] == "dequeue":
        what = op["result"]
        return "was told that the queue was empty" if what is None else f"took out {value(what)}"
    return f"{'took out' if op['f'] == 'drain' else 'read'} {value(op['result'])}"
