"""What each kind of finding is called by people, and what it means for whoever uses the system."""

from typing import NamedTuple


class Anomaly(NamedTuple):
    title: str
    means: str


TIMED = " in real time"
NAMES = {
    "not linearizable": Anomaly(
        "An answer that a single copy of the data could not have given",
        "In whatever order the operations took effect, these answers do not fit: so there were copies that differed.",
    ),
    "not sequentially consistent": Anomaly(
        "Answers that no order of all clients' operations explains",
        "Even old answers must come in one order for all; here one client saw things in another order.",
    ),
    "lost": Anomaly(
        "A write that was acknowledged is lost", "The client was told that it is stored, and it is gone."
    ),
    "unexpected": Anomaly(
        "Something is there that nobody put there", "An answer holds what was never written for certain."
    ),
    "duplicated": Anomaly("Something is there twice", "What was put in once came back more than once."),
    "stale": Anomaly(
        "A read that was too old", "It was answered from a copy that lacked what was already acknowledged."
    ),
    "stale read": Anomaly(
        "A read that was too old", "It was answered from a copy that had fallen further behind than allowed."
    ),
    "resurrected": Anomaly(
        "Something was gone, and came back", "One copy of the data lacked for a while what others had shown."
    ),
    "vanished": Anomaly(
        "Something was seen, and is gone", "A client has read it, so it was there; later it is not."
    ),
    "read your writes": Anomaly(
        "A client does not find what it wrote itself", "Whoever saves and reloads sees the old state."
    ),
    "monotonic reads": Anomaly(
        "A client went back in time", "It had seen a newer value, and was then shown an older one."
    ),
    "monotonic writes": Anomaly(
        "The writes of one client came in another order", "A later write was visible, an earlier one was not."
    ),
    "writes follow reads": Anomaly(
        "An answer was visible before its question",
        "A value was there that had been written by one who had read a newer value than what was read next.",
    ),
    "out of bounds": Anomaly(
        "A count that cannot be", "No choice of the additions that may have counted makes this sum."
    ),
    "fallen": Anomaly(
        "A counter that went down", "Nothing was taken away, and yet it was lower than before."
    ),
    "wrong total": Anomaly(
        "Money came or went", "Transfers only move money: the total of all accounts must stay the same."
    ),
    "wrong accounts": Anomaly("An account came or went", "Not every read shows the same accounts."),
    "overdrawn": Anomaly("An account below nothing", "A transfer took what was not there."),
    "out of order": Anomaly("A queue that jumped its order", "What went in first must come out first."),
    "not empty": Anomaly(
        "A queue called empty that was not", "Whoever polls it would have believed that all work was done."
    ),
    "G0": Anomaly("Dirty write (G0)", "The writes of two transactions are mixed up with one another."),
    "G1a": Anomaly("Aborted read (G1a)", "A transaction read what another had written and then taken back."),
    "G1b": Anomaly("Intermediate read (G1b)", "A transaction read another's work when it was half done."),
    "G1c": Anomaly(
        "Circular information flow (G1c)", "Each of the transactions has seen the work of the other."
    ),
    "G-single": Anomaly(
        "Read skew (G-single)",
        "A transaction saw one part of the data from before another transaction, and one from after it.",
    ),
    "G-nonadjacent": Anomaly(
        "Snapshots that do not fit together (G-nonadjacent)",
        "Each transaction saw a state that could have been there, and no order of those states makes them one.",
    ),
    "G2-item": Anomaly(
        "Write skew (G2-item)",
        "Each transaction decided by what it had read, and did not see what the other was changing.",
    ),
    "lost update": Anomaly(
        "Lost update", "Two transactions changed the same version: one of the changes never counted."
    ),
    "internal": Anomaly(
        "A transaction that does not see itself", "Within one transaction its own changes must be visible."
    ),
    "non-repeatable read": Anomaly(
        "Non-repeatable read", "Within one transaction the same data was read twice, and had changed."
    ),
    "unwritten": Anomaly("A value that nobody wrote", "It came from nowhere."),
    "duplicate": Anomaly("An append that counted twice", "It was made once, and is in the list twice."),
    "incompatible order": Anomaly(
        "Two orders of the same list", "One reader saw the elements in one order, another in another."
    ),
    "no serial order": Anomaly(
        "Answers that no order of the transactions explains",
        "Had they run one after the other, in whichever order, they could not have been answered so.",
    ),
}
EDGES = {
    "ww": "overwrites",
    "wr": "is read by",
    "rw": "read before",
    "process": "same client, earlier",
    "real time": "ended before it began",
}


def anomaly(kind: str) -> Anomaly:
    """One that is not known by name is called by its kind."""
    if kind in NAMES:
        return NAMES[kind]
    base = NAMES.get(kind.removesuffix(TIMED))
    if base and kind.endswith(TIMED):
        return Anomaly(f"{base.title}, by the clock", f"{base.means} It shows only by when they ran.")
    return Anomaly(kind[:1].upper() + kind[1:], "")
