import pytest
from django.core.management import CommandError, call_command

from apps.experiments import services
from apps.experiments.models import Experiment, ExperimentVersion
from apps.runs.models import Run
from apps.schedules.models import Schedule
from apps.targets.models import Target
from engine.errors import BadInput, Refused
from tests.apps.experiments.conftest import kill_document, make_target

YAML = """\
# the leader dies
name: a node dies
target: orders
steady_state:
  - probe: memory
    tolerance: {availability: ">= 99%"}
faults:
  - {at: 0s, for: 5s, kill: {nodes: one}}
"""


def problems(document: object) -> dict[str, str]:
    with pytest.raises(BadInput) as caught:
        services.save_experiment(document, by="ada")
    return {p.where: p.message for p in caught.value.problems}


def test_saving_stores_the_first_version_with_its_text(orders: Target) -> None:
    experiment = services.save_experiment(kill_document(), by="ada")
    assert (experiment.name, experiment.target, experiment.current.number) == ("a node dies", orders, 1)
    assert experiment.current.created_by == "ada"
    assert "kill" in experiment.current.text


def test_saving_the_same_document_again_makes_no_version(dies: Experiment) -> None:
    services.save_experiment(kill_document(), by="bob", instance=dies)
    assert dies.versions.count() == 1


def test_a_change_makes_the_next_version_and_keeps_the_old_one(dies: Experiment) -> None:
    services.save_experiment(kill_document(baseline="3s"), by="bob", instance=dies)
    assert [v.number for v in dies.versions.all()] == [2, 1]
    assert dies.current.document["baseline"] == "3s"
    assert dies.versions.get(number=1).document["baseline"] == "10s"


def test_yaml_keeps_its_comments(orders: Target) -> None:
    experiment = services.save_experiment(YAML, by="ada")
    assert services.export_experiment(experiment) == YAML
    services.save_experiment(YAML.replace("leader", "other"), by="ada", instance=experiment)
    assert experiment.versions.count() == 1
    assert "# the other dies" in experiment.current.text


def test_yaml_problems_name_their_lines(orders: Target) -> None:
    with pytest.raises(BadInput) as caught:
        services.save_experiment(YAML.replace("for: 5s", "for: 5"), by="ada")
    (problem,) = caught.value.problems
    assert (problem.where, problem.line) == ("faults.0.for", 8)


def test_an_unknown_service_is_named_with_those_there_are(orders: Target) -> None:
    assert "orders" in problems(kill_document(target="nobody"))["target"]


@pytest.mark.parametrize("name", ["a\x00b", "two\nlines"])
def test_a_name_can_be_shown_on_one_line(orders: Target, name: str) -> None:
    assert "one line" in problems(kill_document(name))["name"]


def test_a_name_is_given_once(dies: Experiment) -> None:
    assert "already" in problems(kill_document())["name"]
    assert Experiment.objects.count() == 1


def test_bad_input_stores_nothing(orders: Target) -> None:
    problems(kill_document(faults=[{"at": "soon", "kill": {"nodes": 7}}]))
    assert not Experiment.objects.exists()
    assert not ExperimentVersion.objects.exists()


def test_impossible_faults_are_named_where_they_stand_in_the_document(orders: Target) -> None:
    later = {"at": "20s", "for": "1s", "latency": {"nodes": ["n0"]}}
    first = {"at": "0s", "for": "1s", "kill": {"nodes": ["n9"]}}
    found = problems(kill_document(faults=[later, first]))
    assert "n9" in found["faults.1.kill.nodes"]


def test_a_service_without_control_cannot_be_killed(db) -> None:
    make_target("bare", control="", control_params={})
    assert "controls" in " ".join(problems(kill_document(target="bare")).values())


def test_a_workload_needs_a_client_for_the_kind(db) -> None:
    make_target("web", kind="http")
    assert "http" in problems(kill_document(target="web", workload={"set": {}}))["workload.set"]


def test_deleting_removes_one_that_never_ran(dies: Experiment) -> None:
    assert "deleted" in services.delete_experiment(dies)
    assert not Experiment.objects.exists()


def test_deleting_archives_one_that_has_runs(dies: Experiment) -> None:
    Run.objects.create(version=dies.current, target=dies.target, target_document={})
    assert "archived" in services.delete_experiment(dies)
    dies.refresh_from_db()
    assert dies.archived
    assert dies.runs.count() == 1


def test_deleting_is_refused_while_a_schedule_starts_it(dies: Experiment) -> None:
    Schedule.objects.create(experiment=dies, cron="0 3 * * *")
    with pytest.raises(Refused, match="0 3"):
        services.delete_experiment(dies)


def test_saving_the_name_of_an_archived_one_brings_it_back(dies: Experiment) -> None:
    Experiment.objects.update(archived=True)
    again = services.save_experiment(kill_document(baseline="3s"), by="ada")
    assert (again.pk, again.archived, again.current.number) == (dies.pk, False, 2)


def test_importing_twice_makes_one_experiment(orders: Target) -> None:
    services.import_experiment(YAML, by="ada")
    services.import_experiment(YAML.replace("5s", "6s"), by="ada")
    assert Experiment.objects.get().current.number == 2


def test_importing_registers_the_services_described_in_the_file(db) -> None:
    described = """
targets:
  - name: orders
    kind: memory
    driver: {memory: {cluster: orders}}
    nodes: [{name: n0, address: "127.0.0.1:9100"}]
"""
    experiment = services.import_experiment(YAML + described, by="ada")
    assert experiment.target.nodes.get().control == "memory"
    assert "targets" not in experiment.current.document


def test_files_go_in_and_out_by_command(orders: Target, tmp_path, capsys) -> None:
    file = tmp_path / "dies.yaml"
    file.write_text(YAML)
    call_command("import_experiment", str(file))
    call_command("export_experiment", "a node dies")
    assert capsys.readouterr().out == "a node dies: version 1\n" + YAML
    file.write_text("name: [")
    with pytest.raises(CommandError, match="not YAML"):
        call_command("import_experiment", str(file))
    with pytest.raises(CommandError, match="no experiment"):
        call_command("export_experiment", "nothing")
