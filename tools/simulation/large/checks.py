"""What must hold after the day. The arithmetic is the checkers' own; what was really done is what cashiers were told.

Beside that everyone of a scope has equal fingerprints, every till's disk is asked for every act of its store.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from crdt_pos.books import Query, read
from crdt_pos.schema import DAY, JOURNAL
from gossip.document import day_number
from gossip.log import Reader
from tools.simulation.checks import body_of, number_of, sum_in
from tools.simulation.large.day import DATE, Done, equal
from tools.simulation.large.world import LargeWorld


def look(world: LargeWorld, done: Done) -> list[str]:
    """What is wrong."""
    wrongs = [f"refused: {text}" for text in done.refused[:10]]
    if not done.calm_ms or not equal(world):
        wrongs.append("they have not become equal")
    if done.closed != len(world.tills):
        wrongs.append(f"{done.closed} of {len(world.tills)} tills have closed")
    return wrongs + _acts(world, done) + _books(world, done)


def _acts(world: LargeWorld, done: Done) -> list[str]:
    """Every receipt that was given stands in one act, and every till of its store has that."""
    wrongs: list[str] = []
    written: Counter[str] = Counter()
    for store in world.stores.values():
        acts = [
            entry
            for machine in store.tills.values()
            for entry in world.own.get(machine.disk.number, ())
            if entry.document.kind == JOURNAL
        ]
        written.update(number_of(body_of(entry)) for entry in acts)
        for machine in store.tills.values():
            with machine.disk.read() as reader:
                missing = sum(reader.find(entry.hash) is None for entry in acts)
            if missing:
                wrongs.append(f"{machine.name} has lost {missing} of {len(acts)} acts of its store")
    wrongs += [
        f"{number} was given, and is written {written[number]} times"
        for number in done.receipts
        if written[number] != 1
    ]
    return wrongs


def _books(world: LargeWorld, done: Done) -> list[str]:
    """At the head office the days say, store by store and to the cent, what cashiers were told; so do the product's books."""
    wrongs: list[str] = []
    given: Counter[int] = Counter()
    for store, total_minor in done.receipts.values():
        given[store] += total_minor
    with world.office.disk.read() as reader:
        told = _takings(reader)
        books = read(reader, world.directory, Query(DATE, DATE))
    wrongs += [
        f"store {store}: the days say {told[store]}, {given[store]} was given"
        for store in world.stores
        if told[store] != given[store]
    ]
    said = sum(account.money.takings_minor for account in books.accounts)
    if said != sum(given.values()):
        wrongs.append(f"the books say {said}, {sum(given.values())} was given")
    if waiting := sum(len(account.waiting) for account in books.accounts):
        wrongs.append(f"the books wait for {waiting} tills")
    return wrongs


def _takings(reader: Reader) -> Counter[int]:
    """By store: of each till the summary that covers most."""
    best: dict[bytes, tuple[int, int, int]] = {}
    for document in reader.documents(DAY, day_number(DATE), day_number(DATE)):
        store = cast("int", document.keys[0])
        for stored in reader.head_entries(document):
            body = body_of(stored.entry)
            parts = cast("dict[bytes, dict[int, Any]]", {stored.entry.author: body, **body.get(23, {})})
            for subject, part in parts.items():
                if 0 in part and part[0][0] > best.get(subject, (0, 0, 0))[0]:
                    best[subject] = part[0][0], store, sum_in(part).takings
    found: Counter[int] = Counter()
    for _, store, takings in best.values():
        found[store] += takings
    return found
