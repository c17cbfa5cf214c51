import secrets

from django.contrib.auth import get_user_model
from django.db import transaction

from apps.accounts.models import Token
from engine.errors import BadInput, Problem

MOST_TOKENS = 20


@transaction.atomic
def ensure_admin(name: str = "admin") -> str:
    """Makes the first administrator; returns the password, or "" where there is one already."""
    users = get_user_model()
    if users.objects.filter(is_superuser=True).exists():
        return ""
    password = secrets.token_urlsafe(12)
    user, _ = users.objects.get_or_create(username=name)
    user.is_staff = user.is_superuser = True
    user.set_password(password)
    user.save()
    return password


def make_token(user: object, name: str) -> tuple[Token, str]:
    """The stored token and its secret, which nobody can read again. Raises BadInput."""
    name = name.strip()
    if not name or len(name) > 100:
        raise BadInput([Problem("name", "say in up to 100 characters who will use it, as in: CI")])
    if Token.objects.filter(user=user).count() >= MOST_TOKENS:
        raise BadInput([Problem("name", f"you have {MOST_TOKENS} tokens; revoke one that is not used")])
    return Token.make(user, name)
