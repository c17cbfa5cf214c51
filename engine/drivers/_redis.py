"""How Redis and Valkey servers are asked, and the Sentinels that watch them found and asked."""

import time
from collections import Counter
from typing import Any

from engine.capabilities import Captured, ReadBack
from engine.errors import EngineError, Unreachable
from engine.target import split_address

TIMEOUT = 2.0  # seconds for a server to answer
HELLO = "__sentinel__:hello"  # where each Sentinel says every two seconds where it is
HEARD = 4.5  # seconds within which each of them must have been heard
TAKES_OVER = 10.0  # seconds for another one to lead
LOOK = 0.05


def _client(address: str) -> Any:
    import redis  # not above: hosts that never speak to Redis may have none
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    host, port = split_address(address)
    return redis.Redis(
        host, port, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, decode_responses=True,
        retry=Retry(NoBackoff(), 0),
    )  # fmt: skip


def ask(address: str, *words: str | int) -> Any:
    """The reply, asked once. Raises Unreachable, or EngineError with the server's own words."""
    import redis

    try:
        with _client(address) as client:
            return client.execute_command(*words)
    except redis.ResponseError as error:
        raise EngineError(f"{address} says: {error}.") from None
    except (redis.RedisError, OSError) as error:
        raise Unreachable(f"{address} does not answer: {error}.", "Is it running?") from None


def at(host: str, port: str | int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def replicas_in(role: Any) -> list[str]:
    return [at(host, port) for host, port, *_ in role[2]]


def run_id(address: str) -> str:
    return str(ask(address, "INFO", "server")["run_id"])


def version(address: str) -> tuple[int, ...]:
    text = str(ask(address, "INFO", "server").get("redis_version", "0"))
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())


def watching(address: str) -> dict[str, Any]:
    """The Sentinels that watch the server and what they call its service; empty where none do."""
    (_, number), *_ = _pairs(ask(address, "PUBSUB", "NUMSUB", HELLO))
    if not number:
        return {}
    said = _hellos(address, number)
    if not said:
        raise Unreachable(f"Sentinels watch {address}, and none of them was heard.", "Try again.")
    names = Counter(words[4] for words in said)
    places = sorted({at(words[0], words[1]) for words in said})
    return {"sentinels": places, "master": names.most_common(1)[0][0]}


def _pairs(flat: Any) -> list[tuple[Any, int]]:
    """Name and number: as pairs, or one after the other, as the client has it."""
    if flat and isinstance(flat[0], list | tuple):
        return [(name, int(number)) for name, number in flat]
    return [(flat[0], int(flat[1]))]


def _hellos(address: str, number: int) -> list[list[str]]:
    """What `number` Sentinels say there: host, port, id, epoch, name of the service, its primary, …"""
    import redis

    heard: dict[str, list[str]] = {}
    end = time.monotonic() + HEARD
    try:
        with _client(address) as client, client.pubsub() as line:
            line.subscribe(HELLO)
            while len(heard) < number and time.monotonic() < end:
                message = line.get_message(timeout=0.2)
                words = str(message["data"]).split(",") if message and message["type"] == "message" else []
                if len(words) >= 8:
                    heard[words[2]] = words
    except redis.RedisError as error:
        raise Unreachable(f"{address} does not answer: {error}.", "Is it running?") from None
    return list(heard.values())


def named(captured: Captured) -> tuple[str | None, str]:
    """Whom most of the Sentinels name as the primary, or None, and how many that are, in words."""
    votes: Counter[str] = Counter()
    for place in captured["sentinels"]:
        try:
            host, port = ask(place, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", captured["master"])
            votes[at(host, port)] += 1
        except EngineError:
            continue
    if not votes:
        raise Unreachable("None of the Sentinels answers.", "Are they running?")
    place, number = votes.most_common(1)[0]
    said = f"{number} of {len(captured['sentinels'])} Sentinels"
    return (place if 2 * number > len(captured["sentinels"]) else None), said


def replace_primary(captured: Captured) -> str:
    """Returns when most Sentinels name another primary; gives its address."""
    before, _ = named(captured)
    why = EngineError("No Sentinel took the order.")
    for place in captured["sentinels"]:
        try:
            ask(place, "SENTINEL", "FAILOVER", captured["master"])
            break
        except EngineError as error:
            if "INPROG" in str(error):
                break
            why = error
    else:
        raise why
    end = time.monotonic() + TAKES_OVER
    while time.monotonic() < end:
        now, _ = named(captured)
        if now not in (None, before):
            return str(now)
        time.sleep(LOOK)
    raise EngineError(f"The Sentinels named no other primary within {TAKES_OVER:.0f} s.")


def led_by_sentinels(captured: Captured) -> ReadBack:
    place, number = named(captured)
    if place is None:
        return ReadBack(False, "the Sentinels do not agree who leads")
    if ask(place, "ROLE")[0] != "master":
        return ReadBack(False, f"{place} is named by {number}, and does not lead yet")
    old = captured["me"]
    if _takes_itself_for_primary(old) and run_id(old) != run_id(place):
        return ReadBack(False, f"{place} leads, and {old} still takes itself for the primary too")
    return ReadBack(True, f"{place} leads, as {number} say")


def _takes_itself_for_primary(address: str) -> bool:
    try:
        return bool(ask(address, "ROLE")[0] == "master")
    except EngineError:
        return False
