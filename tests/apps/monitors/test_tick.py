import pytest

from apps.monitors import services
from apps.targets.models import Node
from engine.target import Target as EngineTarget
from tests.apps import factories

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_tick_stores_what_it_saw_of_every_node():
    factories.target()
    assert services.tick() == 1
    assert services.tick() == 1
    assert list(Node.objects.values_list("up", "recent")) == [(True, [True, True])] * 3


def test_no_more_than_60_checks_are_remembered():
    factories.target()
    Node.objects.update(recent=[False] * 60)
    services.tick()
    assert Node.objects.first().recent == [False] * 59 + [True]


def test_a_second_tick_at_the_same_time_does_nothing():
    factories.target()
    with services._alone():
        assert services.tick() == 0
    assert not Node.objects.exclude(up=None).exists()


def test_a_service_that_is_slow_or_broken_does_not_keep_others_from_being_seen(monkeypatch):
    factories.target("good")
    factories.target("bad")
    look = services._look

    def fails(target: EngineTarget):
        if target.name == "bad":
            raise RuntimeError("a defect of a probe")
        return look(target)

    monkeypatch.setattr(services, "_look", fails)
    assert services.tick() == 1
    assert set(Node.objects.filter(target__name="good").values_list("up", flat=True)) == {True}
