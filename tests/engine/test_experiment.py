import pytest

from engine import experiment, plan
from engine.errors import BadInput
from engine.experiment import Experiment
from engine.target import Target

WHOLE = """
name: the leader dies under load
target: orders
targets:
  - name: orders
    kind: memory
    nodes:
      - {name: n1, address: "127.0.0.1:1", driver: {memory: {}}}
      - {name: n2, address: "127.0.0.1:2", driver: {memory: {}}}
      - {name: n3, address: "127.0.0.1:3", driver: {memory: {}}}
steady_state:
  - probe: {http: {path: /health}}
    every: 100ms
    tolerance: {availability: ">= 99.9%", p99: "<= 200ms"}
workload: {set: {clients: 10, rate: 500/s}}
baseline: 10s
faults:
  - {at: 0s, for: 10s, kill: {nodes: leader, signal: KILL}}
  - {at: 15s, for: 10s, pause: {nodes: [n1]}}
recovery: {timeout: 60s, stable: 5s}
abort_when: [{probe: http, tolerance: {availability: "< 20%"}, over: 5s}]
expect: {recover_within: 5s, linearizable: true, lost_writes: 0, availability: ">= 95%"}
"""


def read(text: str) -> Experiment:
    return Experiment.from_dict(*experiment.load(text))


def problems(text: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        read(text)
    return [str(p) for p in caught.value.problems]


def test_a_document_is_read_and_written_back_the_same() -> None:
    one = read(WHOLE)
    assert one.faults[0].duration == 10
    assert one.steady_state[0].tolerance.bound("p99") == pytest.approx(0.2)
    assert Experiment.from_dict(one.to_dict()) == one


@pytest.mark.parametrize(
    ("old", "new", "line", "part"),
    [
        ("baseline: 10s", "baseline: 10", 16, "has no unit; write it like 100ms, 10s or 5m"),
        ("baseline: 10s", "baselin: 10s", 16, "unknown key; there are: name, target"),
        (
            "kill: {nodes: leader, signal: KILL}",
            "kil: {}",
            18,
            "there is no fault called 'kil'; there are: ",
        ),
        ("kill: {nodes: leader, signal: KILL}", "crash_loop: {}", 18, "did you mean 'crash-loop'?"),
        ("signal: KILL", "signal: NOPE", 18, "'NOPE' is not a signal that kills"),
        ("path: /health", "pth: /health", 12, "unknown parameter; there are: "),
        ('">= 99.9%"', '">= 99.9"', 14, "has no unit; write it like 99.9%"),
        ("for: 10s, kill", "kill", 18, "no fault without a duration"),
        ("probe: http", "probe: grpc", 21, "there is no probe called 'grpc'; there are: http"),
        ("lost_writes: 0", "lost_writes: none", 22, "'none' is not a whole number"),
        ("name: n2", "name: n1", 7, "two nodes are called 'n1'"),
        ('"127.0.0.1:2"', '"nowhere"', 9, "'nowhere' is not an address"),
    ],
)
def test_each_mistake_is_named_with_its_line_and_the_remedy(old: str, new: str, line: int, part: str) -> None:
    found = problems(WHOLE.replace(old, new, 1))
    assert any(p.startswith(f"line {line}, ") and part in p for p in found), found


def test_every_problem_is_named_at_once() -> None:
    found = problems("name: ''\nsteady_state: []\nfaults: [{}]\n")
    assert len(found) >= 4


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "a: 1\na: 2", "\x00", "x" * 1_100_000])
def test_what_is_no_document_is_said_so(text: str) -> None:
    assert problems(text)


def test_the_plan_says_what_will_happen_when() -> None:
    one = read(WHOLE)
    found = plan.plan(one, one.targets[0]).to_dict()
    assert [(p["name"], p["start"], p["end"]) for p in found["phases"]] == [
        ("baseline", 0, 10), ("fault", 10, 35), ("recovery", 35, 95),
    ]  # fmt: skip
    assert [s["line"] for s in found["steps"]] == ["kill the leader (SIGKILL)", "pause n1"]


def test_the_plan_names_what_is_impossible() -> None:
    one = read(
        WHOLE.replace("pause: {nodes: [n1]}", "latency: {nodes: [n1], delay: 1s}").replace("[n1]", "[n9]")
    )
    with pytest.raises(BadInput, match="There is no node called 'n9'"):
        plan.plan(one, one.targets[0])
    cap = Target(one.targets[0].name, one.targets[0].nodes, max_down=0.3)
    with pytest.raises(BadInput, match="the environment default allows 30%, that is 0"):
        plan.plan(read(WHOLE), cap)


def test_a_link_fault_needs_a_link() -> None:
    one = read(WHOLE.replace("pause: {nodes: [n1]}", "partition: {nodes: [n1]}"))
    with pytest.raises(BadInput, match="has no link that could be disturbed"):
        plan.plan(one, one.targets[0])
