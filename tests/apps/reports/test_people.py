"""Links for those without a login, notes and decisions, files."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from apps.reports.models import SIGNER, Attachment, Note, Share
from apps.runs.models import Run
from tests.apps import factories
from tests.apps.addresses import state

__all__ = ["state"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("state")]


@pytest.fixture
def signed_in(client: Client, admin_user: Any) -> Client:
    client.force_login(admin_user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def run() -> Run:
    return factories.run(state="done", verdict="held", headline="It held.")


def shared(client: Client, run: Run, days: object = 7) -> Share:
    client.post(f"/runs/{run.pk}/share/", {"days": days})
    return Share.objects.latest("pk")


def test_a_link_opens_its_report_and_its_files_without_a_login_and_nothing_else(signed_in, run) -> None:
    link = shared(signed_in, run)
    assert (link.made_by, link.became) == ("admin", "open")
    stranger = Client()
    page = stranger.get(link.get_absolute_url())
    assert page.status_code == 200
    assert "It held." in page.content.decode()
    assert page["Cache-Control"] == "private, no-store"
    assert "style=" not in page.content.decode().partition("<body")[2]
    assert f"/runs/{run.pk}" not in page.content.decode()
    assert stranger.get(f"{link.get_absolute_url()}json").json()["run"] == run.pk
    assert stranger.get(f"{link.get_absolute_url()}nothing").status_code == 404
    for other in (f"/runs/{run.pk}/report/", f"/runs/{run.pk}/report/json", "/"):
        assert stranger.get(other).status_code == 302
    assert stranger.post(link.get_absolute_url()).status_code == 405


def test_a_link_that_is_forged_over_or_taken_back_opens_nothing(signed_in, run) -> None:
    link = shared(signed_in, run)
    address = link.get_absolute_url()
    signed_in.post(f"/shares/{link.pk}/take-back/")
    link.refresh_from_db()
    assert (link.revoked_by, link.became) == ("admin", "taken back")
    other = shared(signed_in, run)
    Share.objects.filter(pk=other.pk).update(ends_at=timezone.now() - timedelta(seconds=1))
    forged = f"/shared/{SIGNER.sign('1')[:-1]}x/"
    for one in (address, other.get_absolute_url(), f"{other.get_absolute_url()}pdf", forged, "/shared/1/"):
        assert Client().get(one).status_code == 404, one


@pytest.mark.parametrize("days", ["", "0", "91", "soon"])
def test_a_link_lasts_for_days_that_make_sense(signed_in, run, days) -> None:
    signed_in.post(f"/runs/{run.pk}/share/", {"days": days})
    assert not Share.objects.exists()


def test_a_decision_goes_with_the_report_and_a_note_stays(signed_in, run) -> None:
    for kind in ("note", "decision"):
        signed_in.post(f"/runs/{run.pk}/report/note/", {"text": f"<b>{kind}</b> of ours", "kind": kind})
    page = signed_in.get(f"/runs/{run.pk}/report/").content.decode()
    assert "&lt;b&gt;note&lt;/b&gt; of ours" in page
    outside = Client().get(shared(signed_in, run).get_absolute_url()).content.decode()
    assert "&lt;b&gt;decision&lt;/b&gt; of ours" in outside
    assert "note&lt;/b&gt; of ours" not in outside
    signed_in.post(f"/runs/{run.pk}/report/note/", {"text": " ", "kind": "note"})
    signed_in.post(f"/runs/{run.pk}/report/note/", {"text": "x", "kind": "verdict"})
    assert Note.objects.count() == 2


def attach(client: Client, run: Run, name: str, content: bytes) -> None:
    client.post("/attachments/add/", {"run": run.pk, "file": SimpleUploadedFile(name, content)})


def test_a_file_is_kept_and_only_ever_downloaded(signed_in, run, state: Path) -> None:
    attach(signed_in, run, "../../evil.LOG", b"<script>")
    found = Attachment.objects.get()
    assert (found.filename, found.size, found.by) == ("evil.LOG", 8, "admin")
    assert found.file.is_relative_to(state / "attachments")
    answer = signed_in.get(f"/attachments/{found.pk}/")
    assert b"".join(answer.streaming_content) == b"<script>"
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"] == 'attachment; filename="evil.LOG"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert Client().get(f"/attachments/{found.pk}/").status_code == 302
    signed_in.post(f"/attachments/{found.pk}/remove/")
    assert not found.file.exists()


@pytest.mark.parametrize(
    ("name", "content"), [("page.html", b"x"), ("a.svg", b"x"), ("none", b"x"), ("e.txt", b"")]
)
def test_a_file_of_another_kind_or_without_content_is_not_stored(
    signed_in, run, state, name, content
) -> None:
    attach(signed_in, run, name, content)
    assert not Attachment.objects.exists()
    assert not [f for f in (state / "attachments").rglob("*") if f.is_file()]


def test_a_file_that_is_too_large_is_not_stored(signed_in, run, state, settings) -> None:
    settings.CHAOSBOARD_ATTACHMENT_LIMIT = 10
    attach(signed_in, run, "big.txt", b"x" * 11)
    assert not Attachment.objects.exists()
    assert not [f for f in (state / "attachments").rglob("*") if f.is_file()]
