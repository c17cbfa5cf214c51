from apps.experiments.services import save_experiment
from apps.experiments.timeline import draw
from apps.targets.models import Target
from engine.plan import plan
from tests.apps.experiments.conftest import kill_document


def drawing(orders: Target, **more: object):
    definition = save_experiment(kill_document(**more), by="ada").current.to_engine()
    return draw(definition, plan(definition, orders.to_engine()).to_dict())


def test_everything_stands_on_one_axis(orders: Target) -> None:
    drawn = drawing(orders, baseline="10s", recovery={"timeout": "35s", "stable": "5s"})
    assert [(p.label, p.x, p.width) for p in drawn.phases] == [
        ("baseline", "0.000%", "20.000%"),
        ("fault", "20.000%", "10.000%"),
        ("recovery", "30.000%", "70.000%"),
    ]
    kill = next(lane for lane in drawn.lanes if lane.name == "kill")
    assert (kill.bars[0].x, kill.bars[0].width, kill.bars[0].kind) == ("20.000%", "10.000%", "fault")
    assert [t.label for t in drawn.ticks] == ["0 s", "10 s", "20 s", "30 s", "40 s", "50 s"]


def test_the_plan_is_told_in_order_with_what_stops_it_and_what_is_expected(orders: Target) -> None:
    drawn = drawing(
        orders,
        abort_when=[{"probe": "memory", "tolerance": {"availability": "< 20%"}, "over": "3s"}],
        expect={"recover_within": "5s", "lost_writes": 0},
    )
    words = dict(drawn.words)
    assert (
        words["10 s"] == "Kill one of n0, n1, n2 (SIGKILL): at most 1 of 3 nodes at once; default allows 3."
    )
    assert words["at any time"] == "Stops and heals at once if memory reads availability < 20 % for 3 s."
    assert words["then"] == "Holds if it recovers within 5 s; no acknowledged write is lost."


def test_links_are_told_one_by_one_with_what_is_still_open(orders: Target) -> None:
    definition = save_experiment(kill_document(), by="ada").current.to_engine()
    planned = plan(definition, orders.to_engine()).to_dict()
    cuts = [
        {"text": "n0 → n1", "by": "kernel rule at n1"},
        {"text": "clients ↔ n2", "by": "link proxy of n2"},
    ]
    planned["steps"][0] |= {"cuts": cuts, "open": "drawn for n0 as the leader"}
    words = [text for _, text in draw(definition, planned).words]
    told = (
        " It cuts n0 → n1 (kernel rule at n1); clients ↔ n2 (link proxy of n2): drawn for n0 as the leader."
    )
    assert any(text.endswith(told) for text in words)


def test_an_experiment_that_expects_nothing_says_so(orders: Target) -> None:
    assert "unknown" in dict(drawing(orders).words)["then"]


def test_what_hurts_again_and_again_is_one_lane_and_told_once(orders: Target) -> None:
    fault = {"at": "1s", "for": "10s", "pulse": "1s on, 2s off", "kill": {"nodes": ["n0"]}}
    drawn = drawing(orders, faults=[fault])
    (lane,) = [lane for lane in drawn.lanes if lane.name == "kill"]
    assert len(lane.bars) == 4
    assert [bar.label for bar in lane.bars if bar.label] == ["kill n0 (SIGKILL), 4 times"]
    told = [text for _, text in drawn.words if "kill n0" in text.lower()]
    assert told[0].startswith("Kill n0 (SIGKILL), 4 times until 21 s: at most 1 of 3 nodes")
    assert len(told) == 2


def test_random_moments_are_told_without_being_known(orders: Target) -> None:
    fault = {"at": "0s", "for": "20s", "moments": "3 of 2s", "kill": {"nodes": ["n0"]}}
    (lane,) = [lane for lane in drawing(orders, faults=[fault]).lanes if lane.name == "kill"]
    assert [bar.label for bar in lane.bars] == ["kill n0 (SIGKILL), at random moments: 3 of 2s"]
