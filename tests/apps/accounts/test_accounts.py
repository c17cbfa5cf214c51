import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.urls import reverse

from apps.accounts.models import Token

pytestmark = pytest.mark.django_db


def test_the_first_administrator_is_made_once_and_the_password_works(capsys, client):
    call_command("ensure_admin")
    line = capsys.readouterr().out
    password = line.rpartition(" ")[2].strip()
    call_command("ensure_admin")
    assert capsys.readouterr().out == ""
    response = client.post(reverse("login"), {"username": "admin", "password": password})
    assert response.url == reverse("home")


def test_a_wrong_password_is_answered_in_words(client, admin_user):
    response = client.post(reverse("login"), {"username": "admin", "password": "guess"})
    assert "do not go together" in response.content.decode()


def test_guessing_is_locked_out(client, admin_user, settings):
    settings.AXES_FAILURE_LIMIT = 3
    wrong = {"username": "admin", "password": "guess"}
    answers = [client.post(reverse("login"), wrong) for _ in range(4)]
    assert answers[-1].status_code == 429
    assert "Too many wrong passwords" in answers[-1].content.decode()


def test_a_token_is_shown_once_and_only_its_hash_is_kept(admin_client):
    page = admin_client.post(reverse("account"), {"name": "CI"}).content.decode()
    secret = page.partition("<pre")[2].partition(">")[2].partition("</pre>")[0]
    assert Token.find(secret).name == "CI"
    assert secret not in admin_client.get(reverse("account")).content.decode()
    assert not Token.objects.filter(digest=secret).exists()


def test_a_token_without_a_name_is_refused(admin_client):
    assert admin_client.post(reverse("account"), {"name": " "}).status_code == 400
    assert not Token.objects.exists()


def test_a_revoked_token_opens_nothing(admin_client, admin_user):
    token, secret = Token.make(admin_user, "CI")
    admin_client.post(reverse("revoke_token", args=[token.pk]))
    assert Token.find(secret) is None


def test_nobody_revokes_the_token_of_another(client, admin_user):
    token, _ = Token.make(admin_user, "CI")
    client.force_login(get_user_model().objects.create_user("eve"))
    assert client.post(reverse("revoke_token", args=[token.pk])).status_code == 404


def test_the_token_of_an_account_that_was_switched_off_opens_nothing(admin_user):
    _token, secret = Token.make(admin_user, "CI")
    admin_user.is_active = False
    admin_user.save()
    assert Token.find(secret) is None
