"""Balances: points, gift cards and store credit as bounded counters, one document for each programme and account.

A till spends its own rights and no others, so two tills that are cut off from each other never redeem the same point. What
others have granted to it is received in the very entry that spends it.
"""

from __future__ import annotations

from crdt_pos.errors import NotEnoughRights
from crdt_pos.forks import liars
from crdt_pos.receipt import AccountMovement
from crdt_pos.requests import Redeemable
from crdt_pos.schema import BALANCE
from gossip.document import Document
from gossip.log import Reader
from merge_rules.counter_bounded import CounterBounded
from merge_rules.dataclass import dataclass, replace
from merge_rules.lattice import Author


def balance_document(programme: str, account: bytes) -> Document:
    """``balance/<programme>/<account>``."""
    return Document(BALANCE, 0, (programme, account))


@dataclass(frozen=True, slots=True)
class Balance:
    """An account as it is known here, and who contradicted itself in it or is proven to have done so anywhere: it holds
    nothing until that is settled."""

    counter: CounterBounded
    forked: frozenset[Author]
    lost: frozenset[Author] = frozenset()
    """Who is revoked: what it held nobody can spend."""

    @classmethod
    def read(cls, reader: Reader, programme: str, account: bytes) -> Balance:
        """The join of the current entries."""
        counter = CounterBounded.bottom()
        seen: set[Author] = set()
        forked: set[Author] = set()
        for stored in reader.head_entries(balance_document(programme, account)):
            entry = stored.entry
            (forked if entry.author in seen else seen).add(entry.author)
            counter = counter.join(CounterBounded.from_entry(entry.author, entry.seq, entry.body))
        return cls(counter, liars(reader) | forked, reader.revoked())

    @property
    def written_off(self) -> int:
        """Rights that are lost with replicas that are revoked: held by them, or granted to them and not received."""
        counter = self.counter
        return sum(
            counter.rights(one, self.forked) + sum(counter.receivable(one).values())
            for one in self.lost & {*counter.authors, *_takers(counter)}
        )

    @property
    def value(self) -> int:
        """What the account has, as far as it is known here: what is written off left out."""
        return max(0, self.counter.value() - self.written_off)

    def redeemable(self, author: Author) -> Redeemable:
        """What ``author`` can redeem without asking, grants that are here included; and the balance as known."""
        return Redeemable(self.received(author).counter.rights(author, self.forked), self.value)

    def received(self, author: Author) -> Balance:
        """After ``author`` has received every grant to it that is here. A contradictory donor's grants wait."""
        counter = self.counter
        for donor in counter.receivable(author):
            if donor not in self.forked:
                counter = counter.join(counter.receive(author, donor))
        return replace(self, counter=counter)

    def moved(self, author: Author, movement: AccountMovement, *, undoing: bool = False) -> Balance:
        """After a receipt's movement: redeemed first, so that nothing is paid with what it earns.

        ``undoing``: what comes back first, so that it covers what is taken back. Raises ``NotEnoughRights``.
        """
        if undoing and movement.earned and movement.redeemed:
            come = self.moved(author, replace(movement, redeemed=0))
            return come.moved(author, replace(movement, earned=0))
        after = self.received(author)
        counter = after.counter
        if movement.redeemed:
            here = self.redeemable(author)
            if movement.redeemed > here.here:
                raise NotEnoughRights(here.here, here.company)
            counter = counter.join(counter.redeem(author, movement.redeemed, self.forked))
        if movement.earned:
            counter = counter.join(counter.earn(author, movement.earned))
        return replace(self, counter=counter)

    def granted(self, author: Author, to: Author, amount: int) -> tuple[Balance, int]:
        """After granting at most ``amount``, and how much that was."""
        after = self.received(author)
        amount = min(amount, after.counter.rights(author, self.forked))
        if amount <= 0 or author == to:
            return self, 0
        counter = after.counter
        return replace(self, counter=counter.join(counter.grant(author, to, amount, self.forked))), amount

    def body(self, author: Author) -> object:
        """What ``author`` signs."""
        return self.counter.entry_body(author)


def _takers(counter: CounterBounded) -> set[Author]:
    return {taker for donor in counter.authors for taker in counter.granted(donor)}
