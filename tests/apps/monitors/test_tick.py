from datetime import timedelta

import pytest
from django.utils import timezone

from apps.monitors import services
from apps.monitors.models import Watch
from apps.targets.models import Node
from engine.target import Target as EngineTarget
from tests.apps import factories

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now()
SECOND = timedelta(seconds=1)


def test_a_tick_stores_what_it_saw_of_every_node():
    factories.target()
    assert services.tick(NOW) == 1
    assert services.tick(NOW + 5 * SECOND) == 1
    assert list(Node.objects.values_list("up", "recent")) == [(True, [True, True])] * 3
    assert Watch.objects.get().status == "up"


def test_each_service_is_looked_at_in_its_own_pace():
    factories.target("often")
    rare = factories.target("rare")
    rare.look_every = 20
    rare.save()
    seen = [services.tick(NOW + i * SECOND) for i in range(21)]
    assert [i for i, n in enumerate(seen) if n] == [0, 5, 10, 15, 20]
    assert (seen[0], seen[5], seen[20]) == (2, 1, 2)


def test_a_clock_that_was_set_back_does_not_stop_the_looks():
    factories.target()
    services.tick(NOW)
    assert services.tick(NOW - 3600 * SECOND) == 1


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
