"""`manage.py register_services`: the services of a file, known ones changed."""

import io
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.targets.models import Node, Target

pytestmark = pytest.mark.django_db
FILE = """
targets:
  - {name: lab, kind: tcp, nodes: [{name: n1, address: "127.0.0.1:%d", driver: {memory: {}}}]}
"""


def register(file: Path, text: str) -> str:
    file.write_text(text)
    said = io.StringIO()
    call_command("register_services", file, stdout=said)
    return said.getvalue()


@pytest.fixture
def listening() -> Iterator[list[int]]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    yield [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()


def test_a_service_is_registered_and_registered_again_with_its_new_address(
    tmp_path: Path, listening: list[int]
) -> None:
    for port in listening:
        assert register(tmp_path / "targets.yaml", FILE % port) == "lab: 1 nodes\n"
    assert Target.objects.count() == 1
    assert Node.objects.get().address == f"127.0.0.1:{listening[1]}"


@pytest.mark.parametrize(("text", "why"), [("name: x", "targets: is missing"), ("targets: [7]", "must be")])
def test_a_file_without_services_is_refused_in_words(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(CommandError, match=why):
        register(tmp_path / "targets.yaml", text)
