"""What people ask of a run while it goes on, from the page to the events of the run."""

import time

import pytest

from apps.runs import ordering, transitions
from apps.runs.models import Order, Run
from apps.runs.recorder import Recorder
from engine.errors import BadInput, Refused
from engine.orders import Extension, Note
from tests.apps import factories

pytestmark = pytest.mark.django_db(transaction=True)


def running() -> Run:
    run = transitions.claim(factories.run().pk)
    assert run
    return run


def test_a_recorder_takes_each_order_once_and_in_order() -> None:
    run = running()
    ordering.note(run, " it hums ", "ada", "1.5")
    ordering.extend(run, "f0", "4s", "bob")
    with Recorder(run) as recorder:
        while not (found := recorder.orders()):
            time.sleep(0.01)
    assert found == [Note("ada", "it hums", 1.5), Extension("bob", "f0", 4.0)]
    assert ordering.take(run) == []


@pytest.mark.parametrize(("text", "at"), [("  ", ""), ("x" * 1001, ""), ("seen", "soon")])
def test_a_note_that_says_nothing_or_no_moment_is_refused(text: str, at: str) -> None:
    with pytest.raises(BadInput):
        ordering.note(running(), text, "ada", at)


@pytest.mark.parametrize("seconds", ["0s", "601s", "soon"])
def test_an_extension_has_a_length(seconds: str) -> None:
    with pytest.raises(BadInput):
        ordering.extend(running(), "f0", seconds, "ada")


def test_a_run_that_does_not_go_on_takes_no_orders(client, person) -> None:
    run = factories.run()
    with pytest.raises(Refused, match="has not begun"):
        ordering.note(run, "seen", "ada")
    client.force_login(person())
    answer = client.post(f"/runs/{run.pk}/note/", {"text": "seen"}, headers={"Accept": "text/plain"})
    assert (answer.status_code, Order.objects.count()) == (400, 0)
    assert "only a run that goes on" in answer.text


def test_the_page_orders_in_the_name_of_who_is_signed_in(client, person) -> None:
    run = running()
    client.force_login(person("ada"))
    told = {"what": "recovery", "seconds": "10s"}
    assert client.post(f"/runs/{run.pk}/extend/", told, headers={"Accept": "text/plain"}).status_code == 204
    (order,) = Order.objects.all()
    assert (order.by, order.kind, order.data) == ("ada", "extension", {"what": "recovery", "seconds": 10.0})
