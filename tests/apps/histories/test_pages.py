"""The pages of histories and their doors in the API."""

import re
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.histories import services
from apps.histories.models import History
from tests.apps.histories.conftest import FOLDER, stored
from tests.apps.histories.test_services import judged, kept

pytestmark = pytest.mark.django_db
SOME = [
    "set/lost", "set/duplicated", "set/unexpected", "set/stale", "set/resurrected", "counter/bounds",
    "counter/backwards", "bank/total", "queue/order", "queue/empty", "register/unknown-write-lands-late",
    "list-append/lost-update", "rw-register/write-skew",
]  # fmt: skip


def test_upload_judge_and_look(ada: Client) -> None:
    assert "Upload a history" in ada.get("/histories/").content.decode()
    file = SimpleUploadedFile("old.jsonl", (FOLDER / "register/old-value-again.violated.jsonl").read_bytes())
    answer = ada.post("/histories/add/", {"file": file, "note": "from the lab"})
    history = History.objects.get()
    assert answer.url == f"/histories/{history.pk}/"
    waiting = ada.get(answer.url).content.decode()
    assert "It waits for a worker" in waiting
    services.perform(history.pk)
    assert History.objects.get().progress == ""
    html = ada.get(answer.url).content.decode()
    assert "Client 2 read 1 at 8 ms, although client 1 had already been told that 2 was written" in html
    assert 'id="op-6"' in html
    assert re.search(r'class="bar ok culprit" href="#op-6"', html)
    listed = ada.get("/histories/").content.decode()
    assert "from the lab" in listed
    assert "violated" in listed


@pytest.mark.parametrize("which", SOME)
def test_each_kind_of_violation_is_drawn_and_told(ada: Client, which: str) -> None:
    history = stored(which)
    html = ada.get(f"/histories/{history.pk}/").content.decode()
    for story in history.result["stories"]:
        assert story["title"].replace("'", "&#x27;") in html
        for op in story["operations"]:
            assert f'op-{op["index"]}"' in html
        assert ("Which transaction must have come before which" in html) == any(
            s["cycle"] for s in history.result["stories"]
        )
    assert " style=" not in html


def test_an_unreadable_file_names_its_line_on_the_page(ada: Client) -> None:
    history = kept()
    History.objects.filter(pk=history.pk).update(state="unreadable", error="line 1, history: is no event")
    html = ada.get(f"/histories/{history.pk}/").content.decode()
    assert "It could not be judged" in html
    assert "line 1" in html


def test_bad_uploads_are_answered_in_words(ada: Client) -> None:
    assert "This field is required" in ada.post("/histories/add/", {}).content.decode()
    empty = ada.post("/histories/add/", {"file": SimpleUploadedFile("h.jsonl", b"")})
    assert empty.status_code == 400
    assert "empty" in empty.content.decode()


def test_the_file_and_the_result_come_back_as_they_are(ada: Client) -> None:
    history = judged()
    source = FOLDER / "register/old-value-again.violated.jsonl"
    assert b"".join(ada.get(f"/histories/{history.pk}/file/").streaming_content) == source.read_bytes()
    assert ada.get(f"/histories/{history.pk}/result.json").status_code == 200
    assert ada.get(f"/histories/{kept().pk}/result.json").status_code == 409


def test_deleting_asks_first(ada: Client) -> None:
    history = kept(name="mine")
    assert "Delete mine?" in ada.get(f"/histories/{history.pk}/delete/").content.decode()
    ada.post(f"/histories/{history.pk}/delete/")
    assert not History.objects.exists()


def test_the_api_takes_a_history_as_the_body_of_a_request(ada: Client, tmp_path: Path) -> None:
    data = (FOLDER / "set/lost.violated.jsonl").read_bytes()
    answer = ada.post(
        "/api/v1/histories?filename=lost.jsonl&spec=set", data, content_type="application/octet-stream"
    )
    assert answer.status_code == 201, answer.content
    pk = answer.json()["id"]
    assert History.objects.get(pk=pk).file.read_bytes() == data
    assert ada.get(f"/api/v1/histories/{pk}").json()["state"] == "waiting"
    History.objects.filter(pk=pk).update(state="judged", verdict="violated")
    again = ada.post(f"/api/v1/histories/{pk}/judge", {"limit": 5}, content_type="application/json")
    assert (again.status_code, again.json()["state"]) == (202, "waiting")
    busy = ada.post(f"/api/v1/histories/{pk}/judge", {}, content_type="application/json")
    assert (busy.status_code, busy.json()["error"]) == (409, "It is being judged already.")
    assert ada.delete(f"/api/v1/histories/{pk}").status_code == 204
    wrong = ada.post("/api/v1/histories?spec=tree", b"x", content_type="application/octet-stream")
    assert wrong.json()["problems"][0]["where"] == "spec"


def test_strangers_see_nothing(client: Client) -> None:
    assert client.get("/histories/").status_code == 302
    assert client.post("/api/v1/histories", b"x", content_type="application/octet-stream").status_code == 401
