"""Tables and the first administrator, in a process of its own; prints {"password": text or null}."""

import json
import os

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chaosboard.settings")
    django.setup()
    from django.core.management import call_command

    from apps.accounts.services import ensure_admin

    call_command("migrate", interactive=False, verbosity=0)
    print(json.dumps({"password": ensure_admin()}))


if __name__ == "__main__":
    main()
