"""The journal: every act of a till, signed and chained, and what the store's replicas derive from it to find receipts.

The views here are derived from journal entries and from nothing else: by the till with its own act, by ``derive`` with the
neighbours' entries that arrive. Both are idempotent. Nobody gives numbers in another till's name: an act counts under the
number of the till that signed it, and where a till gives one number twice, the act that came first keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, cast

from crdt_pos.patrons import PATRONS, accounts_of, patron_key
from crdt_pos.receipt import Receipt, ReceiptType
from crdt_pos.schema import JOURNAL
from gossip.document import Document, day_number
from gossip.entry import Entry, FeedId, Hash
from gossip.log import Arrival, Reader, Stored, View
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author

_NUMBER_PREFIX: Final = b"till/number/"
_UNDONE_PREFIX: Final = b"till/undone/"
_UNDONE_HASH_BYTES: Final = 8
_WHOLE: Final = 0

NumberedAs = Callable[[Author], tuple[int, int, str] | None]
"""Store, till and incarnation that a till's receipts are numbered with; ``None`` for an author that is no till known here."""


@dataclass(frozen=True, slots=True)
class Found:
    """A receipt in the log."""

    receipt: Receipt
    entry: Entry


@dataclass(frozen=True, slots=True)
class Undone:
    """What has been given back of a receipt, as far as it is known here."""

    voided: bool
    quantities: Mapping[int, int]
    """Line → quantity given back, positive; a line that was sold by amount alone stands here with 0."""

    @property
    def anything(self) -> bool:
        """Whether any of it was."""
        return self.voided or bool(self.quantities)


def journal_document(store: int, day: int) -> Document:
    """``journal/<store>/<date>``."""
    return Document(JOURNAL, day, (store,))


def acts(reader: Reader, store: int, day: int, author: Author) -> Iterator[Receipt]:
    """A till's acts of a date, in order. Raises ``InvalidBody``."""
    for stored in reader.entries(FeedId(journal_document(store, day), author)):
        yield Receipt.from_body(stored.entry.body)


def find(reader: Reader, number: str) -> Found | None:
    """The receipt of this number, if its journal is here."""
    kept = reader.view(_NUMBER_PREFIX + number.encode())
    stored: Stored | None = reader.find(Hash(kept)) if kept else None
    return Found(Receipt.from_body(stored.entry.body), stored.entry) if stored else None


def find_receipt(reader: Reader, number: str) -> Receipt | None:
    """The same without its entry."""
    found = find(reader, number)
    return found.receipt if found else None


def undone(reader: Reader, number: str) -> Undone:
    """What has been given back of a receipt: refunds that were voided themselves do not count."""
    voided, quantities = False, dict[int, int]()
    for by, lines in _undone_by(reader, number):
        if _WHOLE in lines:
            voided = True
        elif not any(_WHOLE in whole for _, whole in _undone_by(reader, by)):
            for line, quantity in lines.items():
                quantities[line] = quantities.get(line, 0) + quantity
    return Undone(voided, quantities)


def refunds_of(reader: Reader, number: str) -> list[Receipt]:
    """The refunds of a receipt that are here and stand: those that were voided themselves do not."""
    found: list[Receipt] = []
    for by, lines in _undone_by(reader, number):
        if _WHOLE not in lines and not any(_WHOLE in whole for _, whole in _undone_by(reader, by)):
            receipt = find_receipt(reader, by)
            if receipt is not None and receipt.undoes is not None and receipt.undoes.number == number:
                found.append(receipt)
    return found


def undoings(reader: Reader) -> dict[str, list[Receipt]]:
    """Every receipt that something was given back of, by number, and the refunds and voids that name it."""
    found: dict[str, list[Receipt]] = {}
    for _, kept in reader.views(_UNDONE_PREFIX):
        act = find(reader, _undoing(kept)[0])
        if act is not None and act.receipt.undoes is not None:
            found.setdefault(act.receipt.undoes.number, []).append(act.receipt)
    return found


def index(receipt: Receipt, entry_hash: Hash) -> Iterator[View]:
    """The views that find a receipt, and what it undoes."""
    number = receipt.number
    yield _NUMBER_PREFIX + number.encode(), bytes(entry_hash)
    undone = "" if receipt.undoes is None or receipt.type is ReceiptType.SETTLEMENT else receipt.undoes.number
    if receipt.type is ReceiptType.VOID and _life(undone) != _life(number):
        return  # only the till that gave a receipt voids it: a neighbour's void must not block its refunds
    if undone:
        lines: dict[int, int] = {}
        for line in receipt.lines:
            if line.undoes_line:
                lines[line.undoes_line] = lines.get(line.undoes_line, 0) + max(-line.quantity, 0)
        whole = receipt.type is ReceiptType.VOID
        key = _UNDONE_PREFIX + undone.encode() + b"/" + entry_hash[:_UNDONE_HASH_BYTES]
        yield key, canonical.encode([number, {_WHOLE: 1} if whole else lines])


def _life(number: str) -> str:
    """Store, till and incarnation of a receipt's number."""
    return number.rpartition("-")[0]


def derive(reader: Reader, arrivals: Sequence[Arrival], numbered_as: NumberedAs) -> list[View]:
    """What arriving entries say: where receipts are, what they undo, and which accounts are the store's patrons."""
    views: dict[bytes, bytes | None] = {}
    for arrival in arrivals:
        entry = arrival.entry
        if arrival.quarantine is not None:
            continue
        try:
            if entry.document.kind == JOURNAL:
                receipt = Receipt.from_body(entry.body)
                here = journal_document(receipt.store, day_number(receipt.business_date))
                numbered = receipt.store, receipt.till, receipt.incarnation
                if entry.document == here and numbered == numbered_as(entry.author):
                    for key, value in index(receipt, entry.hash):
                        if key not in views and reader.view(key) is None:
                            views[key] = value
            elif entry.document.kind == PATRONS:
                views.update((patron_key(entry.document, account), b"\1") for account in accounts_of(entry.body))
        except InvalidBody:
            continue  # an act of a kind that this version does not know: kept and passed on, but nothing to derive
    return list(views.items())


def _undone_by(reader: Reader, number: str) -> Iterator[tuple[str, dict[int, int]]]:
    for key, kept in reader.views(_UNDONE_PREFIX + number.encode() + b"/"):
        by, lines = _undoing(kept)
        if not _is_quarantined(reader, by, key[-_UNDONE_HASH_BYTES:]):
            yield by, lines


def _is_quarantined(reader: Reader, by: str, beginning: bytes) -> bool:
    """Whether an act that undoes was signed by a replica that is revoked, after what still counts of it."""
    if not reader.revoked():
        return False
    kept = reader.view(_NUMBER_PREFIX + by.encode())
    return bool(kept and kept.startswith(beginning) and reader.hides(Hash(kept)))


def _undoing(kept: bytes) -> tuple[str, dict[int, int]]:
    return cast("tuple[str, dict[int, int]]", tuple(cast("list[object]", canonical.decode(kept))))
