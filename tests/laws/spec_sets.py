"""What sets, registers, records, logs, claims and the Yjs document must show, from the history of operations alone.

Written apart from the rules: no dots, contexts or clocks, only which operations exist and what each had seen.
"""

from __future__ import annotations

from typing import Any

from merge_rules.lattice import Author
from tests.laws.harness import Event, EventId, History


def _adds(event: Event) -> object:
    return event.operation[-1] if event.operation[0] in ("add", "replace") else None


def _removes(event: Event) -> object:
    return event.operation[1] if event.operation[0] in ("remove", "replace") else None


def added(visible: History) -> set[object]:
    return {_adds(event) for event in visible.values()}


class AddWins:
    """In the set iff an addition exists that no visible removal took away; a removal takes what stood when it was made."""

    def __init__(self, everything: History) -> None:
        self.everything = everything
        self._taken: dict[EventId, set[EventId]] = {}

    def standing(self, visible: set[EventId]) -> set[EventId]:
        gone = set[EventId]().union(*map(self.taken, visible))
        return {event for event in visible if _adds(self.everything[event]) is not None} - gone

    def taken(self, removal: EventId) -> set[EventId]:
        if removal not in self._taken:
            event = self.everything[removal]
            self._taken[removal] = {
                one
                for one in (self.standing(set(event.seen)) if _removes(event) is not None else ())
                if _adds(self.everything[one]) == _removes(event)
            }
        return self._taken[removal]

    def elements(self, visible: History) -> set[object]:
        return {_adds(self.everything[event]) for event in self.standing(set(visible))}


def remove_wins(visible: History) -> set[object]:
    """In the set iff one addition has seen every removal of its element."""
    removals: dict[object, set[EventId]] = {}
    for event in visible.values():
        if _removes(event) is not None:
            removals.setdefault(_removes(event), set()).add(event.id)
    return {
        _adds(event)
        for event in visible.values()
        if _adds(event) is not None and removals.get(_adds(event), set()) <= event.seen
    }


def last_written(visible: History) -> object:
    """By stamp, then by author."""
    return max(((e.operation[1], e.author, e.operation[2]) for e in visible.values()), default=(0, b"", None))[2]


def may_write(seen: History, author: Author, operation: tuple[str, int, object]) -> bool:
    return all(operation[1] > event.operation[1] for event in seen.values())


def unseen_values(visible: History) -> set[object]:
    """What no visible write had seen."""
    return {e.operation[-1] for e in visible.values() if not any(e.id in other.seen for other in visible.values())}


def appended(visible: History) -> list[tuple[Author, int, object]]:
    return sorted((e.author, e.id.number, e.operation[1]) for e in visible.values())


def connected(claims: set[tuple[Any, Any]]) -> set[frozenset[Any]]:
    """Groups of things that share codes, by flooding."""
    groups: list[set[Any]] = []
    for thing in {thing for _, thing in claims}:
        group, size = {thing}, 0
        while len(group) != size:
            size = len(group)
            codes = {code for code, one in claims if one in group}
            group |= {one for code, one in claims if code in codes}
        groups.append(group)
    return {frozenset(group) for group in groups if len(group) > 1}


class YjsMap:
    """Each key is a tree: a write hangs below the write it replaces; of writes in the same place the greatest client's, and
    what hangs below it, comes last; the last one shows unless it was deleted. Operations whose predecessors are missing wait.
    """

    def __init__(self, everything: History, client: Any) -> None:
        self.everything = everything
        self.client = client
        self._below: dict[EventId, EventId | None] = {}

    def shown(self, visible: set[EventId]) -> dict[str, bytes]:
        applied = self.applied(visible)
        deleted = {self.below(e) for e in applied if self.everything[e].operation[0] == "delete"}
        keys = {self.everything[e].operation[1] for e in applied if self.everything[e].operation[0] == "set"}
        last = {key: self.last(applied, key) for key in keys}
        return {key: self.everything[e].operation[2] for key, e in last.items() if e is not None and e not in deleted}

    def waiting(self, visible: set[EventId]) -> int:
        return len(self.expanded(visible)) - len(self.applied(visible))

    def expanded(self, visible: set[EventId]) -> set[EventId]:
        """A snapshot brings all that it had seen; itself it says nothing new."""
        reached, todo = set[EventId](), list(visible)
        while todo:
            event = todo.pop()
            if event not in reached:
                reached.add(event)
                if self.everything[event].operation[0] == "snapshot":
                    todo += self.everything[event].seen
        return {event for event in reached if self.everything[event].operation[0] != "snapshot"}

    def applied(self, visible: set[EventId]) -> set[EventId]:
        todo, applied, grown = self.expanded(visible), set[EventId](), True
        while grown:
            ready = {e for e in todo - applied if self.needs(e) <= applied}
            applied |= ready
            grown = bool(ready)
        return applied

    def needs(self, event: EventId) -> set[EventId]:
        needs = {self.below(event)} - {None}
        if self.everything[event].operation[0] == "set":
            earlier = (EventId(event.author, n) for n in range(1, event.number))
            needs |= {e for e in earlier if self.everything[e].operation[0] == "set"}
        return {e for e in needs if e is not None}

    def below(self, event: EventId) -> EventId | None:
        if event not in self._below:
            one = self.everything[event]
            self._below[event] = self.last(self.applied(set(one.seen)), one.operation[1])
        return self._below[event]

    def last(self, applied: set[EventId], key: str) -> EventId | None:
        at: EventId | None = None
        writes = [e for e in applied if self.everything[e].operation[:2] == ("set", key)]
        while siblings := [e for e in writes if self.below(e) == at]:
            at = max(siblings, key=lambda e: self.client(e.author))
        return at
