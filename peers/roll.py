"""The roll: a directory that follows the roster, element by element.

What an element says is worked out once, when it is first stated. A change touches the authors and the kinds of record that it
names and nothing else, so the cost of one more enrolment does not grow with those that are there (but for copying two tables of
pointers). Law: after any changes in any order, ``directory`` equals ``Directory.build`` of what is stated then. Not for several
threads at once.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers.certificates import Certificate, Root
from peers.roster import (
    Chain,
    Closure,
    Directory,
    Guarding,
    Horizon,
    ProgrammeRecord,
    Readmission,
    Record,
    Revocation,
    SealedKey,
    StoreRecord,
    guardians_of,
    horizons_of,
    programmes_of,
    readmitted_of,
    revocations_of,
    stores_of,
)

_Said = TypeVar("_Said", bound=Record)


@dataclass(slots=True, eq=False)
class Stated:
    """An element of a roster document that was stated, and whether it is in its set now."""

    says: Chain | Record
    """An enrolment's chain, proven; of any other element its record."""
    order: tuple[bytes, bytes] = (b"", b"")
    """Records of one kind ascend by this: document and encoding."""
    present: bool = False


class Roll:
    """The elements that say something, and the directory that they make."""

    def __init__(self, root: Root) -> None:
        self._directory = Directory(root)
        self._shown: dict[Author, Chain] = {}
        self._stated: dict[Author, tuple[Stated, ...]] = {}
        self._present: dict[type[object], dict[Stated, None]] = defaultdict(dict)
        self._revoked = frozenset[Author]()
        self._authors: set[Author] = set()
        """Whose certificate or enrolment has changed since ``directory`` was made."""
        self._kinds: set[type[Record]] = set()

    def state(self, stated: Stated) -> None:
        """One more element, which is not in its set yet."""
        assert not stated.present
        if isinstance(stated.says, tuple):
            author = stated.says[0].author
            self._stated[author] = (*self._stated.get(author, ()), stated)
            self._authors.add(author)

    def turn(self, stated: Stated, *, present: bool) -> None:
        """An element comes into its set, or leaves it."""
        if stated.present is present:
            return
        stated.present = present
        if isinstance(stated.says, tuple):
            self._authors.add(stated.says[0].author)
            return
        kind = type(stated.says)
        self._kinds.add(kind)
        if present:
            self._present[kind][stated] = None
        else:
            del self._present[kind][stated]

    def forget(self, stated: Stated) -> None:
        """An element was never stated: what is read anew begins with nothing."""
        self.turn(stated, present=False)
        if isinstance(stated.says, tuple):
            author = stated.says[0].author
            left = tuple(one for one in self._stated[author] if one is not stated)
            if left:
                self._stated[author] = left
            else:
                del self._stated[author]
            self._authors.add(author)

    def show(self, chain: Chain) -> None:
        """A proven chain that stands in no roster, or not yet, and its office's."""
        for first in range(len(chain)):
            author = chain[first].author
            self._shown.setdefault(author, chain[first:])
            self._authors.add(author)

    def revoke(self, authors: frozenset[Author]) -> None:
        """Those that are cut off now, whatever is in the sets."""
        if authors != self._revoked:
            self._revoked = authors
            self._kinds.add(Revocation)

    def directory(self) -> Directory:
        """What all of it says."""
        changed: dict[str, Any] = {}
        if self._authors:
            changed |= self._known()
        for kind in self._kinds:
            changed |= self._said_by(kind)
        self._authors, self._kinds = set(), set()
        if changed:
            self._directory = dataclasses.replace(self._directory, **changed)
        return self._directory

    def _known(self) -> dict[str, Any]:
        before = self._directory
        chains, enrolled, withdrawn = dict(before.chains), set(before.enrolled), set(before.withdrawn)
        moved: dict[int | None, dict[Author, Certificate | None]] = defaultdict(dict)
        for author in self._authors:
            old, new = chains.pop(author, None), self._chain(author)
            if old is not None:
                moved[old[0].store][author] = None
            if new is not None:
                chains[author] = new
                moved[new[0].store][author] = new[0]
            stated = self._stated.get(author, ())
            here = any(one.present for one in stated)
            (enrolled.add if here else enrolled.discard)(author)
            (withdrawn.add if stated and not here else withdrawn.discard)(author)
        places = dict(before.places)
        for store, ones in moved.items():
            kept = (one for one in places.pop(store, ()) if one.author not in ones)
            now = sorted((*kept, *filter(None, ones.values())), key=lambda one: one.author)
            if now:
                places[store] = tuple(now)
        return {
            "chains": chains,
            "enrolled": frozenset(enrolled),
            "withdrawn": frozenset(withdrawn),
            "places": places,
        }

    def _chain(self, author: Author) -> Chain | None:
        """Of two authors with one id the smaller certificate is known, everywhere the same."""
        stated = [one.says for one in self._stated.get(author, ()) if isinstance(one.says, tuple)]
        return min(stated, key=lambda one: [each.der for each in one]) if stated else self._shown.get(author)

    def _said_by(self, kind: type[Record]) -> dict[str, Any]:
        if kind is StoreRecord:
            return {"stores": stores_of(self._all(StoreRecord))}
        if kind is ProgrammeRecord:
            return {"programmes": programmes_of(self._all(ProgrammeRecord))}
        if kind is Revocation:
            return {"revocations": revocations_of(self._all(Revocation), self._revoked)}
        if kind is Readmission:
            return {"readmitted": readmitted_of(self._all(Readmission))}
        if kind is Closure:
            return {"closures": tuple(self._all(Closure))}
        if kind is SealedKey:
            return {"sealed_keys": tuple(self._all(SealedKey))}
        if kind is Guarding:
            return {"guardians": guardians_of(self._all(Guarding))}
        assert kind is Horizon
        return {"horizons": horizons_of(self._all(Horizon))}

    def _all(self, kind: type[_Said]) -> Iterator[_Said]:
        present: Iterable[Stated] = sorted(self._present[kind], key=lambda one: one.order)
        return (one.says for one in present if isinstance(one.says, kind))
