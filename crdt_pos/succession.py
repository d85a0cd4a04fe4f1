"""Which letter a rebuilt head office takes, and which office it follows. Pure.

An office counts the lives that it gives under its letter, so that two offices never give one life twice, whatever they know of
each other: all that must hold is that no letter is used twice. Of the lives that a lost office gave nothing need be known.

The letters that were used stand in the roster, which every till has; the one after the greatest is new, unless there is an
office of which only tills know that have not been heard. So one till of every store must be, or a person says which letter
is free.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from crdt_pos.columns import listing
from crdt_pos.errors import EnrolmentRefused
from merge_rules.lattice import Author
from peers import incarnation
from peers.certificates import Certificate
from peers.roster import Directory


def told_of(shared: Collection[str], stores: Iterable[int]) -> set[int]:
    """The stores of which a replica has told what it holds, once it has told everything in the ``shared`` scopes."""
    return {store for store in stores if f"store/{store}" in shared}


def all_told(named: Iterable[Author | None], told: Collection[Author]) -> bool:
    """Whether each of those that a person named is among those that have told everything; ``None``: not even met."""
    return all(one is not None and one in told for one in named)


def check_letter(letter: str) -> None:
    """Raise ``EnrolmentRefused`` for what no office may be called; empty is to be chosen."""
    try:
        if letter:
            incarnation.office_incarnation(letter)
    except ValueError as error:
        raise EnrolmentRefused(f"{letter!r} is no letter: write one to three from a to z.") from error
    if letter == incarnation.PASSING:
        raise EnrolmentRefused(f"{letter!r} is what offices are called while they are rebuilt: choose another.")


def next_letter(directory: Directory, named: str, silent_stores: Sequence[int]) -> str:
    """The letter of the next office: ``named`` by a person, or the next that is free. Raises ``EnrolmentRefused``."""
    known = sorted(directory.letters(), key=lambda letter: (len(letter), letter))
    if named in known:
        raise EnrolmentRefused(f"Letter {named} was used before: name one that never was; known are {listing(known)}.")
    if silent_stores and not named:
        stores = listing([f"store {store}" for store in silent_stores])
        raise EnrolmentRefused(
            f"Nothing was heard from {stores}, whose tills may know of a head office that the others do not: name one of "
            "them with --from HOST:PORT, or name a letter with --letter that no head office ever had; known are "
            f"{listing(known)}."
        )
    return named or directory.next_letter()


def predecessors(directory: Directory, named: Sequence[str], alive: Collection[Author]) -> list[Certificate]:
    """The offices that are gone: those ``named``. Raises ``EnrolmentRefused``.

    None is closed, which is for ever, because it was merely not heard: a person says that it is gone.
    """
    offices = directory.offices()
    unknown = sorted(set(named) - {one.name for one in offices})
    if unknown:
        known = listing([one.name for one in offices]) or "none"
        raise EnrolmentRefused(f"No head office {unknown[0]} takes part; those that do: {known}.")
    if named:
        return [one for one in offices if one.name in named]
    silent = [one for one in offices if one.author not in alive]
    if len(silent) > 1:
        said = listing([one.name for one in silent])
        raise EnrolmentRefused(f"Nothing was heard from {said}: say with --lost NAME which of them is gone for good.")
    if silent:
        name = silent[0].name
        raise EnrolmentRefused(
            f"Nothing was heard from {name}, which may only be silent: if it is gone for good, say --lost {name}, which "
            "ends it for ever."
        )
    if offices:
        raise EnrolmentRefused(f"{offices[0].name} was heard and takes part: use 'crdt-pos office add' there.")
    return []
