"""The lab's switch: packet faults without netem, as exact as asked, at what throughput.

    python -m bench.lab [--without-root] [--rounds 5]      (make bench ONLY=lab)

The peer is a plain veth cable between two namespaces, measured in turn with ours. Delays are measured one way,
by stamps that both ends read from the same clock.
"""

import argparse
import os
import sys
from math import sqrt
from statistics import median, quantiles

from bench._cable import COUNT, FLOOD, SINK, SOURCE, STAMP, STAMPS, Way, cable, lab
from engine.lab import namespaces

MESSAGES, EVERY = 400, 0.01  # for a delay
WITHIN = 0.5  # ms
SENT = 20_000  # datagrams for a loss
SURE = 2.576  # standard deviations: 99 %
SECONDS = 1.5  # of bulk


def delays(way: Way) -> list[float]:
    """Of each datagram, in ms."""
    lines = way.measure(STAMPS, STAMP, receive=[MESSAGES], send=[MESSAGES, EVERY])
    return [int(line) / 1e6 for line in lines]


def latency(ours: Way, plain: Way) -> bool:
    good = True
    base = median(delays(plain))
    for asked in (5.0, 50.0):
        ours.disturb({"latency": asked / 1e3})
        found = delays(ours)
        error, late = median(found) - asked, quantiles(found, n=100)[98] - asked
        good &= abs(error) <= WITHIN
        print(
            f"delay of {asked:.0f} ms each way: ours {median(found):.3f} ms, peer veth with nothing asked {base:.3f} ms, "
            f"ratio {median(found) / asked:.3f} to what was asked (error p50 {error:+.3f}, p99 {late:+.3f} ms; "
            f"within {WITHIN} ms: {'held' if abs(error) <= WITHIN else 'NOT held'})"
        )
    ours.disturb({})
    return good


def loss(ours: Way, plain: Way) -> bool:
    good = True
    kept = int(plain.measure(COUNT, FLOOD, send=[SENT])[0])
    for asked in (0.01, 0.05, 0.3):
        ours.disturb({"loss": asked})
        lost = 1 - int(ours.measure(COUNT, FLOOD, send=[SENT])[0]) / SENT
        wide = SURE * sqrt(asked * (1 - asked) / SENT)
        held = abs(lost - asked) <= wide
        good &= held
        print(
            f"loss of {asked:.0%}: ours {lost:.2%}, peer veth with nothing asked {1 - kept / SENT:.2%}, "
            f"ratio {lost / asked:.3f} to what was asked (99 % of samples lie within {asked - wide:.2%} and "
            f"{asked + wide:.2%}: {'held' if held else 'NOT held'})"
        )
    ours.disturb({})
    return good


def bulk(way: Way) -> float:
    return float(way.measure(SINK, SOURCE, send=[SECONDS])[0])


def throughput(ours: Way, plain: Way, rounds: int) -> bool:
    free, delayed, peer = [], [], []
    for _ in range(rounds):
        peer.append(bulk(plain))
        free.append(bulk(ours))
        ours.disturb({"latency": 0.0001})
        delayed.append(bulk(ours))
        ours.disturb({})
    good = True
    for name, found in (("undisturbed", free), ("each packet delayed by 0.1 ms", delayed)):
        ratio = median(found) / median(peer)
        good &= ratio >= 0.5
        print(
            f"bulk, {name}: ours {median(found):.2f} Gbit/s, peer veth {median(peer):.2f} Gbit/s, ratio {ratio:.2f} "
            f"(at least 0.5: {'held' if ratio >= 0.5 else 'NOT held'})"
        )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--without-root", action="store_true", help="in a user namespace, also where we are root"
    )
    told = parser.parse_args()
    root = os.geteuid() == 0 and not told.without_root
    if why := namespaces.why_not(root):
        raise SystemExit(why)
    if not root:
        namespaces.become_root_of_my_own()
    print(f"lab, {'with' if root else 'without'} root, load {os.getloadavg()[0]:.1f}:", flush=True)
    with lab() as ours, cable() as plain:
        good = throughput(ours, plain, told.rounds)
        good &= latency(ours, plain)
        good &= loss(ours, plain)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
