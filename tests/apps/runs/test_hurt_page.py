"""The page of what is hurt right now: what the undo records say, what the system shows, and healing by hand."""

from pathlib import Path

import pytest

from apps.runs import services
from engine import undo
from engine.capabilities import ReadBack
from engine.drivers.memory import Memory
from engine.faults.kill import Kill
from engine.target import Node
from tests.apps import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sent")]


@pytest.fixture
def browser(client, person):
    client.force_login(person("ada"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def hurt(state: Path, run: object, name: str = "orders-n1") -> undo.UndoRecord:
    node = Node(name, "127.0.0.1:1", control="memory", control_params={"cluster": "orders"})
    return undo.inject(state, undo.prepare(state, str(run.pk), "f0", "kill", Kill(), node, 600))


def test_nothing_is_hurt_and_the_states_are_explained(browser) -> None:
    text = browser.get("/hurt/").content.decode()
    assert "was read back as gone" in text
    for word in ("planned", "injecting", "active", "healing", "clean", "unverified", "stuck"):
        assert f">{word}</span>" in text


def test_what_is_hurt_is_shown_with_what_the_system_shows(browser, state: Path) -> None:
    run = services.claim(factories.run().pk)
    hurt(state, run)
    text = browser.get("/hurt/").content.decode()
    assert "kill orders-n1 (SIGKILL)" in text
    assert "orders-n1 is down" in text
    assert f"/runs/{run.pk}/" in text
    Memory(cluster="orders")._set("orders-n1", down=False)  # the record says hurt; the page looks
    assert "orders-n1 is up" in browser.get("/hurt/").content.decode()


def test_a_fault_is_healed_by_hand_and_stays_with_its_proof(browser, state: Path) -> None:
    record = hurt(state, services.claim(factories.run().pk))
    page = browser.post(f"/hurt/{record.id}/heal/", follow=True).content.decode()
    assert "clean, orders-n1 is up" in page
    assert undo.records(state) == []
    assert "It was clean already" in browser.post(f"/hurt/{record.id}/heal/", follow=True).content.decode()


def test_who_is_not_logged_in_heals_nothing(client, state: Path) -> None:
    record = hurt(state, factories.run())
    assert client.get("/hurt/").url.startswith("/login/")
    assert client.post(f"/hurt/{record.id}/heal/").url.startswith("/login/")
    assert [r.id for r in undo.records(state)] == [record.id]


def test_what_no_record_is_left_of_is_shown_too(browser, state: Path) -> None:
    run = factories.run()
    run.injections.create(step="f0", node="n1", record_id="0" * 32, line="pause n1", state="stuck", text="?")
    assert "its undo record is gone" in browser.get("/hurt/").content.decode()


def test_every_fault_and_driver_has_its_place_on_the_page_of_faults(browser) -> None:
    from engine import drivers, faults

    text = browser.get("/experiments/faults/").content.decode()
    for name in faults.REGISTRY.names():
        assert f'id="fault-{name}"' in text
    for name in drivers.REGISTRY.names():
        assert f'id="driver-{name}"' in text


def test_a_person_closes_what_could_not_be_read_back(
    browser, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = services.claim(factories.run().pk)
    record = hurt(state, run)
    early = browser.post(f"/hurt/{record.id}/acknowledge/", follow=True).content.decode()
    assert "only what was healed and not seen gone" in early
    monkeypatch.setattr(Memory, "running", lambda self, node, captured: ReadBack(None, "no answer"))
    assert undo.heal(state, record.id, patience=0.0).state == "unverified"
    assert "I looked: close it" in browser.get("/hurt/").content.decode()
    closed = browser.post(f"/hurt/{record.id}/acknowledge/", follow=True).content.decode()
    assert "ada looked at it and answers for it" in closed
    assert ">acknowledged</span>" in closed
    assert undo.records(state) == []
