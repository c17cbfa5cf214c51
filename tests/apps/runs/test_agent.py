"""An agent as on another host: a real worker on a real broker, with neither database nor state of the board."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import redis
from celery import Celery

from apps.runs import carrying, services
from apps.runs.models import Injection
from engine import carriage, drivers, undo, warden
from engine.errors import Unreachable
from engine.faults import REGISTRY as FAULTS
from engine.target import Node
from tests.apps import factories
from tests.apps.valkey import Server
from tests.engine.far import ROOT, end_warden
from tests.waiting import until

NOWHERE = "postgres://nobody@127.0.0.1:1/nothing"


class Worker:
    """`python manage.py agent NAME` as on a host that knows only REDIS_URL."""

    def __init__(self, folder: Path, url: str, name: str = "far-away") -> None:
        self.folder, self.name, self.state = folder, name, folder / "agents" / name
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DJANGO_", "CHAOSBOARD_"))}
        self.environ = {**kept, "CHAOSBOARD_STATE": str(folder), "REDIS_URL": url, "DATABASE_URL": NOWHERE}
        self.log = folder.with_name(f"{folder.name}-{len(list(folder.parent.iterdir()))}.log")
        self.process = self._start(self.log)

    def _start(self, log: Path) -> "subprocess.Popen[bytes]":
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "manage.py", "agent", self.name], cwd=ROOT, env=self.environ,
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def ready(self) -> "Worker":
        before = self.printed().count(" ready.")
        until(lambda: self.printed().count(" ready.") > before or self.process.poll() is not None)
        assert self.process.poll() is None, self.printed()
        return self

    def again(self) -> None:
        self.process = self._start(self.log)
        self.ready()

    def printed(self) -> str:
        return self.log.read_text()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    one = Server()
    one.start()
    yield one
    one.kill()


@pytest.fixture(scope="module")
def worker(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    one = Worker(tmp_path_factory.mktemp("far"), server.url)
    one.ready()
    yield one
    one.kill()
    end_warden(one.state)


@pytest.fixture(autouse=True)
def board(server: Server, state: Path, settings, monkeypatch) -> Iterator[Celery]:
    """The board's own Celery, on the broker of this test."""
    settings.REDIS_URL = server.url
    app = Celery("near", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.broker_url = server.url
    monkeypatch.setattr(carrying, "current_app", app)
    monkeypatch.setattr(carrying, "_silent", {})
    yield app
    app.close()
    end_warden(state)


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    child = subprocess.Popen(["sleep", "600"])
    yield psutil.Process(child.pid)
    child.kill()
    child.wait()


def node(of: psutil.Process, host: str = "far-away") -> Node:
    params = {"host": host, "local": {"process": {"pid": of.pid}}}
    return Node("one", "127.0.0.1:1", control="agent", control_params=params)


def pause(state: Path, one: Node, seconds: float = 600) -> undo.UndoRecord:
    fault = FAULTS.get("pause")()
    return undo.inject(state, undo.prepare(state, "r", "f0", "pause", fault, one, seconds))


def paused(process: psutil.Process) -> bool:
    return process.status() == psutil.STATUS_STOPPED


def test_a_process_there_is_hurt_kept_and_healed(worker: Worker, state: Path, sleeper) -> None:
    one = node(sleeper)
    assert drivers.control(one).refusal(one) == ""
    assert drivers.control(one).victim(one) == f"pid {sleeper.pid}, sleep 600"
    record = pause(state, one)
    assert paused(sleeper)
    assert [r.id for r in undo.records(worker.state)] == [record.id]
    seen = set()
    until(lambda: undo.renew(state, record) or seen.add(paused(sleeper))
          or undo.time.time() > record.injected_at + undo.LEASE + 1)  # fmt: skip
    assert seen == {True}
    assert undo.heal(state, record.id).state == "clean"
    assert not paused(sleeper)
    assert (undo.records(state), undo.records(worker.state)) == ([], [])


def test_what_is_refused_there_is_refused_here(worker: Worker) -> None:
    agent = psutil.Process(worker.process.pid)
    assert "chaosboard itself" in drivers.control(node(agent)).refusal(node(agent))


def test_renewals_leave_nothing_behind(worker: Worker, server: Server, state: Path) -> None:
    """They expire while nobody takes them, and no answer of theirs is kept."""
    client = redis.Redis.from_url(server.url)
    for _ in range(20):
        carriage.post("far-away", {"do": "renew", "id": "none"}, 0)
    carriage.post("far-away", {"do": "hello"}, 10)
    until(lambda: client.llen(carrying.queue("far-away")) == 0)
    assert list(client.scan_iter(f"{carrying.ANSWERS}*")) == []
    carriage.post("nobody", {"do": "renew", "id": "none"}, 0)
    waiting = json.loads(client.lindex(carrying.queue("nobody"), 0))
    assert waiting["headers"]["expires"] is not None


@pytest.mark.django_db
def test_silence_heals_there_and_the_board_finds_it_clean_when_the_agent_is_back(
    worker: Worker, state: Path, sleeper, monkeypatch
) -> None:
    """kill -9 of the agent and silence of the run: healed there by its warden, unverified here until it is back."""
    monkeypatch.setitem(drivers.ANSWERS_WITHIN, "heal", 0.5)
    run = factories.run(state="done")
    record = pause(state, node(sleeper))
    Injection.objects.create(
        run=run, step="f0", node="one", record_id=record.id, line=record.line, state="active"
    )
    worker.kill()
    until(lambda: not paused(sleeper), undo.LEASE + 5)
    until(lambda: undo.expired(state, record))
    assert carrying.heal() == 0
    services.mirror.refresh()
    [hurt] = services.hurt_now()
    assert (hurt["state"], hurt["text"].partition(".")[0]) == (
        "unverified", "The agent far-away does not answer",
    )  # fmt: skip

    worker.again()
    until(carrying.heal, 10)
    services.mirror.refresh()
    assert services.hurt_now() == []
    assert undo.records(state) == []


def test_the_warden_of_this_host_says_that_only_the_board_reaches_it(
    worker: Worker, state: Path, sleeper
) -> None:
    record = pause(state, node(sleeper))
    command = [sys.executable, "-m", "engine", "heal", "--all", "--state", str(state)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 1
    assert "unverified, The agent of far-away is reached only through the board." in told.stdout
    assert undo.heal(state, record.id).state == "clean"


def test_the_tick_has_overdue_ones_healed_by_a_task(
    worker: Worker, server: Server, state: Path, sleeper
) -> None:
    record = pause(state, node(sleeper))
    client = redis.Redis.from_url(server.url)
    carrying.enqueue_healing()
    assert client.llen("control") == 0
    until(lambda: undo.expired(state, record))
    carrying.enqueue_healing()
    assert json.loads(client.lpop("control"))["headers"]["task"] == "runs.heal_far"
    assert carrying.heal() == 1
    assert not warden.watching(state)


def test_an_agent_that_does_not_run_is_named_and_not_asked_again_at_once(
    server: Server, sleeper, monkeypatch
) -> None:
    monkeypatch.setitem(drivers.ANSWERS_WITHIN, "refusal", 0.3)
    one = node(sleeper, "nobody")
    for _ in range(2):
        assert "The agent nobody does not answer. Does it run?" in drivers.control(one).refusal(one)
        monkeypatch.setitem(drivers.ANSWERS_WITHIN, "refusal", 600)  # it would wait for ever


def test_without_redis_it_says_so(settings) -> None:
    settings.REDIS_URL = ""
    with pytest.raises(Unreachable, match="Redis is away"):
        carriage.post("far-away", {"do": "hello"}, 1)


def test_a_second_agent_of_the_same_name_is_refused(worker: Worker, server: Server, tmp_path: Path) -> None:
    here, elsewhere = Worker(worker.folder, server.url), Worker(tmp_path / "other", server.url)
    assert [here.process.wait(60), elsewhere.process.wait(60)] == [1, 1]
    assert "An agent called far-away runs on this host already" in here.printed()
    assert "An agent called far-away runs on another host already" in elsewhere.printed()


def test_many_ask_at_once(worker: Worker) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: carriage.post("far-away", {"do": "hello"}, 10), range(64)))
    assert {a["host"] for a in answers} == {os.uname().nodename}
