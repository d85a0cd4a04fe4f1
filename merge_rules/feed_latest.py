"""A ``latest`` feed: the versions that one author signed in one document, as the set of its maximal ones.

    e ≤ f   iff   e == f,  or  seq(e) < seq(f) and body(e) ⊑ body(f)

where ⊑ is ``precedes`` of the document's rule; in a document of unknown kind, number alone decides. The join of two feeds is
the set of maximal versions of their union, and the feed's value is the join of its versions. An honest author's newest
version is above all its others, so its feed holds one.

Two maximal versions contradict each other: the same number twice, or a higher number that takes something back. That is a
*fork*, and any two of them are its proof. It is never refused, since what to refuse would depend on the order of arrival
and replicas would never agree again. Nothing bounds a feed here, where a state is a function of what was signed. The log keeps
the few best of many contradictions: ``gossip.log_writer``.

Reference: antichains of maximal elements, Baquero, Almeida et al., Composition of State-based CRDTs (2017), §4.6.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author, Rule

S = TypeVar("S", bound=Rule)


@dataclass(frozen=True, slots=True)
class Version(Generic[S]):
    """One signed entry of the feed, as far as order and value are concerned."""

    seq: int
    hash: bytes
    """Names the entry: equal hashes, equal entries."""
    state: S | None
    """What the entry alone contributes; ``None`` where the kind, and so the rule, is unknown."""

    def precedes(self, other: Version[S]) -> bool:
        """e ≤ f, as above."""
        if self.hash == other.hash:
            return True
        if self.seq >= other.seq:
            return False
        return self.state is None or other.state is None or self.state.precedes(other.state)


def version(rule: type[S], author: Author, seq: int, entry_hash: bytes, body: object) -> Version[S]:
    """The version of one entry. Raises ``InvalidBody`` for a body that the rule refuses."""
    return Version(seq, entry_hash, rule.from_entry(author, seq, body))


def maximal(versions: Iterable[Version[S]]) -> tuple[Version[S], ...]:
    """Those that no other is above, by ascending (seq, hash); each once."""
    different = {item.hash: item for item in versions}
    kept: list[Version[S]] = []
    # From the highest number down: whatever is above a version has been looked at before it.
    for item in sorted(different.values(), key=_order, reverse=True):
        if not any(item.precedes(above) for above in kept):
            kept.append(item)
    return tuple(reversed(kept))


@dataclass(frozen=True, slots=True)
class FeedLatest(Generic[S]):
    """The maximal versions of a feed. Make one with ``FeedLatest.of``.

    >>> from merge_rules.counter_grow import CounterGrow
    >>> anna = Author(b"anna....")
    >>> def say(seq, name, body): return FeedLatest.of([version(CounterGrow, anna, seq, name, body)])
    >>> first, second = say(1, b"a", {1: 5}), say(2, b"b", {1: 5, 2: 1})
    >>> first.join(second) == second.join(first) == second, second.proof()
    (True, None)
    >>> clone = say(2, b"c", {1: 7})                         # a copy of the disk went on by itself
    >>> here, there = second.join(clone), clone.join(first).join(second)
    >>> here == there, [v.hash for v in here.proof()], here.value().values()
    (True, [b'b', b'c'], {1: 7, 2: 1})
    """

    versions: tuple[Version[S], ...] = ()

    @classmethod
    def bottom(cls) -> FeedLatest[S]:
        """The feed of which nothing is known."""
        return cls()

    @classmethod
    def of(cls, versions: Iterable[Version[S]]) -> FeedLatest[S]:
        """The feed that has seen these versions, in whatever order."""
        return cls(maximal(versions))

    def join(self, other: FeedLatest[S]) -> FeedLatest[S]:
        """The maximal versions of both. Total."""
        return FeedLatest(maximal((*self.versions, *other.versions)))

    def precedes(self, other: FeedLatest[S]) -> bool:
        """Whether every version here has one above it in ``other``."""
        return all(any(mine.precedes(theirs) for theirs in other.versions) for mine in self.versions)

    def value(self) -> S | None:
        """The join of the versions; ``None`` for an empty feed or an unknown rule."""
        joined: S | None = None
        for item in self.versions:
            if item.state is not None:
                joined = item.state if joined is None else joined.join(item.state)
        return joined

    @property
    def forked(self) -> bool:
        """Whether the author contradicted itself."""
        return len(self.versions) > 1

    def proof(self) -> tuple[Version[S], Version[S]] | None:
        """Two versions that one honest author cannot both have signed, or ``None``. Which two is the same everywhere."""
        return (self.versions[0], self.versions[1]) if self.forked else None


def _order(item: Version[S]) -> tuple[int, bytes]:
    return item.seq, item.hash
