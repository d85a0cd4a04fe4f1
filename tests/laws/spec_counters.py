"""What counters must show, said in terms of the history of operations alone. Knows nothing of states, joins or entries."""

from __future__ import annotations

from collections import Counter
from typing import Any

from merge_rules.lattice import Author
from tests.laws.harness import Event, EventId, History

# ---- grow-only and PN: ("add" / "increase" / "decrease", key, amount) ---------------------------------------------------


def sums(visible: History) -> dict[Any, int]:
    """Every key that was touched, with everything that was counted up less everything that was counted down."""
    value: dict[Any, int] = {}
    for event in visible.values():
        verb, key, amount = event.operation
        value[key] = value.get(key, 0) + (-amount if verb == "decrease" else amount)
    return value


# ---- bounded: ("earn", n), ("redeem", n), ("grant", taker, n), ("receive",) ---------------------------------------


def granted(events: list[Event], donor: Author, taker: Author) -> int:
    return sum(e.operation[2] for e in events if e.author == donor and e.operation[:2] == ("grant", taker))


def received(visible: History, everything: History, taker: Author, donor: Author) -> int:
    """A taker has received what its last ``receive`` could see, however often it received."""
    seen_by_takings = [
        granted([everything[id_] for id_ in event.seen], donor, taker)
        for event in visible.values()
        if event.author == taker and event.operation == ("receive",)
    ]
    return max(seen_by_takings, default=0)


def bounded(visible: History, everything: History) -> dict[str, Any]:
    """Rights by author, receipts not borne out yet, and what is owed if there are none of those."""
    events = list(visible.values())
    people = {event.author for event in everything.values()}
    rights, pending = {}, {}
    for author in people:
        balance = 0
        for event in events:
            match event.operation:
                case ("earn", int(amount)) if event.author == author:
                    balance += amount
                case ("redeem", int(amount)) | ("grant", _, int(amount)) if event.author == author:
                    balance -= amount
        for donor in people:
            claimed, said = received(visible, everything, author, donor), granted(events, donor, author)
            balance += min(claimed, said)
            if claimed > said:
                pending[author, donor] = claimed - said
        rights[author] = max(balance, 0)
    owed = sum(
        e.operation[1] * {"earn": 1, "redeem": -1}.get(e.operation[0], 0)
        for e in events
        if len(e.operation) == 2 and e.operation[0] != "receive"
    )
    return {
        "rights": {author: amount for author, amount in rights.items() if amount},
        "pending": pending,
        "owed": None if pending else owed,
    }


def may(visible: History, everything: History, author: Author, operation: tuple[Any, ...]) -> bool:
    match operation:
        case ("redeem", amount):
            return amount <= bounded(visible, everything)["rights"].get(author, 0)
        case ("grant", taker, amount):
            return taker != author and amount <= bounded(visible, everything)["rights"].get(author, 0)
        case _:
            return True


# ---- covers: ("publish", subject, acts covered); a journal is a list of acts, an act a list of (place, amount) ----------

Act = list[tuple[tuple[Any, ...], int]]


def furthest(visible: History) -> dict[Author, int]:
    reach: Counter[Author] = Counter()
    for event in visible.values():
        _, subject, acts = event.operation
        reach[subject] = max(reach[subject], acts)
    return dict(reach)


def takings(visible: History, journals: dict[Author, list[Act]]) -> dict[tuple[Any, ...], int]:
    """Every act of every journal up to the furthest publication, once."""
    places: Counter[tuple[Any, ...]] = Counter()
    for subject, acts in furthest(visible).items():
        for act in journals[subject][:acts]:
            for place, amount in act:
                places[place] += amount
    return dict(places)


__all__ = ["Act", "EventId", "bounded", "furthest", "may", "received", "sums", "takings"]
