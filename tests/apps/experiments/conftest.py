import pytest
from django.test import Client

from apps.experiments.models import Experiment
from apps.experiments.services import save_experiment
from apps.targets.models import Environment, Node, Target


def make_target(name: str = "orders", kind: str = "memory", **node: object) -> Target:
    environment, _ = Environment.objects.get_or_create(name="default")
    target = Target.objects.create(name=name, kind=kind, environment=environment)
    for i in range(3):
        given = {"control": "memory", "control_params": {"cluster": name}, **node}
        Node.objects.create(target=target, name=f"n{i}", address=f"127.0.0.1:{9100 + i}", position=i, **given)
    return target


def kill_document(name: str = "a node dies", target: str = "orders", **more: object) -> dict:
    return {
        "name": name,
        "target": target,
        "steady_state": [{"probe": {"memory": {}}, "every": "50ms", "tolerance": {"availability": ">= 99%"}}],
        "faults": [{"at": "0s", "for": "5s", "kill": {"nodes": ["one"]}}],
        **more,
    }


@pytest.fixture
def orders(db) -> Target:
    return make_target()


@pytest.fixture
def dies(orders: Target) -> Experiment:
    return save_experiment(kill_document(), by="ada")


@pytest.fixture
def ada(client: Client, django_user_model) -> Client:
    client.force_login(django_user_model.objects.create_superuser("ada", password="secret"))
    return client
