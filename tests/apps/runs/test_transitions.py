from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.runs import queueing, services, transitions
from apps.runs.models import Event, Injection, Run
from engine.errors import BadInput, Refused
from engine.events import Event as Reported
from tests.apps import factories


@pytest.mark.django_db
def test_a_run_is_claimed_once() -> None:
    run = factories.run()
    first = services.claim(run.pk)
    assert first is not None
    assert first.state == "running"
    assert first.worker
    assert services.claim(run.pk) is None


@pytest.mark.django_db(transaction=True)
def test_of_many_that_claim_at_once_one_gets_it() -> None:
    run = factories.run()

    def claim(_: int) -> bool:
        try:
            return services.claim(run.pk) is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(16))) == 1


@pytest.mark.django_db
def test_a_target_is_hurt_by_one_run_at_a_time() -> None:
    experiment = factories.experiment()
    first, second = factories.run(experiment), factories.run(experiment)
    elsewhere = factories.run(factories.experiment(factories.target("billing"), name="other"))
    assert services.claim(first.pk)
    assert services.claim(second.pk) is None
    second.refresh_from_db()
    assert second.state == "queued"
    assert services.claim(elsewhere.pk)


@pytest.mark.django_db
def test_the_next_run_of_the_target_is_sent_when_one_ends(sent) -> None:
    experiment = factories.experiment()
    first, second = factories.run(experiment), factories.run(experiment)
    factories.run(experiment)
    services.finish(services.claim(first.pk), {"verdict": "held", "ending": "finished", "headline": "fine"})
    assert sent == [second.pk]
    first.refresh_from_db()
    assert (first.state, first.phase, first.verdict, first.headline) == ("done", "done", "held", "fine")
    assert services.claim(second.pk)


@pytest.mark.django_db
def test_a_requested_run_is_sent_on_commit(sent, django_capture_on_commit_callbacks) -> None:
    experiment = factories.experiment()
    with django_capture_on_commit_callbacks(execute=True):
        run = services.request_run(experiment, by="ada")
        assert sent == []
    assert sent == [run.pk]
    assert run.requested_by == "ada"
    assert run.target_document["nodes"][0]["name"] == "orders-n1"


@pytest.mark.django_db
def test_a_broker_that_is_down_does_not_fail_the_request(
    broker_down, django_capture_on_commit_callbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        run = services.request_run(factories.experiment(), by="ada")
    run.refresh_from_db()
    assert run.state == "queued"


@pytest.mark.django_db
def test_the_tick_sends_again_what_waits_too_long(sent) -> None:
    experiment = factories.experiment()
    new = factories.run(experiment)
    queueing.requeue()
    assert sent == []
    Run.objects.filter(pk=new.pk).update(created_at=timezone.now() - timedelta(seconds=4))
    queueing.requeue()
    queueing.requeue()
    assert sent == [new.pk]


@pytest.mark.django_db
def test_what_waits_for_a_busy_target_is_not_sent_again(sent) -> None:
    experiment = factories.experiment()
    busy, waiting = factories.run(experiment), factories.run(experiment)
    Run.objects.filter(pk=waiting.pk).update(created_at=timezone.now() - timedelta(seconds=4))
    services.claim(busy.pk)
    queueing.requeue()
    assert sent == []


@pytest.mark.django_db
def test_a_document_that_no_longer_fits_is_refused_before_anything_is_stored() -> None:
    experiment = factories.experiment(faults=[{"at": "0s", "for": "1s", "melt": {}}])
    with pytest.raises(BadInput, match="melt"):
        services.request_run(experiment, by="ada")
    assert not Run.objects.exists()


@pytest.mark.django_db
def test_an_archived_experiment_is_refused() -> None:
    experiment = factories.experiment()
    experiment.archived = True
    with pytest.raises(Refused, match="archived"):
        services.request_run(experiment)


@pytest.mark.django_db
def test_a_waiting_run_that_is_aborted_never_begins() -> None:
    run = factories.run()
    assert services.abort(run, "ada")
    assert services.claim(run.pk) is None
    run.refresh_from_db()
    assert (run.state, run.ending, run.verdict) == ("done", "aborted", "unknown")
    assert [e.kind for e in run.events.all()] == ["verdict", "phase"]
    assert not services.abort(run, "ada")


@pytest.mark.django_db
def test_a_running_run_is_asked_to_stop_and_keeps_the_first_reason() -> None:
    run = factories.run()
    services.claim(run.pk)
    assert services.abort(run, "ada")
    assert services.abort(run, "bob")
    run.refresh_from_db()
    assert run.stop_reason == "aborted by ada"


@pytest.mark.django_db
def test_events_of_a_run_that_was_taken_over_are_not_stored() -> None:
    run = services.claim(factories.run().pk)
    transitions.store(run, factories.notes(1, 2))
    other = Run.objects.get(pk=run.pk)
    assert transitions.take_over(other)
    with pytest.raises(transitions.Lost):
        transitions.store(run, factories.notes(3, 4))
    transitions.store(other, factories.notes(3, 3))
    assert list(Event.objects.values_list("n", flat=True)) == [1, 2, 3]


@pytest.mark.django_db
def test_fault_events_are_mirrored_until_they_are_clean() -> None:
    run = services.claim(factories.run().pk)

    def fault(n: int, state: str) -> Reported:
        data = {
            "id": "f0",
            "fault": "pause",
            "line": "pause n1",
            "nodes": ["n1"],
            "state": state,
            "records": ["r"],
        }
        return Reported(n, 0.0, "fault", data)

    transitions.store(run, [fault(1, "planned")])
    assert services.hurt_now() == []
    transitions.store(run, [fault(2, "injecting"), fault(3, "active")])
    assert [(h["run_id"], h["target"], h["line"], h["state"]) for h in services.hurt_now()] == [
        (run.pk, "orders", "pause n1", "active")
    ]
    transitions.store(run, [fault(4, "stuck")])
    services.finish(run, {"verdict": "unknown", "ending": "finished", "headline": ""})
    assert services.hurt_now()[0]["state"] == "stuck"
    Injection.objects.update(state="clean")
    assert services.hurt_now() == []
