import hashlib
import secrets

from django.conf import settings
from django.db import models
from django.utils import timezone

PREFIX = "cb_"


class Token(models.Model):
    """What a script shows instead of a password. Only its hash is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=12, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    @classmethod
    def make(cls, user: object, name: str) -> tuple["Token", str]:
        """The stored token and its secret, which is known only now."""
        secret = PREFIX + secrets.token_urlsafe(32)
        token = cls.objects.create(user=user, name=name, digest=digest(secret), hint=secret[:8])
        return token, secret

    @classmethod
    def find(cls, secret: str) -> "Token | None":
        token = cls.objects.select_related("user").filter(digest=digest(secret)).first()
        if token is None or not token.user.is_active:
            return None
        now = timezone.now()
        if token.used_at is None or (now - token.used_at).total_seconds() > 60:
            cls.objects.filter(pk=token.pk).update(used_at=now)
        return token


def digest(secret: str) -> str:
    """The secret is random and long, so a plain hash is enough; it is looked up by it."""
    return hashlib.sha256(secret.encode()).hexdigest()
