"""Control groups: of this machine where they are there, whichever version; texts and a fake tree besides."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine import undo
from engine.capabilities import Limit
from engine.drivers.process import Process
from engine.errors import Refused
from engine.faults.throttle import Throttle
from engine.host import cgroups, hierarchies
from engine.host.hierarchies import Mount
from engine.processes import identity, status
from engine.target import Node
from tests.waiting import until

MIB = 2**20
ROOT = Path(__file__).resolve().parents[2]
HYBRID = """\
31 23 0:28 / /sys/fs/cgroup ro,relatime - tmpfs tmpfs ro,mode=755
32 31 0:29 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:10 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
35 31 0:32 /docker/4f /mnt/my\\040groups rw,relatime - cgroup cgroup rw,memory
"""
# A process that does as it is told, a line at a time: takes memory, forks, keeps a processor busy.
OBEDIENT = """
import os, sys, time
held = []
for line in sys.stdin:
    what, _, much = line.strip().partition(" ")
    if what == "take":
        held.append(os.urandom(int(much) * 2**20))
    if what == "fork":
        pid = os.fork()
        if pid == 0:
            time.sleep(600)
        print(pid, flush=True)
    if what == "burn":
        while True:
            pass
    print("done", flush=True)
"""


class Obedient:
    def __init__(self) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-c", OBEDIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.child.pid
        self.driver = Process(pid=self.pid)
        self.node = Node("one", "127.0.0.1:1", control="process", control_params={"pid": self.pid})

    def tell(self, line: str) -> None:
        self.child.stdin.write(f"{line}\n")
        self.child.stdin.flush()

    def hear(self) -> str:
        return self.child.stdout.readline().strip()

    def end(self) -> None:
        if self.child.poll() is None:
            for process in psutil.Process(self.pid).children(recursive=True):
                process.kill()
        self.child.kill()
        self.child.communicate()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    return tmp_path


@pytest.fixture
def mark() -> Iterator[str]:
    if why := cgroups.available():
        assert os.environ.get("CI") != "true", why
        pytest.skip(why)
    mark = uuid.uuid4().hex
    yield mark
    assert cgroups.left(mark) == []


@pytest.fixture
def one(mark: str) -> Iterator[Obedient]:
    """A process in groups of its own, which the tests make, and not in those of whoever runs the tests."""
    one = Obedient()
    made = {hierarchies.base(group) / f"test-{mark}" for group in homes(os.getpid()).values()}
    for group in made:
        group.mkdir()
        (group / "cgroup.procs").write_text(str(one.pid))
    yield one
    one.end()
    for group in made:
        until(lambda group=group: removed(group))


def removed(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError:
        return not group.exists()
    return True


def homes(pid: int) -> dict[str, Path | None]:
    return {controller: hierarchies.place(pid, controller) for controller in cgroups.CONTROLLERS}


# What the kernel's files say


def test_the_hierarchies_of_a_mixed_host_are_read() -> None:
    found = hierarchies.mounts(HYBRID)
    assert [(m.at, m.root, m.version) for m in found] == [
        ("/sys/fs/cgroup/unified", "/", 2),
        ("/sys/fs/cgroup/cpu,cpuacct", "/", 1),
        ("/sys/fs/cgroup/systemd", "/", 1),
        ("/mnt/my groups", "/docker/4f", 1),
    ]
    assert [{"cpu", "memory"} & m.controllers for m in found] == [set(), {"cpu"}, set(), {"memory"}]


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("0::/system.slice/etcd.service\n", {"": "/system.slice/etcd.service"}),
        ("4:cpu,cpuacct:/a:b\n3:memory:/\n1:name=systemd:/x\n0::/x\n",
         {"cpu": "/a:b", "cpuacct": "/a:b", "memory": "/", "name=systemd": "/x", "": "/x"}),
        ("", {}),
    ],
)  # fmt: skip
def test_the_groups_of_a_process_are_read_in_both_versions(text: str, groups: dict[str, str]) -> None:
    assert hierarchies.paths(text) == groups


def test_a_group_is_found_where_only_a_part_of_its_hierarchy_is_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Mount(str(tmp_path), "/docker/4f", 1, frozenset({"rw", "memory"}))
    (tmp_path / "sub").mkdir()
    monkeypatch.setattr(hierarchies, "mounted", lambda: [part])
    for path, group in [("/docker/4f/sub", tmp_path / "sub"), ("/docker", None), ("/../other", None)]:
        monkeypatch.setattr(hierarchies, "paths", lambda text, path=path: {"memory": path})
        assert hierarchies.place(1, "memory") == group


# A fake directory tree: no kernel behind it


def fake_v2(at: Path, **files: str) -> Path:
    for group in (at, at / "slice", at / "slice" / "it.service"):
        group.mkdir(exist_ok=True)
        (group / "cgroup.controllers").write_text("cpu memory pids\n")
        (group / "cgroup.subtree_control").write_text("memory\n" if group == at else "\n")
        if group != at:
            (group / "cgroup.type").write_text("domain\n")
    for name, text in files.items():
        (at / "slice" / "it.service" / name.replace("_", ".")).write_text(text)
    return at / "slice" / "it.service"


def test_on_a_fake_tree_of_v2_our_group_is_beside_the_leaf_and_below_the_top(tmp_path: Path) -> None:
    leaf = fake_v2(tmp_path)
    assert hierarchies.base(leaf) == leaf.parent
    assert hierarchies.base(tmp_path) == tmp_path
    (tmp_path / "cgroup.type").write_text("domain\n")  # as the top of a container's view
    with pytest.raises(Refused, match="uppermost control group to be seen"):
        hierarchies.base(tmp_path)


def test_on_a_fake_tree_of_v2_it_is_seen_where_a_controller_is_not_handed_down(tmp_path: Path) -> None:
    leaf = fake_v2(tmp_path)
    (leaf.parent / "cgroup.controllers").write_text("memory\n")
    assert hierarchies.off(leaf.parent, "cpu") == [str(tmp_path), str(leaf.parent)]
    assert hierarchies.off(leaf.parent, "memory") == [str(leaf.parent)]
    assert hierarchies.off(tmp_path, "memory") == []


def test_on_a_fake_tree_of_v2_limits_are_written_and_stricter_ones_stay(tmp_path: Path) -> None:
    leaf = fake_v2(tmp_path, cpu_max="max 100000\n", memory_max="max\n")
    cgroups._limit(leaf, "cpu", 0.25)
    cgroups._limit(leaf, "memory", 7 * MIB)
    assert (leaf / "cpu.max").read_text() == "25000 100000"
    assert (leaf / "memory.max").read_text() == str(7 * MIB)
    cgroups._limit(leaf, "cpu", 1.0)
    cgroups._limit(leaf, "memory", 9 * MIB)
    assert (leaf / "cpu.max").read_text() == "25000 100000"
    assert (leaf / "memory.max").read_text() == str(7 * MIB)


def test_on_a_fake_tree_of_v2_a_controller_that_somebody_uses_by_now_stays(tmp_path: Path) -> None:
    leaf = fake_v2(tmp_path, cpu_max="max 100000\n", cpu_weight="100\n")
    cgroups._switch_off("cpu", [str(leaf.parent)])
    assert (leaf.parent / "cgroup.subtree_control").read_text() == "-cpu"
    (leaf.parent / "cgroup.subtree_control").write_text("cpu")
    (leaf / "cpu.max").write_text("50000 100000\n")
    cgroups._switch_off("cpu", [str(leaf.parent)])
    assert (leaf.parent / "cgroup.subtree_control").read_text() == "cpu"


# The real groups of this machine


def test_a_throttled_process_gets_little_computing_time_and_all_of_it_again(one: Obedient, mark: str) -> None:
    before = homes(one.pid)
    one.tell("burn")
    captured = one.driver.capture_limits(one.node)

    one.driver.limit(captured, mark, 0.1, None)

    [group] = cgroups.left(mark)
    until(lambda: throttled(Path(group)) > 5)
    began, used = time.monotonic(), burnt(one.pid)
    until(lambda: burnt(one.pid) - used > 0.05)
    assert (burnt(one.pid) - used) / (time.monotonic() - began) < 0.6  # asked for: 0.1
    assert "is still there" in one.driver.unlimited(captured, mark).text
    for _ in range(2):
        one.driver.unlimit(captured, mark)
        assert one.driver.unlimited(captured, mark).gone is True
    assert homes(one.pid) == before


def throttled(group: Path) -> int:
    """In how many periods the group had used up its computing time."""
    text = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(text["nr_throttled"])


def burnt(pid: int) -> float:
    return sum(psutil.Process(pid).cpu_times()[:2])


def test_a_process_that_needs_more_memory_than_it_may_have_is_ended_by_the_kernel(
    one: Obedient, mark: str
) -> None:
    one.tell("take 8")
    assert one.hear() == "done"
    captured = one.driver.capture_limits(one.node)
    one.driver.limit(captured, mark, None, psutil.Process(one.pid).memory_info().rss + 64 * MIB)

    one.tell("take 16")
    assert one.hear() == "done"
    one.tell("take 256")
    assert one.hear() == ""
    assert one.child.wait(30) == -signal.SIGKILL

    one.driver.unlimit(captured, mark)
    assert one.driver.unlimited(captured, mark).gone is True


def test_a_limit_below_what_is_held_already_is_refused(one: Obedient, mark: str) -> None:
    one.tell("take 32")
    assert one.hear() == "done"
    with pytest.raises(Refused, match="holds more memory than that already"):
        one.driver.limit(one.driver.capture_limits(one.node), mark, None, 16 * MIB)


def test_what_is_forked_meanwhile_comes_back_too(one: Obedient, mark: str) -> None:
    before = homes(one.pid)
    one.tell("fork")
    elder, _ = int(one.hear()), one.hear()
    captured = one.driver.capture_limits(one.node)
    one.driver.limit(captured, mark, 0.5, 2**34)
    one.tell("fork")
    younger, _ = int(one.hear()), one.hear()
    assert len(cgroups.left(mark)) == len({hierarchies.base(g) for g in before.values() if g})
    for pid in (one.pid, elder, younger):
        assert all(group.name == f"chaosboard-{mark}" for group in homes(pid).values() if group)

    one.driver.unlimit(captured, mark)

    assert homes(one.pid) == homes(elder) == homes(younger) == before


def test_only_what_carries_the_mark_is_removed(one: Obedient, mark: str) -> None:
    captured = one.driver.capture_limits(one.node)
    one.driver.limit(captured, mark, 0.5, None)
    one.driver.unlimit(captured, uuid.uuid4().hex)
    assert cgroups.left(mark)
    one.driver.unlimit(captured, mark)


def test_healing_a_throttle_in_another_process_needs_only_the_record(
    one: Obedient, mark: str, state: Path
) -> None:
    before = homes(one.pid)
    record = undo.inject(state, undo.prepare(state, "r", "f0", "throttle", Throttle(cpu=0.2), one.node, 60))
    assert homes(one.pid) != before
    command = [sys.executable, "-m", "engine", "heal", "--all", "--state", str(state)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "is in its own control groups again" in told
    assert homes(one.pid) == before
    assert cgroups.left(record.id) == []


def test_the_warden_takes_the_limits_away_when_who_set_them_is_killed(
    one: Obedient, mark: str, state: Path
) -> None:
    before = homes(one.pid)
    script = f"""
import time
from pathlib import Path
from engine import undo, warden
from engine.faults.throttle import Throttle
from engine.target import Node
state = Path({str(state)!r})
node = Node("one", "127.0.0.1:1", control="process", control_params={{"pid": {one.pid}}})
warden.ensure(state)
fault = Throttle(cpu=0.2, memory=2**34)
record = undo.inject(state, undo.prepare(state, "r", "f0", "throttle", fault, node, 600))
print(record.id, flush=True)
while True:
    undo.renew(state, record)
    time.sleep(0.2)
"""
    injector = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    id = injector.stdout.readline().strip()
    assert cgroups.left(id)
    injector.kill()
    injector.communicate()

    until(lambda: undo.records(state) == [], undo.LEASE + 10)

    assert cgroups.left(id) == []
    assert homes(one.pid) == before
    assert status(identity(one.pid)) != "gone"
    end_warden(state)


def end_warden(state: Path) -> None:
    for process in psutil.process_iter(["cmdline"]):
        if {"warden", str(state)} <= set(process.info["cmdline"] or []):
            os.kill(process.pid, signal.SIGTERM)


def test_in_a_real_hierarchy_of_v2_processes_move_beside_their_leaf_and_come_back(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any controller that v2 has here: where v1 holds cpu and memory, only others are left to v2."""
    top = next((Path(m.at) for m in hierarchies.mounted() if m.version == 2 and m.root == "/"), None)
    free = sorted({"hugetlb", "misc", "rdma", "memory"} & set(hierarchies.counted_by(top) if top else []))
    if not top or not free:
        pytest.skip("no hierarchy of v2 is mounted here with a controller that is free")
    monkeypatch.setattr(cgroups, "CONTROLLERS", (free[0],))
    branch = top / f"test-{mark}"
    (branch / "leaf").mkdir(parents=True)
    handed_down = (top / "cgroup.subtree_control").read_text()
    one = Obedient()
    (branch / "leaf" / "cgroup.procs").write_text(str(one.pid))
    try:
        captured = cgroups.capture([one.pid])
        made = cgroups._make(captured, free[0], mark)
        cgroups._fill(made, lambda: {one.pid})
        assert made == branch / f"chaosboard-{mark}"
        assert hierarchies.place(one.pid, free[0]) == made
        assert free[0] in hierarchies.counted_by(made)
        cgroups.unlimit(captured, mark)
        assert hierarchies.place(one.pid, free[0]) == branch / "leaf"
        assert (top / "cgroup.subtree_control").read_text() == handed_down
        assert (branch / "cgroup.subtree_control").read_text().split() == []
    finally:
        one.end()
        until(lambda: removed(branch / "leaf"))
        until(lambda: removed(branch))


# Why not


def test_a_read_only_mount_and_a_missing_right_are_told_in_words(mark: str) -> None:
    base = hierarchies.base(next(group for group in homes(os.getpid()).values() if group))
    at = next(m.at for m in hierarchies.mounted() if str(base).startswith(m.at))
    told = asked(["unshare", "-m", "sh", "-c", f'mount -o remount,bind,ro {at} && exec "$@"', "sh"], "")
    assert "mounted read-only" in told
    assert "belongs to root and is not delegated" in asked([], "os.setresuid(65534, 65534, 65534)")


def asked(before: list[str], first: str) -> str:
    code = f"import os; from engine.capabilities import Limit; from engine.drivers.process import Process; {first}"
    command = [*before, sys.executable, "-c", f"{code}\nprint(Process(pid=1).cannot(Limit))"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_the_process_driver_offers_it_where_groups_can_be_made(mark: str) -> None:
    assert Process(pid=1).cannot(Limit) == ""
