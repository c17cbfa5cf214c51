"""How the driver speaks to an API server: on the wire, against the tests' own (see `kubernetes_api`)."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config
from kubernetes.config import incluster_config

from engine.drivers import _kubernetes_answers as answers
from engine.drivers import _kubernetes_api as wire
from engine.drivers import _kubernetes_client as client
from engine.drivers._kubernetes_answers import Conflict, Gone, NotThere, Place, TooMany
from engine.drivers._kubernetes_api import Api
from engine.errors import Refused, Unreachable
from tests.engine.kubernetes_api import Said, Server, serving
from tests.waiting import until

PODS = Place("pods", "shop")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(answers, "PAUSE", 0.01)
    with serving(tmp_path / "pods") as one:
        one.cluster.add_node("node-1")
        yield one


@pytest.fixture
def api(server: Server, tmp_path: Path) -> Api:
    return Api(server.kubeconfig(tmp_path / "config"), "tests")


def test_what_is_not_there_is_none(api: Api) -> None:
    assert api.get(Place("pods", "shop", "none")) is None


def test_every_call_carries_the_token_and_the_patch_type(server: Server, api: Api) -> None:
    server.cluster.add_pod("one")
    api.change(Place("pods", "shop", "one"), lambda pod: {"metadata": {"labels": {"a": "b"}}})
    assert server.cluster.get("pods", "shop", "one")["metadata"]["labels"] == {"a": "b"}
    assert [one.kind for one in server.asked("PATCH", "/one$")] == ["application/merge-patch+json"]


def test_credentials_that_are_not_accepted_are_told_at_once(server: Server, tmp_path: Path) -> None:
    api = Api(server.kubeconfig(tmp_path / "other", token="stolen"))
    with pytest.raises(Unreachable, match="does not accept the credentials"):
        api.get(Place("pods", "shop", "one"))
    assert len(server.said) == 1


def test_an_api_that_nobody_answers_is_unreachable(server: Server, tmp_path: Path) -> None:
    closed = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    closed.close()
    with pytest.raises(Unreachable, match=f"The Kubernetes API at {url} did not answer: .*refused"):
        Api(server.kubeconfig(tmp_path / "closed", url)).every(PODS)


def test_a_server_that_speaks_no_tls_is_told(server: Server, tmp_path: Path) -> None:
    url = server.url.replace("http", "https")
    with pytest.raises(Unreachable, match="did not answer"):
        Api(server.kubeconfig(tmp_path / "tls", url)).every(PODS)


def test_an_unknown_context_or_file_is_told(server: Server, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"No Kubernetes cluster is configured: .*nowhere"):
        Api(server.kubeconfig(tmp_path / "config"), "nowhere")
    with pytest.raises(Unreachable, match="No Kubernetes cluster is configured"):
        Api(str(tmp_path / "no such file"))


def test_inside_a_cluster_its_own_account_is_used(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No call is made: the tests' own server speaks no TLS."""
    monkeypatch.setattr(config, "KUBE_CONFIG_DEFAULT_LOCATION", server.kubeconfig(tmp_path / "home"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert Api().host == server.url, "outside of a cluster, ~/.kube/config"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert Api().host == server.url, "a pod without a service account"
    for name in ("SERVICE_TOKEN_FILENAME", "SERVICE_CERT_FILENAME"):
        monkeypatch.setattr(incluster_config, name, str(tmp_path / name))
        (tmp_path / name).write_text("of the account")
    api = Api()
    assert api.host == "https://10.0.0.1:443"
    assert api.credentials() == {"authorization": "bearer of the account"}
    assert Api(server.kubeconfig(tmp_path / "given")).host == server.url, "a file that is given comes first"
    client._connected.cache_clear()


def test_the_file_is_read_again_when_it_has_changed(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "config"
    server.kubeconfig(file, token="old")
    with pytest.raises(Unreachable):
        Api(str(file)).every(PODS)
    assert Api(server.kubeconfig(file)).every(PODS) == []


@pytest.mark.parametrize("code", [429, 500, 503])
def test_what_may_pass_is_tried_again(server: Server, api: Api, code: int) -> None:
    server.trouble("GET", "/pods", times=2, code=code)
    assert api.every(PODS) == []
    assert len(server.asked("GET", "/pods")) == 3


@pytest.mark.parametrize(("code", "error"), [(429, TooMany), (500, Unreachable)])
def test_what_does_not_pass_is_given_up(server: Server, api: Api, code: int, error: type) -> None:
    server.trouble("GET", "/pods", times=99, code=code)
    with pytest.raises(error, match="trouble that the test made"):
        api.every(PODS)
    assert len(server.asked("GET", "/pods")) == wire.TRIES


def test_retry_after_is_honoured_and_bounded(
    server: Server, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(wire.time, "sleep", waited.append)
    server.trouble("GET", "/pods", times=1, code=429, headers={"Retry-After": "2"})
    server.trouble("GET", "/pods", times=1, code=503, headers={"Retry-After": "3600"})
    assert api.every(PODS) == []
    assert [seconds for seconds in waited if seconds > 1] == [2.0, answers.LONGEST]


def test_a_connection_that_breaks_is_tried_again(server: Server, api: Api) -> None:
    server.trouble("GET", "/pods", times=2, how="drop")
    assert api.every(PODS) == []


def test_a_server_that_hangs_is_given_up(server: Server, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ENOUGH", 0.1)
    monkeypatch.setattr(api, "_timeouts", (1.0, 0.2))
    server.trouble("GET", "/pods", times=99, how="hang")
    with pytest.raises(Unreachable, match=r"did not answer: .*timed out"):
        api.every(PODS)
    assert len(server.asked("GET", "/pods")) == 1, "no other try after ENOUGH seconds"


def test_where_somebody_waits_it_is_soon_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "QUICK", (0.2, 0.2))
    api = Api(server.kubeconfig(tmp_path / "config"), quick=True)
    server.trouble("GET", "/pods", times=99, how="hang")
    with pytest.raises(Unreachable, match="did not answer"):
        api.every(PODS)
    assert len(server.asked("GET", "/pods")) == 2


def test_a_bad_request_is_not_tried_again(server: Server, api: Api) -> None:
    server.trouble("POST", "/pods", times=9, code=422)
    with pytest.raises(Refused, match="Kubernetes answered 422 on pods in namespace shop"):
        api.call("POST", PODS, body={})
    assert len(server.asked("POST", "/pods")) == 1


def test_a_forbidden_call_names_the_verb_and_the_resource(server: Server, api: Api) -> None:
    server.denied = {("list", "pods"), ("patch", "nodes")}
    with pytest.raises(Refused, match=r"The credentials may not list pods in namespace shop: .*Grant it"):
        api.every(PODS)
    with pytest.raises(Refused, match="may not patch nodes"):
        api.change(Place("nodes", "", "node-1"), lambda node: {"metadata": {}})


def test_what_one_may_do_is_asked(server: Server, api: Api) -> None:
    server.denied = {("create", "pods/eviction")}
    assert api.may("delete", "pods", "shop")
    assert api.may("patch", "deployments/scale", "shop")
    assert api.may("create", "networkchaos", "shop")
    wanted = [("delete", "pods", "shop"), ("create", "pods/eviction", "shop")]
    assert wire.lacking(api, wanted[:1]) == ""
    assert "may not create pods/eviction in namespace shop;" in wire.lacking(api, wanted)


def test_an_unknown_group_answers_without_a_status(server: Server, api: Api) -> None:
    server.cluster.chaos_mesh = False
    with pytest.raises(NotThere):
        api.every(Place("networkchaos", "shop"))


def test_a_list_is_read_page_by_page(server: Server, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PAGE", 2)
    for i in range(5):
        server.cluster.add_pod(f"pod-{i}")
    assert [pod["metadata"]["name"] for pod in api.every(PODS)] == [f"pod-{i}" for i in range(5)]
    assert len(server.asked("GET", "/pods")) == 3


def test_pages_that_grew_too_old_are_read_anew(
    server: Server, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "PAGE", 2)
    for i in range(3):
        server.cluster.add_pod(f"pod-{i}")
    server.expire_pages = 1
    assert len(api.every(PODS)) == 3
    server.expire_pages = 99
    with pytest.raises(Unreachable, match="grew too old again and again"):
        api.every(PODS)


def test_a_patch_that_comes_too_late_reads_again(server: Server, api: Api) -> None:
    server.cluster.add_pod("one")
    others = iter(range(2))

    def edit(pod: answers.Object) -> answers.Object:
        for i in others:  # somebody else is quicker, twice
            server.cluster.patch("pods", "shop", "one", {"metadata": {"labels": {"other": str(i)}}})
            break
        return {"metadata": {"labels": {"ours": "yes"}}}

    api.change(Place("pods", "shop", "one"), edit)
    assert server.cluster.get("pods", "shop", "one")["metadata"]["labels"] == {"other": "1", "ours": "yes"}
    assert len(server.asked("PATCH", "/one")) == 3


def test_a_patch_that_always_comes_too_late_is_told(server: Server, api: Api) -> None:
    server.cluster.add_pod("one")

    def edit(pod: answers.Object) -> answers.Object:
        server.cluster.patch("pods", "shop", "one", {"metadata": {"labels": {"n": pod["metadata"]["uid"]}}})
        return {"metadata": {"labels": {"ours": "yes"}}}

    with pytest.raises(Unreachable, match="changed again and again"):
        api.change(Place("pods", "shop", "one"), edit)
    assert api.change(Place("pods", "shop", "none"), edit) is None


def test_another_object_of_the_same_name_is_not_deleted(server: Server, api: Api) -> None:
    server.cluster.add_pod("one")
    api.delete(Place("pods", "shop", "one"), "the uid of one that was there before", 0)
    assert server.cluster.there("pods", "shop")
    uid = server.cluster.get("pods", "shop", "one")["metadata"]["uid"]
    api.delete(Place("pods", "shop", "one"), uid, 0)
    api.delete(Place("pods", "shop", "one"), uid, 0)
    assert server.cluster.there("pods", "shop") == []


def test_a_conflict_and_a_gone_version_have_names(server: Server, api: Api) -> None:
    server.cluster.add_pod("one")
    with pytest.raises(Conflict):
        api.call("POST", PODS, body={"metadata": {"name": "one"}, "spec": {}})
    server.trouble("GET", "/pods", code=410)
    with pytest.raises(Gone):
        api.call("GET", PODS)


# Watches


def ending(server: Server, *, after_lists: int = 0, after_watches: int = 0) -> Place:
    """A pod that is being deleted, and goes when so many lists and watches were asked for."""
    server.cluster.goes = 60
    server.cluster.add_pod("one")
    server.cluster.delete("pods", "shop", "one", {})

    def look() -> None:
        until(lambda: len(lists(server)) >= after_lists and len(watches(server)) >= after_watches)
        server.cluster.goes = 0

    threading.Thread(target=look, daemon=True).start()
    return Place("pods", "shop", "one")


def lists(server: Server) -> list[Said]:
    return [one for one in server.asked("GET", "/pods$") if not one.query.get("watch")]


def watches(server: Server) -> list[Said]:
    return [one for one in server.asked("GET", "/pods$") if one.query.get("watch")]


def absent(now: list[answers.Object]) -> bool:
    return not now


def test_a_watch_sees_an_object_go(server: Server, api: Api) -> None:
    server.cluster.add_pod("other")
    assert api.wait(ending(server, after_watches=1), absent, 30)
    assert [one.query["allowWatchBookmarks"] for one in watches(server)] == ["true"]
    assert len(lists(server)) == 1, "no polling"


def test_a_watch_that_is_too_old_starts_from_a_fresh_list(server: Server, api: Api) -> None:
    server.expire_watches = 2
    assert api.wait(ending(server, after_watches=3), absent, 30)
    assert len(lists(server)) == 3


def test_a_watch_from_a_version_that_was_compacted_ends(server: Server, api: Api) -> None:
    server.cluster.add_pod("one")
    server.cluster.compact()
    server.cluster.add_pod("two")
    assert list(api._events(PODS, "", "", "1", wire.time.monotonic() + 5)) == []


@pytest.mark.parametrize("how", [{"how": "drop"}, {"code": 500}, {"code": 410}])
def test_a_watch_that_breaks_starts_from_a_fresh_list(
    server: Server, api: Api, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def every_at(self: Api, *args: Any) -> Any:
        found = as_it_is(self, *args)
        if not server.troubles:
            server.trouble("GET", "/pods$", **how)  # the next one is the watch
        return found

    as_it_is = Api.every_at
    monkeypatch.setattr(Api, "every_at", every_at)
    assert api.wait(ending(server, after_watches=2), absent, 30)
    assert server.troubles[0].times == 0
    assert len(lists(server)) == 2


def test_a_watch_that_the_server_ends_goes_on_from_its_bookmark(server: Server, api: Api) -> None:
    server.cluster.add_pod("one")
    server.cluster.settle()
    _, version = api.every_at(PODS)
    server.cluster.add_node("node-2")  # its version is only in a bookmark
    server.short_watches, server.expire_watches = 1, 1
    assert list(api._events(PODS, "", "", version, wire.time.monotonic() + 30)) == []
    went_on = [int(one.query["resourceVersion"]) for one in watches(server)]
    assert went_on == [int(version), server.cluster.version]


def test_a_watch_that_may_not_be_is_told(server: Server, api: Api) -> None:
    server.denied = {("watch", "pods")}
    with pytest.raises(Refused, match="may not watch pods in namespace shop"):
        api.wait(PODS, lambda now: False, 5)


def test_waiting_ends(server: Server, api: Api) -> None:
    server.cluster.add_pod("one")
    assert not api.wait(Place("pods", "shop", "one"), absent, 0.2)


def test_a_watch_by_labels_sees_what_no_longer_fits_as_gone(server: Server, api: Api) -> None:
    server.cluster.add_pod("one", labels={"a": "b"})
    seen: list[int] = []

    def done(now: list[answers.Object]) -> bool:
        if not seen:
            server.cluster.patch("pods", "shop", "one", {"metadata": {"labels": {"a": None}}})
        seen.append(len(now))
        return not now

    assert api.wait(PODS, done, 10, labels="a=b")
    assert seen[0] == 1
    until(lambda: server.cluster.get("pods", "shop", "one")["metadata"]["labels"] == {})
