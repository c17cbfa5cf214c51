import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from engine.lab.links import Door
from engine.lab.places import Place
from engine.lab.programs import CEPH_MON, MONMAPTOOL, Program, run
from engine.lab.server import Server
from engine.lab.site import Site
from engine.lab.systems import System

if TYPE_CHECKING:
    from engine.lab.cluster import Cluster

FSID = "1ab00000-0000-4000-8000-000000000000"
CONF = """\
[global]
fsid = {fsid}
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_allow_insecure_global_id_reclaim = false
mon_initial_members = {names}
mon_host = {addresses}
ms_bind_msgr1 = false
mon_data_avail_crit = 1
mon_data_avail_warn = 2
mon_lease = 1
mon_election_timeout = 1
mon_allow_pool_delete = true
run_dir = {folder}
admin_socket = {folder}/$name.asok
log_file = {folder}/$id.log
crash_dir = {folder}
"""


@dataclass(frozen=True)
class CephMon(System):
    """The monitors of a Ceph cluster, which keep its maps on Paxos."""

    kinds: ClassVar[Mapping[str, str]] = {"": "ceph-mon"}
    needs: ClassVar[tuple[Program, ...]] = (CEPH_MON, MONMAPTOOL)
    linked: ClassVar[str] = "monitors, and clients and each monitor"

    def lay_out(self, site: Site) -> list[Server]:
        rows = [
            (name, place, site.door(f"{place.host}:{port}"))
            for name, place, (port,) in zip(self.names, site.places, site.ports(3300), strict=True)
        ]
        conf, monmap = site.directory / "ceph.conf", site.clear("monmap")
        addresses = {name: f"v2:{door.listen}/0" for name, _, door in rows}
        conf.write_text(
            CONF.format(fsid=FSID, names=",".join(addresses), folder=site.directory,
                        addresses=",".join(f"[{one}]" for one in addresses.values()))
        )  # fmt: skip
        run(MONMAPTOOL.get(), "--create", "--fsid", FSID, str(monmap), "--set-min-mon-release", "16")
        for name, address in addresses.items():
            run(MONMAPTOOL.get(), "--addv", name, f"[{address}]", str(monmap))
        return [self._server(site, *row) for row in rows]

    def _server(self, site: Site, name: str, place: Place, door: Door) -> Server:
        """All know a monitor by one address, clients too: it lets nobody in who asks for another one."""
        data = site.fresh(f"{name}.data")
        mon = (CEPH_MON.get(), "-c", str(site.directory / "ceph.conf"), "-i", name, "--mon-data", str(data))
        run(*mon, "--mkfs", "--monmap", str(site.directory / "monmap"))
        behind = door.listen != door.upstream
        listens = ("--public-bind-addr", f"v2:{door.upstream}") if behind else ()
        return Server(name, door.listen, site.directory, place, (*mon, *listens, "-f"), doors=(door,))

    def ready(self, cluster: "Cluster") -> bool:
        states = [_state(cluster, node.name) for node in cluster.nodes]
        return sorted(states) == ["leader"] + ["peon"] * (self.nodes - 1)


def _state(cluster: "Cluster", name: str) -> str:
    """What a monitor says of itself at its admin socket: a length of four bytes, then JSON."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(cluster.directory / f"mon.{name}.asok"))
            connection.sendall(b'{"prefix": "mon_status"}\0')
            answer = connection.makefile("rb")
            answer.read(4)
            return str(json.loads(answer.read())["state"])
    except (OSError, ValueError, KeyError):
        return ""
