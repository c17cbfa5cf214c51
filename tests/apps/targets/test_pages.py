import html
import json
import re
from typing import Any

import pytest
from django.urls import reverse

from apps.targets.models import Target
from tests.apps import factories

pytestmark = pytest.mark.django_db


def form(*nodes: dict[str, str], **parts: Any) -> dict[str, Any]:
    data = {"name": "orders", "kind": "tcp", "environment": "default", "description": ""} | parts
    data |= {"nodes-TOTAL_FORMS": len(nodes) + 1, "nodes-INITIAL_FORMS": 0}
    for i, node in enumerate(nodes):
        data |= {f"nodes-{i}-{key}": value for key, value in node.items()}
    return data


def said(response: Any) -> str:
    return response.content.decode()


def test_the_list_teaches_while_it_is_empty(admin_client):
    assert "Register a service" in said(admin_client.get(reverse("targets:list")))


def test_the_list_and_the_page_show_the_nodes(admin_client):
    target = factories.target()
    for page in (reverse("targets:list"), reverse("targets:detail", args=[target.pk])):
        assert "orders-n2" in said(admin_client.get(page))


def test_a_form_without_javascript_has_three_rows(admin_client):
    assert said(admin_client.get(reverse("targets:add"))).count("data-row>") == 4  # one is the template's


def test_a_service_is_registered(admin_client, answering):
    response = admin_client.post(reverse("targets:add"), form({"name": "a", "address": answering}))
    target = Target.objects.get()
    assert response.url == reverse("targets:detail", args=[target.pk])
    assert (target.nodes.get().address, target.created_by) == (answering, "admin")


def test_parameters_of_the_chosen_driver_are_kept_and_shown_again(admin_client, victim):
    node = {"name": "a", "address": victim.address, "control": "process", "process-pid": str(victim.pid)}
    admin_client.post(reverse("targets:add"), form(node | {"memory-cluster": "other"}))
    target = Target.objects.get()
    assert target.nodes.get().control_params == {"pid": victim.pid}
    assert f'value="{victim.pid}"' in said(admin_client.get(reverse("targets:edit", args=[target.pk])))


def test_what_stands_in_another_drivers_field_does_not_matter(admin_client, answering):
    node = {"name": "a", "address": answering, "control": "memory", "process-pid": "abc"}
    assert admin_client.post(reverse("targets:add"), form(node)).status_code == 302


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"address": "nonsense"}, "is not an address"),
        ({"address": "127.0.0.1:1", "control": "process", "process-pid": "abc"}, "is not a whole number"),
        ({"address": "127.0.0.1:1", "control": "process", "process-pid": "1"}, "never hurt"),
        ({"address": "127.0.0.1:1", "control": "process"}, "says not which process is meant"),
        ({"address": "127.0.0.1:1", "control": "witchcraft"}, "not one of the available choices"),
    ],
)
def test_a_bad_node_is_answered_beside_its_field(admin_client, node, message):
    response = admin_client.post(reverse("targets:add"), form(node, force="on"))
    assert response.status_code == 400
    assert message in said(response)
    assert not Target.objects.exists()


def test_an_empty_form_is_answered_in_words(admin_client):
    for data in ({}, form(name="")):
        response = admin_client.post(reverse("targets:add"), data)
        assert response.status_code == 400
        assert "what is the service called?" in said(response)
        assert "Fill in at least one node" in said(response)


def test_a_form_of_10_mb_is_answered_in_words(admin_client):
    response = admin_client.post(reverse("targets:add"), form(description="x" * 10_000_000))
    assert response.status_code == 413
    assert "chaosboard takes 1 MB at most" in said(response)


def test_silence_is_refused_until_told_otherwise(admin_client, silent):
    node = {"name": "a", "address": silent}
    assert "does not answer" in said(admin_client.post(reverse("targets:add"), form(node)))
    assert admin_client.post(reverse("targets:add"), form(node, force="on")).status_code == 302


def test_a_node_is_removed_by_its_box(admin_client):
    target = factories.target()
    nodes = [
        {"name": n.name, "address": n.address, "control": "memory", "memory-cluster": "orders"}
        for n in target.nodes.all()
    ]
    nodes[1]["DELETE"] = "on"
    data = form(*nodes, kind="memory") | {"nodes-INITIAL_FORMS": 3}
    assert admin_client.post(reverse("targets:edit", args=[target.pk]), data).status_code == 302
    assert [node.name for node in target.nodes.all()] == ["orders-n1", "orders-n3"]


def test_check_now_answers_with_a_fragment_for_htmx_and_a_page_without(admin_client):
    url = reverse("targets:check", args=[factories.target().pk])
    fragment = said(admin_client.post(url, headers={"HX-Request": "true"}))
    assert "the simulated node orders-n1" in fragment
    assert "<html" not in fragment
    assert "<html" in said(admin_client.post(url))


def test_a_service_in_use_is_not_deleted(admin_client):
    experiment = factories.experiment()
    response = admin_client.post(reverse("targets:delete", args=[experiment.target_id]))
    assert response.status_code == 409
    assert "one node pauses" in said(response)


def test_a_name_cannot_smuggle_markup(admin_client):
    factories.target(name="<script>alert(1)</script>")
    assert "<script>alert" not in said(admin_client.get(reverse("targets:list")))


def test_nothing_is_shown_to_strangers(client):
    assert client.get(reverse("targets:list")).url.startswith(reverse("login"))


def test_the_map_has_every_node_and_link_and_its_table_says_what_can_cut_them(admin_client):
    target = factories.target()
    target.nodes.filter(name="orders-n2").update(up=True, leads=True)
    page = said(admin_client.get(reverse("targets:detail", args=[target.pk])))
    links = said(admin_client.get(reverse("targets:links", args=[target.pk])))
    assert links in page
    (picture,) = re.findall(r'data-map="([^"]*)"', links)
    nodes = json.loads(html.unescape(picture))["nodes"]
    assert [(n["name"], n["up"], n["leads"]) for n in nodes] == [
        ("orders-n1", None, False), ("orders-n2", True, True), ("orders-n3", None, False),
    ]  # fmt: skip
    assert links.count('scope="row"') == 6
    assert "Give it an upstream address" in links
