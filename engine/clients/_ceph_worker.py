"""Speaks to one Ceph monitor for one client, run by whichever Python has Debian's python3-rados.

    python _ceph_worker.py ADDRESS     (it says `ready`; then a command a line, and an answer a line)

librados sends what is under way anew where its monitor goes away: so it must not look for another one, and
whoever waits for an answer too long ends this process.
"""

import json
import sys

NEVER = "100000"  # seconds


def main(address: str) -> None:
    import rados  # type: ignore[import-not-found,unused-ignore]  # it comes with Debian

    options = {
        "mon_host": f"[v2:{address}]", "auth_client_required": "none", "client_mount_timeout": "2",
        "mon_client_hunt_interval": NEVER, "mon_client_ping_timeout": NEVER, "log_to_stderr": "false",
    }  # fmt: skip
    cluster = rados.Rados(conf=options)
    cluster.connect(timeout=2)
    print("ready", flush=True)
    for line in sys.stdin:
        code, out, said = cluster.mon_command(line.strip(), b"", timeout=0)
        print(json.dumps({"code": code, "out": out.decode(), "said": said}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
