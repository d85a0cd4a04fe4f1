"""Bounded counter: points, gift cards, store credit, which no two cut-off replicas may spend twice.

The *rights* to spend are divided among authors. Whoever earns holds the rights to what it earned; rights move by a grant of
the holder and a receipt of the taker. Nobody spends or grants more than it holds, so the sum never falls below zero, and
nobody need be asked.

    body     = {? 0: earned, ? 1: redeemed, ? 2: {+ taker => granted}, ? 3: {+ donor => [received, at]}}
    state    = {author: [seq] / [seq, body]}

All counts are totals since ever, from 1 where they stand. ``received`` is the total of a donor's grants up to the donor's
entry number ``at``, so a grant that arrives again counts once. An entry is checked by itself:

    redeemed + granted <= earned + received

What a receipt claims is looked up in the donor's own part. While that is older than ``at`` the receipt is *pending* and
gives no rights; once it has come that far and shows less, the two entries are the proof of a *lie* (by the taker, or by a
donor that has said different things under one number, which its feed shows as a fork).

Reference: Balegas et al., Extending Eventually Consistent Cloud Databases for Enforcing Numeric Invariants (2015); theirs
keeps one matrix of transfers that everybody merges, here each author signs its own row and column.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple, Self, cast

from merge_rules.canonical import INTEGER_MAX
from merge_rules.counter_authored import check_authors
from merge_rules.counter_nested import CounterNested, Key, Nested, checked_amount
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody, NotAllowed
from merge_rules.lattice import Author

_EARNED: Final = 0
_REDEEMED: Final = 1
_GRANTED: Final = 2
_RECEIVED: Final = 3


class Receipt(NamedTuple):
    """What a taker says it received from one donor, in all, by the donor's entry number ``at``."""

    amount: int
    at: int


class Lie(NamedTuple):
    """A receipt of more than its donor, at that number or later, says it granted."""

    taker: Author
    donor: Author
    received: int
    granted: int


@dataclass(frozen=True, slots=True)
class CounterBounded(CounterNested):
    """A counter whose value never falls below zero.

    Each operation stands for one entry: its delta has the author's next number.

    >>> store, till = Author(b"store..."), Author(b"till....")
    >>> start = CounterBounded.bottom()
    >>> here = start.join(start.earn(store, 100))
    >>> here = here.join(here.grant(store, till, 40))
    >>> there = here.join(here.receive(till, store))    # the grant has travelled to the till; now both are cut off
    >>> there = there.join(there.redeem(till, 30))
    >>> here = here.join(here.redeem(store, 60))
    >>> here.redeem(store, 1)
    Traceback (most recent call last):
    merge_rules.errors.NotAllowed: 1 is more than the 0 held here
    >>> here.join(there) == there.join(here)
    True
    >>> here.join(there).value(), here.join(there).rights(till)
    (10, 10)
    """

    # ---- operations -----------------------------------------------------------------------------------------------------

    def earn(self, author: Author, amount: int) -> Self:
        """The delta in which ``author`` issues ``amount`` and holds the rights to it. Raises ``NotAllowed``."""
        return self._says(author, {_EARNED: _grown(self.earned(author), amount)})

    def redeem(self, author: Author, amount: int, forked: Collection[Author] = ()) -> Self:
        """The delta in which ``author`` spends ``amount`` of its rights. Raises ``NotAllowed`` if it holds less.

        ``forked`` are the authors that contradicted themselves: they hold nothing.
        """
        self._must_hold(author, amount, forked)
        return self._says(author, {_REDEEMED: _grown(self.redeemed(author), amount)})

    def grant(self, author: Author, taker: Author, amount: int, forked: Collection[Author] = ()) -> Self:
        """The delta in which ``author`` gives ``amount`` of its rights to ``taker``. Raises ``NotAllowed``."""
        if author == taker:
            raise NotAllowed("rights are granted to others")
        self._must_hold(author, amount, forked)
        return self._says(author, {_GRANTED: {taker: _grown(self.granted(author).get(taker, 0), amount)}})

    def receive(self, author: Author, donor: Author) -> Self:
        """The delta in which ``author`` takes everything that ``donor`` granted it so far; bottom if there is nothing new."""
        amount = self.granted(donor).get(author, 0)
        before = self.received(author).get(donor, Receipt(0, 0))
        if author == donor or amount <= before.amount:
            return self.bottom()
        return self._says(author, {_RECEIVED: {donor: [amount, max(self.seq(donor), before.at)]}})

    # ---- reading --------------------------------------------------------------------------------------------------------

    @property
    def authors(self) -> tuple[Author, ...]:
        """Who has said something, ascending."""
        return tuple(sorted(self._parts()))

    def seq(self, author: Author) -> int:
        """The highest number of the author's entries that are joined here; 0 for none."""
        return cast("int", self._parts().get(author, [0])[0])

    def earned(self, author: Author) -> int:
        """What ``author`` issued, in all."""
        return cast("int", self._part(author).get(_EARNED, 0))

    def redeemed(self, author: Author) -> int:
        """What was redeemed at ``author``, in all."""
        return cast("int", self._part(author).get(_REDEEMED, 0))

    def granted(self, author: Author) -> dict[Author, int]:
        """What ``author`` granted to whom, in all."""
        return cast("dict[Author, int]", self._part(author).get(_GRANTED, {}))

    def received(self, author: Author) -> dict[Author, Receipt]:
        """What ``author`` says it received from whom."""
        receipts = cast("dict[Author, list[int]]", self._part(author).get(_RECEIVED, {}))
        return {donor: Receipt(*receipt) for donor, receipt in receipts.items()}

    def receivable(self, author: Author) -> dict[Author, int]:
        """What was granted to ``author`` and waits for its ``receive``, by donor."""
        waiting: dict[Author, int] = {}
        received = self.received(author)
        for donor in self.authors:
            amount = self.granted(donor).get(author, 0) - received.get(donor, Receipt(0, 0)).amount
            if amount > 0 and donor != author:
                waiting[donor] = amount
        return waiting

    def rights(self, author: Author, forked: Collection[Author] = ()) -> int:
        """What ``author`` may redeem or grant without asking: from 0.

        Receipts count as far as the donor's part here bears them out. A ``forked`` author has none.
        """
        if author in forked:
            return 0
        received = sum(
            min(receipt.amount, self.granted(donor).get(author, 0)) for donor, receipt in self.received(author).items()
        )
        return max(0, self.earned(author) + received - self.redeemed(author) - sum(self.granted(author).values()))

    def pending(self) -> dict[Author, dict[Author, int]]:
        """Taker → donor → what the taker's receipt claims and the donor's part, older than the receipt, cannot say yet."""
        waiting: dict[Author, dict[Author, int]] = {}
        for taker, donor, receipt, granted in self._unconfirmed():
            if self.seq(donor) < receipt.at:
                waiting.setdefault(taker, {})[donor] = receipt.amount - granted
        return waiting

    def lies(self) -> tuple[Lie, ...]:
        """Receipts that the donors' parts refute, by taker and donor.

        To check a proof that somebody shows, join the two entries alone: ``from_entry(…).join(from_entry(…)).lies()``.
        """
        return tuple(
            Lie(taker, donor, receipt.amount, granted)
            for taker, donor, receipt, granted in self._unconfirmed()
            if self.seq(donor) >= receipt.at
        )

    def overspent(self) -> dict[Author, int]:
        """By how much the joined part of an author breaks its bound: the loss through clones of its disk. Empty if none."""
        return {author: -free for author in self.authors if (free := _free(self._part(author))) < 0}

    def value(self) -> int:
        """What is owed: held by somebody, or granted and not yet received. From 0, in any state.

        Equal to all earned less all redeemed if nothing is pending and nobody overspent. What a receipt claims from a donor
        whose part is not here counts as granted.
        """
        owed = 0
        claims = {taker: self.received(taker) for taker in self.authors}
        granted = {donor: dict(self.granted(donor)) for donor in self.authors}
        for taker, receipts in claims.items():
            for donor, receipt in receipts.items():
                known = granted.setdefault(donor, {})
                known[taker] = max(known.get(taker, 0), receipt.amount)
        for author, grants in granted.items():
            received = sum(receipt.amount for receipt in claims.get(author, {}).values())
            owed += max(0, self.earned(author) + received - self.redeemed(author) - sum(grants.values()))
            owed += sum(
                amount - claims.get(taker, {}).get(author, Receipt(0, 0)).amount for taker, amount in grants.items()
            )
        return owed

    # ---- entries --------------------------------------------------------------------------------------------------------

    def body(self) -> object:
        """``{author: [seq] / [seq, body of the author's entry]}``."""
        return self._parts()

    @classmethod
    def from_body(cls, body: object) -> Self:
        """The state of ``body``. Raises ``InvalidBody``. Parts may overspend: that is how a joined fork looks."""
        parts = check_authors(body)
        for author, part in parts.items():
            if not isinstance(part, list):
                raise InvalidBody("a part that is no array")
            match cast("list[object]", part):
                case [seq]:
                    _count("number", seq)
                case [seq, said]:
                    _count("number", seq)
                    _check(author, said)
                case _:
                    raise InvalidBody("a part that is not [seq] or [seq, body]")
        return cls(cast("Nested", parts)) if parts else cls()

    @classmethod
    def from_entry(cls, author: Author, seq: int, body: object) -> Self:
        """The state of one entry. Raises ``InvalidBody``, also if it spends more than it earned and received."""
        if body == {}:
            return cls({author: [seq]})
        said = _check(author, body)
        if _free(said) < 0:
            raise InvalidBody(f"spent {-_free(said)} more than earned and received")
        return cls({author: [seq, cast("Nested", said)]})

    def entry_body(self, author: Author) -> object:
        """What ``author`` signs."""
        return self._part(author)

    # ---- within ---------------------------------------------------------------------------------------------------------

    def _parts(self) -> dict[Author, list[Nested]]:
        return cast("dict[Author, list[Nested]]", self.nested) if isinstance(self.nested, dict) else {}

    def _part(self, author: Author) -> dict[Key, Nested]:
        part = self._parts().get(author, [])
        return cast("dict[Key, Nested]", part[1]) if len(part) == 2 else {}

    def _says(self, author: Author, said: dict[Key, Nested]) -> Self:
        return type(self)({author: [self.seq(author) + 1, cast("Nested", said)]})

    def _must_hold(self, author: Author, amount: int, forked: Collection[Author]) -> None:
        held = self.rights(author, forked)
        if checked_amount(amount) > held:
            raise NotAllowed(f"{amount} is more than the {held} held here")

    def _unconfirmed(self) -> list[tuple[Author, Author, Receipt, int]]:
        return [
            (taker, donor, receipt, granted)
            for taker in self.authors
            for donor, receipt in sorted(self.received(taker).items())
            if (granted := self.granted(donor).get(taker, 0)) < receipt.amount
        ]


def _free(said: dict[Key, Nested]) -> int:
    earned, redeemed = cast("int", said.get(_EARNED, 0)), cast("int", said.get(_REDEEMED, 0))
    granted = cast("dict[Author, int]", said.get(_GRANTED, {}))
    received = cast("dict[Author, list[int]]", said.get(_RECEIVED, {}))
    return earned + sum(amount for amount, _ in received.values()) - redeemed - sum(granted.values())


def _check(author: Author, body: object) -> dict[Key, Nested]:
    if not isinstance(body, dict) or not body:
        raise InvalidBody("no map, or an empty one")
    said = cast("dict[Key, Nested]", body)
    for key, value in said.items():
        if type(key) is not int or not _EARNED <= key <= _RECEIVED:
            raise InvalidBody(f"an unknown field: {key!r}")
        if key in (_EARNED, _REDEEMED):
            _count("total", value)
            continue
        others = check_authors(value)
        if not others or author in others:
            raise InvalidBody("no grants or receipts, or some of one's own")
        for other in others.values():
            if key == _GRANTED:
                _count("grant", other)
                continue
            if not isinstance(other, list) or len(cast("list[object]", other)) != 2:
                raise InvalidBody("a receipt that is not [received, at]")
            for part in cast("list[object]", other):
                _count("receipt", part)
    return said


def _count(name: str, value: object) -> None:
    if type(value) is not int or not 0 < value <= INTEGER_MAX:
        raise InvalidBody(f"the {name} is no integer from 1")


def _grown(count: int, amount: int) -> int:
    grown = count + checked_amount(amount)
    if grown > INTEGER_MAX:
        raise NotAllowed("the counter is full")
    return grown
