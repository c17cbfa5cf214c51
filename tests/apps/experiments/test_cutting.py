"""The map above the editor: which links a document cuts, drawn and in a table."""

import html
import json
import re
from typing import Any

from django.test import Client

from tests.apps import factories

DRAW = "/experiments/draw/"
PREVIEW = "/experiments/preview/"


def partition(**parameters: str) -> dict[str, str]:
    fields = {f"step-0-partition-{name}": value for name, value in parameters.items()}
    return {"name": "", "target": "orders", "mode": "form", "drawn": "1", "drawn_for": "orders", "probe": "memory",
            "step": "0", "step-0-fault": "partition", "step-0-at": "0s", "step-0-for": "5s", **fields}  # fmt: skip


def shown(ada: Client, **parameters: str) -> tuple[str, dict[str, Any]]:
    """The preview of a partition, and what its map draws."""
    text = ada.post(PREVIEW, partition(**parameters)).content.decode()
    (picture,) = re.findall(r'data-map="([^"]*)"', text)
    return text, json.loads(html.unescape(picture))


def test_the_map_of_the_editor_draws_which_links_a_topology_cuts(ada: Client) -> None:
    factories.target()
    text, picture = shown(ada, topology="one-way orders-n1", nodes="leader")
    assert picture["cuts"] == picture["mine"] == [["orders-n1", "orders-n2"], ["orders-n1", "orders-n3"]]
    assert "Lose what orders-n1 sends to the others" in text
    assert "2 of 6 links are cut" in text
    assert 'data-from="orders-n1" data-to="orders-n2" aria-pressed="true"' in text
    assert 'data-from="orders-n2" data-to="orders-n1" aria-pressed="false"' in text
    assert "cannot be cut, such as orders-n1" in text


def test_links_picked_by_hand_are_drawn_as_they_point(ada: Client) -> None:
    factories.target()
    _, picture = shown(ada, links="orders-n1 -> orders-n2; clients <-> orders-n3")
    assert picture["cuts"] == [["clients", "orders-n3"], ["orders-n1", "orders-n2"], ["orders-n3", "clients"]]


def test_a_topology_that_dice_draw_says_that_it_is_one_way_it_may_fall(ada: Client) -> None:
    factories.target()
    text, picture = shown(ada, topology="majorities-ring")
    assert len(picture["cuts"]) == 2
    assert "one way it may fall" in text


def test_what_is_wrong_with_the_links_is_said_at_the_map(ada: Client) -> None:
    factories.target()
    text, picture = shown(ada, links="orders-n1 -> nobody")
    assert picture["cuts"] == []
    assert "no node called &#x27;nobody&#x27;" in text


def test_single_ports_and_answers_are_said_at_the_map_and_why_they_cannot_be(ada: Client) -> None:
    factories.target().nodes.update(upstream="127.0.0.1:9")
    text, _ = shown(ada, nodes="orders-n1", ports="2380", answer="reset")
    assert "at port 2380, answered by a reset." in text
    assert "Single ports of orders-n1 are cut" in text


def test_a_fault_that_cuts_links_is_one_click_away(ada: Client) -> None:
    factories.target()
    data = {**partition(), "step-0-fault": "kill", "step-0-kill-nodes": "one"}
    assert "No fault cuts a link yet" in ada.post(PREVIEW, data).content.decode()
    drawn = ada.post(DRAW, {**data, "do": "cut"}).content.decode()
    assert 'name="step-1-partition-topology"' in drawn
    assert '<option value="one-alone" selected>' in drawn


def test_with_a_topology_the_editor_asks_for_no_nodes(ada: Client) -> None:
    factories.target()
    drawn = ada.post(DRAW, partition(topology="halves", nodes="leader", direction="to-node")).content.decode()
    assert 'name="step-0-partition-nodes"' not in drawn
    assert 'name="step-0-partition-direction"' not in drawn
    assert 'name="step-0-partition-nodes"' in ada.post(DRAW, partition(nodes="one")).content.decode()
    text = ada.post(DRAW, partition(topology="halves", nodes="leader") | {"do": "yaml"}).content.decode()
    assert "topology: halves" in text
    assert "leader" not in text


def test_links_are_one_line_in_the_form_and_a_list_in_the_document(ada: Client) -> None:
    factories.target()
    data = partition(links="orders-n1 -> orders-n2; clients <-> orders-n3") | {
        "name": "x",
        "availability": "99%",
        "do": "yaml",
    }
    text = ada.post(DRAW, data).content.decode()
    yaml = html.unescape(re.findall(r"<textarea[^>]*>(.*?)</textarea>", text, re.S)[0])
    assert "links: [orders-n1 -> orders-n2, clients <-> orders-n3]" in yaml
    back = ada.post(DRAW, {"mode": "yaml", "text": yaml, "do": "form"}).content.decode()
    assert "orders-n1 -&gt; orders-n2; clients &lt;-&gt; orders-n3" in back
