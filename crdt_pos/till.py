"""The till: every act is one synced transaction, and its receipt is given only after that.

Synchronous and without a clock of its own. What must survive a restart stands in the log: entries, and views written with
them, so that a new ``Till`` on the same log goes on where the last one stopped.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence

from crdt_pos.identity import Identity, Now
from crdt_pos.products import Products, ProductTable
from crdt_pos.receipt import DrawerAct, Receipt
from crdt_pos.reports import XReport, ZReport
from crdt_pos.requests import Redeemable, RefundRequest, SaleRequest, StockLine
from crdt_pos.terms import Terms
from gossip.log import Log
from merge_rules.lattice import Author


class Till:
    """A till on its log. One at a time per log; not thread-safe: call it from the thread that appends."""

    def __init__(
        self,
        log: Log,
        identity: Identity,
        now: Callable[[], Now],
        *,
        products: Products | None = None,
        terms: Callable[[], Terms] | Terms | None = None,
    ) -> None:
        """``products``: the catalogue (none: every line needs a price). ``terms`` are asked for at every act."""
        self._log = log
        self._identity = identity
        self._now = now
        self._products = products if products is not None else ProductTable({}, {})
        self._terms = terms

    @property
    def open_on(self) -> datetime.date | None:
        """The open business date, or ``None``."""
        raise NotImplementedError

    def open_date(self, date: datetime.date | None = None, float_minor: int = 0) -> datetime.date:
        """Open a business date: ``date``, else the clock's local date. Raises ``StillOpen``, ``AskForDate``."""
        raise NotImplementedError

    def close_date(self, counted_minor: int | None = None) -> ZReport:
        """Close the date and publish its day entry. Raises ``NotOpen``."""
        raise NotImplementedError

    def publish(self) -> bool:
        """Sign and append the day entry if an act came after the last one; ``False`` if there is nothing to say."""
        raise NotImplementedError

    def x_report(self) -> XReport:
        """The open date so far. Raises ``NotOpen``."""
        raise NotImplementedError

    def sell(self, request: SaleRequest) -> Receipt:
        """Sell a basket. Raises ``TillError``; then nothing was written."""
        raise NotImplementedError

    def refund(self, request: RefundRequest) -> Receipt:
        """Give goods back: by receipt number and lines, or without a receipt and with a reason. Raises ``TillError``."""
        raise NotImplementedError

    def void(self, number: str) -> Receipt:
        """Undo a sale or refund of the open date at this till, whole. Raises ``UnknownReceipt``, ``NotVoidable``."""
        raise NotImplementedError

    def drawer(self, act: DrawerAct, amount_minor: int, reason: str = "") -> Receipt:
        """Move cash without a sale: float, pick-up, paid in, paid out (0 or more), or open the drawer."""
        raise NotImplementedError

    def replenish(self, lines: Sequence[StockLine], reference: str = "") -> Receipt:
        """Goods have come in."""
        raise NotImplementedError

    def write_off(self, lines: Sequence[StockLine], reason: str) -> Receipt:
        """Goods are broken, spoilt or stolen. Raises ``ReasonMissing``."""
        raise NotImplementedError

    def count(self, lines: Sequence[StockLine]) -> Receipt:
        """Goods were counted: the difference from what was expected is counted up or down."""
        raise NotImplementedError

    def transfer_out(self, lines: Sequence[StockLine], to_store: int, reference: str = "") -> Receipt:
        """Goods leave for another store."""
        raise NotImplementedError

    def transfer_in(self, lines: Sequence[StockLine], from_store: int, reference: str = "") -> Receipt:
        """Goods arrive from another store."""
        raise NotImplementedError

    def receipt(self, number: str) -> Receipt | None:
        """Any receipt of the store that is in the log here."""
        raise NotImplementedError

    def redeemable(self, account: bytes, programme: str = "") -> Redeemable:
        """What an account can pay with; ``programme`` empty: the loyalty programme's points."""
        raise NotImplementedError

    def grant(self, account: bytes, to: Author, amount: int, programme: str = "") -> int:
        """Grant at most ``amount`` of this replica's own rights to another; the amount granted, 0 if there are none."""
        raise NotImplementedError

    def proxy_close(self, other: Author, date: datetime.date) -> bool:
        """Publish the close of a dead neighbour's date from its journal here; ``False`` if that adds nothing."""
        raise NotImplementedError
