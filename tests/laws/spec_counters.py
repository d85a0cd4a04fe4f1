"""What counters must show, said in terms of the history of operations alone. Knows nothing of states, joins or entries."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

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


# ---- covers: ("publish", subject, acts covered), ("close", acts covered) of one's own journal ---------------------------
#
# A journal is a list of acts, an act a list of (place, amount). One author lies: of others' journals it claims a multiple.

Act = list[tuple[tuple[Any, ...], int]]


class Counting(NamedTuple):
    acts: int
    """How many count."""
    lie: bool
    """Whether the liar's word for them counts."""
    rivals: frozenset[Author]
    """Whose word excludes that."""


def own_reach(visible: History, subject: Author) -> int:
    told = (e.operation[-1] for e in visible.values() if e.author == subject and e.operation[-2] in (subject, "close"))
    return max(told, default=0)


def has_closed(visible: History, subject: Author) -> bool:
    return any(e.author == subject and e.operation[0] == "close" for e in visible.values())


def may_tell(visible: History, author: Author, operation: tuple[Any, ...]) -> bool:
    """Nobody goes on after its close, or closes before what it has told."""
    match operation:
        case ("close", acts):
            return (
                acts == own_reach(visible, author)
                if has_closed(visible, author)
                else acts >= own_reach(visible, author)
            )
        case (_, subject, acts) if subject == author and has_closed(visible, author):
            return acts <= own_reach(visible, author)
        case _:
            return True


def counting(visible: History, subject: Author, liar: Author, *, convicted: bool) -> Counting | None:
    """The subject's own once it has closed; else the furthest, the liar's only if it is further than the subject's own.

    A convicted liar is heard only if nobody else has said anything.
    """
    own = own_reach(visible, subject)
    told: Counter[Author] = Counter()
    for event in visible.values():
        if event.operation[-2] == subject != event.author:
            told[event.author] = max(told[event.author], event.operation[-1])
    lie = 0 if liar == subject else told.pop(liar, 0)
    honest = max((own, *told.values()))
    if not honest and not lie:
        return None
    if has_closed(visible, subject):
        rivals = {who for who, acts in told.items() if acts > own} | ({liar} if lie >= own else set())
        return Counting(own, lie=False, rivals=frozenset(rivals))
    if lie and ((lie >= honest and lie > own and not convicted) or not honest):
        return Counting(lie, lie=True, rivals=frozenset(who for who, acts in told.items() if acts == lie))
    return Counting(honest, lie=False, rivals=frozenset({liar} if lie and lie >= own else ()))


def takings(
    visible: History, journals: dict[Author, list[Act]], liar: Author, times: int, *, convicted: bool
) -> tuple[dict[Author, Counting], dict[tuple[Any, ...], int]]:
    """What counts of every journal, and every act of it, once."""
    places: Counter[tuple[Any, ...]] = Counter()
    found: dict[Author, Counting] = {}
    for subject, journal in journals.items():
        one = counting(visible, subject, liar, convicted=convicted)
        if one is not None:
            found[subject] = one
            for act in journal[: one.acts]:
                for place, amount in act:
                    places[place] += amount * (times if one.lie else 1)
    return found, dict(places)


__all__ = ["Act", "Counting", "EventId", "bounded", "may", "may_tell", "received", "sums", "takings"]
