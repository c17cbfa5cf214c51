"""What has passed, as Prometheus reads it, under Toxiproxy's names."""

from engine.proxy.link import Link

KIND = "text/plain; version=0.0.4; charset=utf-8"
_HELP = {
    "received": "The total number of bytes received on a given proxy link in a given direction",
    "sent": "The total number of bytes sent on a given proxy link in a given direction",
}


def text(links: dict[str, Link]) -> str:
    lines = []
    for what, help in _HELP.items():
        name = f"toxiproxy_proxy_{what}_bytes_total"
        lines += [f"# HELP {name} {help}", f"# TYPE {name} counter"]
        for link in links.values():
            for side in (link.down, link.up):
                labels = {"direction": side.stream, "listener": link.listen, "proxy": link.name,
                          "upstream": link.upstream}  # fmt: skip
                shown = ",".join(f'{label}="{_quoted(value)}"' for label, value in labels.items())
                lines.append(f"{name}{{{shown}}} {getattr(side, what)}")
    return "\n".join([*lines, ""])


def _quoted(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
