from dataclasses import dataclass

from engine.checkers import Checker
from engine.history import History, Op
from engine.text import count
from engine.verdict import Judgement, Verdict

MOST = 1000  # findings that are told; all are counted


@dataclass(frozen=True)
class Set(Checker):
    """Every element whose add was acknowledged is in the last read; nothing is that nobody added.

    Jepsen's set test: an add that failed must not appear, one of unknown outcome may.
    """

    def check(self, history: History) -> Judgement:
        reads = [op for op in history if op.f == "read" and op.type == "ok"]
        acknowledged = {op.value: op for op in history if op.f == "add" and op.type == "ok"}
        expected = "every acknowledged add is there at the end"
        if not reads:
            return Judgement("set", Verdict.UNKNOWN, "nothing was read back at the end", expected, "unknown")
        if not acknowledged:
            return Judgement("set", Verdict.UNKNOWN, "no write was acknowledged", expected, "unknown")
        final = reads[-1]
        there, tried = set(final.value), {op.value for op in history if op.f == "add"}
        failed = {op.value for op in history if op.f == "add" and op.type == "fail"}
        lost = sorted((op for x, op in acknowledged.items() if x not in there), key=lambda op: op.time)
        findings = [_lost(op) for op in lost]
        findings += [
            {"kind": "unexpected", "element": x, "index": final.index} for x in sorted(there - tried)
        ]
        findings += [
            {"kind": "failed but there", "element": x, "index": final.index} for x in sorted(there & failed)
        ]
        told = f"{count(len(acknowledged), 'acknowledged write')}, {len(lost):,} lost"
        verdict = Verdict.VIOLATED if findings else Verdict.HELD
        return Judgement("set", verdict, told, expected, f"{len(lost):,} lost", findings[:MOST])


def _lost(op: Op) -> dict[str, object]:
    return {
        "kind": "lost", "element": op.value, "acknowledged_at": op.time, "process": op.process, "index": op.index,
    }  # fmt: skip
