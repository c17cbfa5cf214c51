from collections.abc import Iterator

import pytest

from tests.apps.valkey import Server


@pytest.fixture
def server(settings) -> Iterator[Server]:
    server = Server()
    server.start()
    settings.REDIS_URL = server.url
    yield server
    server.kill()
