import os
import socket
from typing import Any

import pytest

from apps.targets import services
from apps.targets.models import Environment, Node, Target
from engine import drivers
from engine.errors import BadInput, Refused
from engine.target import Target as EngineTarget
from tests.apps import factories
from tests.apps.addresses import Victim

pytestmark = pytest.mark.django_db


def service(*nodes: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {"name": "orders", "kind": "tcp", "nodes": list(nodes), **parts}


def refusal(data: object, **options: Any) -> dict[str, str]:
    """What was said, by place; and nothing was stored."""
    before = Target.objects.count(), Node.objects.count(), Environment.objects.count()
    with pytest.raises(BadInput) as caught:
        services.save_target(data, **options)
    assert (Target.objects.count(), Node.objects.count(), Environment.objects.count()) == before
    return {problem.where: problem.message for problem in caught.value.problems}


def test_a_service_is_stored_with_its_nodes_in_order(answering):
    target = services.save_target(
        service({"name": "b", "address": answering}, {"name": "a", "address": answering}, description="hot")
    )
    assert [node.name for node in target.nodes.all()] == ["b", "a"]
    assert (target.kind, target.environment.name, target.description) == ("tcp", "default", "hot")


def test_a_process_that_may_be_hurt_is_stored(victim: Victim):
    target = services.save_target(
        service({"address": victim.address, "driver": {"process": {"pid": victim.pid}}})
    )
    assert {"kill", "pause", "restart"} <= set(services.check_target(target)["nodes"][0]["can"])


@pytest.mark.parametrize("data", [None, [], "orders", 7])
def test_what_is_no_mapping_is_refused(data):
    assert refusal(data) == {"": "must be a mapping with name, kind and nodes"}


def test_an_empty_form_names_everything_that_is_missing():
    assert set(refusal({})) == {"name", "nodes"}


def test_an_unknown_key_is_named():
    assert "unknown key" in refusal(service({"address": "a:1"}, colour="red"))["colour"]


def test_an_unknown_kind_names_those_there_are(answering):
    assert "there are: ceph-mon, dns, etcd" in refusal(service({"address": answering}, kind="oracle"))["kind"]


def test_text_where_a_number_belongs_is_named_at_its_parameter(answering):
    data = service({"address": answering, "driver": {"process": {"pid": "abc"}}})
    assert refusal(data) == {"nodes.0.driver.process.pid": "'abc' is not a whole number"}


def test_a_share_that_is_no_number_is_refused(answering):
    assert "is not a share" in refusal(service({"address": answering}, max_down="much"))["max_down"]


def test_the_cap_of_an_environment_is_set_and_kept(answering):
    first = services.save_target(service({"address": answering}, environment="production", max_down="34%"))
    assert first.environment.max_down == pytest.approx(0.34)
    services.save_target(service({"address": answering}, name="second", environment="production"))
    first.environment.refresh_from_db()
    assert first.environment.max_down == pytest.approx(0.34)


@pytest.mark.parametrize("address", ["nonsense", "host:99999", "host", ""])
def test_what_is_no_address_is_refused_even_by_force(address):
    assert "is not an address" in refusal(service({"address": address}), force=True)["nodes.0.address"]


def test_an_address_that_does_not_answer_is_refused_in_words(silent):
    assert refusal(service({"address": silent}))["nodes.0.address"] == (
        f"{silent} does not answer: connection refused."
    )


def test_an_address_that_does_not_answer_is_stored_when_told_to(silent):
    assert services.save_target(service({"address": silent}), force=True).pk


def test_a_pid_that_is_gone_is_refused_even_by_force(silent, gone):
    data = service({"address": silent, "driver": {"process": {"pid": gone}}})
    assert f"no process with pid {gone}" in refusal(data, force=True)["nodes.0.driver"]


@pytest.mark.parametrize("pid", [1, os.getpid()], ids=["first", "own"])
def test_the_board_and_the_host_are_never_victims(answering, pid):
    why = refusal(service({"address": answering, "driver": {"process": {"pid": pid}}}), force=True)
    assert "never" in why["nodes.0.driver"]


def test_a_pid_that_does_not_hold_the_port_is_refused(victim: Victim, another: Victim):
    data = service({"address": another.address, "driver": {"process": {"pid": victim.pid}}})
    port = another.address.rpartition(":")[2]
    assert f"Port {port} is held by pid {another.pid}" in refusal(data)["nodes.0.driver"]


def test_a_link_cannot_listen_where_another_process_does(links, answering, victim: Victim):
    data = service({"address": answering, "upstream": victim.address})
    assert "is held by pid" in refusal(data)["nodes.0.upstream"]


def test_one_bad_node_stores_none(answering, silent):
    assert set(refusal(service({"name": "a", "address": answering}, {"name": "b", "address": silent}))) == {
        "nodes.1.address"
    }


def test_two_services_cannot_have_one_name(answering):
    services.save_target(service({"address": answering}))
    assert "already" in refusal(service({"address": answering}))["name"]


@pytest.mark.django_db(transaction=True)
def test_a_name_that_is_taken_while_the_nodes_are_looked_at_is_refused(answering, monkeypatch):
    look = services.inspect.check

    def slowly(target, *args):
        factories.target("orders")
        return look(target, *args)

    monkeypatch.setattr("apps.targets.examine.inspect.check", slowly)
    with pytest.raises(BadInput, match="already"):
        services.save_target(service({"address": answering}))
    assert Target.objects.get().kind == "memory"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("name", "x" * 101, "too long"), ("name", ["a"], "must be a text"), ("description", "\x00", "no text")],
)
def test_what_no_column_holds_is_refused(answering, key, value, said):
    assert said in refusal(service({"address": answering}) | {key: value})[key]


def test_a_long_node_name_is_refused(answering):
    data = service({"name": "x" * 101, "address": answering})
    assert "100 characters" in refusal(data)["nodes.0.name"]


def test_a_change_keeps_what_was_seen_of_the_nodes_that_stay(answering):
    target = services.save_target(
        service({"name": "a", "address": answering}, {"name": "b", "address": answering})
    )
    services.check_target(target)
    changed = service({"name": "a", "address": answering}, name="sales")
    services.save_target(changed, instance=target)
    (node,) = Target.objects.get(name="sales").nodes.all()
    assert (node.name, node.up, node.recent) == ("a", True, [True])


def test_a_node_that_did_not_change_need_not_answer_again(silent):
    target = services.save_target(service({"address": silent}), force=True)
    data = service({"address": silent}, description="it will come")
    assert services.save_target(data, instance=target).description == "it will come"


def test_a_moved_node_is_looked_at_and_forgets_what_was_seen(answering, silent):
    target = services.save_target(service({"name": "a", "address": answering}))
    services.check_target(target)
    moved = service({"name": "a", "address": silent})
    assert set(refusal(moved, instance=target)) == {"nodes.0.address"}
    services.save_target(moved, instance=target, force=True)
    assert target.nodes.get().recent == []


def test_a_service_is_not_changed_while_it_is_hurt(answering):
    run = factories.run(state="running")
    with pytest.raises(Refused, match="has a running experiment"):
        services.save_target(service({"address": answering}, name="orders"), instance=run.target)


def test_a_service_in_use_is_not_deleted_and_the_user_is_named():
    experiment = factories.experiment()
    with pytest.raises(Refused, match="in use by 1 experiment: “one node pauses”"):
        services.delete_target(experiment.target)
    assert Target.objects.count() == 1


def test_a_service_that_nothing_uses_is_deleted():
    services.delete_target(factories.target())
    assert not Node.objects.exists()


def test_what_chaosboard_started_for_a_refused_service_is_ended(silent, monkeypatch):
    monkeypatch.setattr("apps.targets.examine.PATIENCE", 0.0)
    data = service({"address": silent, "driver": {"process": {"command": ["sleep", "300"]}}})
    assert set(refusal(data)) == {"nodes.0.address"}
    node = EngineTarget.from_dict(data).nodes[0]
    assert drivers.control(node).victim(node) == ""


def test_a_check_says_who_is_there(answering, silent):
    target = services.save_target(
        service({"name": "a", "address": answering}, {"name": "b", "address": silent}), force=True
    )
    seen = services.check_target(target)
    assert [node["reachable"] for node in seen["nodes"]] == [True, False]
    assert [(n.up, n.answer != "") for n in target.nodes.all()] == [(True, True), (False, True)]


def test_a_link_is_opened_for_a_service_and_closed_with_it(links, victim: Victim, silent):
    target = services.save_target(service({"address": silent, "upstream": victim.address}))
    host, _, port = silent.partition(":")
    socket.create_connection((host, int(port)), timeout=5).close()
    services.delete_target(target)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
