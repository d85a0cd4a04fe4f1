"""The till: every act is one synced transaction, and its receipt is given only after that.

Synchronous and without a clock of its own. What must survive a restart stands in the log: entries, and views written with
them, so that a new ``Till`` on the same log goes on where the last one stopped.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from crdt_pos import claiming, journal, new_product, proxy, undoing
from crdt_pos.balance import Balance
from crdt_pos.basket import PROGRAMME_OF, Taxing, checked_sum, settle, sold_line, tax_lines, tender_line, with_taxes
from crdt_pos.day import Day
from crdt_pos.errors import (
    AmountTooLarge,
    AskForDate,
    BadQuantity,
    MemberMissing,
    NotOpen,
    NotRefundable,
    NotVoidable,
    OtherMoney,
    ReasonMissing,
    StillOpen,
    UnknownReceipt,
)
from crdt_pos.identity import Identity, Now
from crdt_pos.money import AMOUNT_MAX
from crdt_pos.new_product import NewProduct
from crdt_pos.products import Product, Products, ProductTable
from crdt_pos.proxy import ClosedFor
from crdt_pos.receipt import (
    ACCOUNT_BYTES,
    AccountMovement,
    DrawerAct,
    Line,
    Opening,
    Receipt,
    ReceiptType,
    StockAct,
    Tender,
    TenderLine,
    Undoes,
)
from crdt_pos.reports import XReport, ZReport, x_report
from crdt_pos.requests import Quote, Redeemable, RefundRequest, SaleRequest, StockLine
from crdt_pos.stock import stock_line, store_stock
from crdt_pos.terms import Terms
from crdt_pos.till_rebuilt import own_summary
from crdt_pos.till_state import FOLD_PREFIX, ONCE_PREFIX, TillState, goods_so_far, once_view, owing, sold_once
from crdt_pos.turn import Signing, Turn
from gossip.document import date_of, day_number
from gossip.entry import FeedId
from gossip.log import Log, Reader
from merge_rules.dataclass import replace
from merge_rules.lattice import Author

_DAY_MAX = 2**16 - 1


class Till:
    """A till on its log. One at a time per log; not thread-safe: call it from the thread that appends."""

    def __init__(
        self,
        log: Log,
        identity: Identity,
        now: Callable[[], Now],
        *,
        products: Products | None = None,
        terms: Callable[[datetime.date], Terms] | Terms | None = None,
        acting: Callable[[Reader], Signing | None] | None = None,
    ) -> None:
        """``products``: the catalogue (none: every line needs a price). ``terms`` are those of a business date, and ``acting``
        who has signed on, which may raise ``NotSignedOn``."""
        self._log = log
        self._identity = identity
        self._now = now
        self._products = products if products is not None else ProductTable({}, {})
        self._terms = terms if terms is not None else Terms()
        self._acting = acting

    # ---- the business date ----------------------------------------------------------------------------------------------

    @property
    def open_on(self) -> datetime.date | None:
        """The open business date, or ``None``."""
        with self._log.read() as reader:
            state = TillState.read(reader)
        return date_of(state.open_day) if state.open_day else None

    def open_date(self, date: datetime.date | None = None, float_minor: int = 0) -> datetime.date:
        """Open a business date: ``date``, else the clock's local date. Raises ``StillOpen``, ``AskForDate``."""
        with self._turn(open_date=False) as turn:
            state = turn.state
            if state.open_day:
                raise StillOpen(date_of(state.open_day).isoformat())
            closed = date_of(state.closed_day).isoformat() if state.closed_day else "never"
            if date is None:
                date = turn.now.date()
                if state.closed_day and (turn.now.ms < state.closed_ms or day_number(date) <= state.closed_day):
                    raise AskForDate(f"the clock says {date.isoformat()}, closed last: {closed}")
            day = day_number(date)
            feed = FeedId(journal.journal_document(self._identity.store, day), self._identity.author)
            used = turn.reader.heads(feed) or own_summary(turn.reader, self._identity, day) is not None
            if not 0 < day <= _DAY_MAX or used:
                raise AskForDate(f"{date.isoformat()} cannot be opened, closed last: {closed}")
            turn.state = replace(state, open_day=day, seq=0, head=b"", day=Day(), published=0)
            turn.terms = self._terms_on(turn.state, turn.now)
            self._refuse_other_money(turn, state)
            opening = Opening(
                date_of(state.closed_day) if state.closed_day else None,
                state.closed_hash,
                state.sales_minor,
                state.refunds_minor,
            )
            act = replace(turn.receipt(ReceiptType.OPENING), opening=opening)
            turn.enter(replace(act, drawer=DrawerAct.FLOAT, drawer_minor=_cash(float_minor)))
        return date

    def close_date(self, counted_minor: int | None = None) -> ZReport:
        """Close the date and publish its day entry. Raises ``NotOpen``."""
        with self._turn() as turn:
            act = turn.receipt(ReceiptType.CLOSING)
            if counted_minor is not None:
                act = replace(act, drawer=DrawerAct.COUNTED, drawer_minor=_cash(counted_minor))
            turn.enter(act)
            entry = turn.publish_own()
            closed = turn.state
            turn.state = TillState(
                stamp=closed.stamp,
                numbers=closed.numbers,
                closed_day=closed.open_day,
                closed_hash=entry.hash[:8],
                closed_ms=turn.now.ms,
                sales_minor=closed.day.perpetual_sales,
                refunds_minor=closed.day.perpetual_refunds,
            )
            for prefix in (FOLD_PREFIX, ONCE_PREFIX):
                turn.views.extend((key, None) for key, _ in turn.reader.views(prefix))
        report = x_report(act, closed.day, closed.seq)
        names = XReport.__dataclass_fields__
        return ZReport(
            **{name: getattr(report, name) for name in names}, cash_counted_minor=counted_minor, closed_ms=act.stamp_ms
        )

    def publish(self) -> bool:
        """Sign and append the day entry if an act came after the last one; ``False`` if there is nothing to say."""
        with self._turn(open_date=False) as turn:
            if not turn.state.open_day or turn.state.published == turn.state.seq:
                return False
            turn.publish_own()
        return True

    def publish_morning(self) -> bool:
        """Publish once, when the date has begun to sell: by then the morning's goods are in. ``False`` if that was done."""
        with self._turn(open_date=False) as turn:
            if not turn.state.open_day or turn.state.published or not turn.state.day.series:
                return False
            turn.publish_own()
        return True

    def close_lives(self, lives: Sequence[Author]) -> list[ClosedFor]:
        """Publish the close of every date that these tills left open, from what is here of it; what that added.

        When one of them comes back and has sold more, its own entry covers more, and counts instead.
        """
        with self._turn(open_date=False) as turn:
            return proxy.close_all(turn, lives)

    def x_report(self) -> XReport:
        """The open date so far. Raises ``NotOpen``."""
        with self._turn() as turn:
            return x_report(turn.receipt(ReceiptType.CLOSING), turn.state.day, turn.state.seq)

    # ---- selling --------------------------------------------------------------------------------------------------------

    def quote(self, request: SaleRequest) -> Quote:
        """What a basket comes to, tenders and points left aside; nothing is written. Raises ``TillError`` as ``sell`` does."""
        with self._turn() as turn:
            act = self._basket(turn, request)
        return Quote(act.total_minor, act.tax_minor, act.due_minor)

    def sell(self, request: SaleRequest) -> Receipt:
        """Sell a basket, or practise. Raises ``TillError``; nothing is written then.

        A request that was sold under the same ``once`` before is answered with that receipt.
        """
        with self._turn() as turn:
            sold = _done(turn, request.once)
            if sold is not None:
                return sold
            act = self._basket(turn, request)
            tenders = [tender_line(tender) for tender in request.tenders]
            if request.points:
                if request.points < 0:
                    raise BadQuantity(f"{request.points} points")
                paid = turn.terms.programme.pays(request.points)
                tenders.append(TenderLine(Tender.POINTS, paid))
            settled = self._settled(turn, act, tenders)
            movements = () if request.training else self._earning(turn, act, settled)
            act = turn.enter(replace(act, tenders=settled, movements=movements))
            turn.views.extend(once_view(request.once, act.number))
        return act

    def refund(self, request: RefundRequest) -> Receipt:
        """Give goods back: by receipt number and lines, or without a receipt and with a reason. Raises ``TillError``.

        Without a receipt, and for one that is not here (``unconfirmed``), lines name product and amount.
        """
        undoing.checked_refund(request)
        with self._turn() as turn:
            done = _done(turn, request.once)
            if done is not None:
                return done
            act = replace(turn.receipt(ReceiptType.REFUND), cashier=request.cashier, reason=request.reason)
            found = journal.find(turn.reader, request.number) if request.number else None
            if found is not None:
                undone = journal.undone(turn.reader, request.number)
                original = found.receipt
                if (original.legal_entity, original.currency) != (act.legal_entity, act.currency):
                    raise NotRefundable(f"{request.number} was sold by {original.legal_entity} in {original.currency}")
                lines = undoing.refunded_lines(request, original, undone, prices_with_tax=act.prices_with_tax)
                rates = {tax.code: tax.rate_ppm for tax in original.taxes}
                taxes = tax_lines(lines, rates, prices_with_tax=act.prices_with_tax)
                act = replace(act, undoes=Undoes(request.number, found.entry.hash), member=original.member)
                refunds = journal.refunds_of(turn.reader, request.number)
            else:
                if request.number and not any(line.product for line in request.lines):
                    raise UnknownReceipt(request.number)
                if not request.reason:
                    raise ReasonMissing
                find = self._products.find
                unnamed = [
                    undoing.unnamed_line(number, line, find(turn.reader, line.product))
                    for number, line in enumerate(request.lines, 1)
                ]
                lines, taxes = with_taxes(unnamed, self._rate(turn), prices_with_tax=act.prices_with_tax)
                _checked_account(request.member or b"")
                act = replace(
                    act,
                    undoes=Undoes(request.number),
                    unconfirmed=bool(request.number),
                    member=request.member or b"",
                )
                original, refunds = None, []
            checked_sum(lines)
            act = replace(act, lines=lines, taxes=taxes)
            tenders = [tender_line(tender, -1) for tender in request.tenders]
            programme, unit_minor = turn.terms.programme, turn.terms.currency.unit_minor
            if original is not None:
                if not tenders:
                    tenders += undoing.tenders_back(original, refunds, -act.due_minor, programme.minor_per_point)
                points = undoing.points_to_take_back(programme, unit_minor, original, refunds, act)
            else:
                points = programme.earned(-undoing.net_minor(act), unit_minor) if act.member else 0
            settled = self._settled(turn, act, tenders, cash_settles=not request.tenders)
            moved = _movements(turn.terms, act.lines, settled, {(programme.name, act.member): -points})
            act = turn.enter(replace(act, tenders=settled, movements=self._as_far_as_held(turn, moved)))
            turn.views.extend(once_view(request.once, act.number))
        return act

    def void(self, number: str, once: str = "") -> Receipt:
        """Undo a sale or refund of the open date at this till, whole. Raises ``UnknownReceipt``, ``NotVoidable``."""
        with self._turn() as turn:
            done = _done(turn, once)
            if done is not None:
                return done
            found = journal.find(turn.reader, number)
            if found is None:
                raise UnknownReceipt(number)
            original = found.receipt
            if found.entry.author != self._identity.author or found.entry.document.day != turn.state.open_day:
                raise NotVoidable(f"{number} is of {original.business_date.isoformat()}, till {original.till}")
            lines, tenders = undoing.voided(original, journal.undone(turn.reader, number))
            rates = {tax.code: tax.rate_ppm for tax in original.taxes}
            act = replace(
                turn.receipt(ReceiptType.VOID),
                lines=lines,
                tenders=tenders,
                taxes=tax_lines(lines, rates, prices_with_tax=original.prices_with_tax),
                member=original.member,
                undoes=Undoes(number, found.entry.hash),
            )
            act = replace(act, movements=self._as_far_as_held(turn, undoing.mirrored_movements(original)))
            act = turn.enter(act)
            turn.views.extend(once_view(once, act.number))
        return act

    # ---- drawer and stock -----------------------------------------------------------------------------------------------

    def drawer(self, act: DrawerAct, amount_minor: int, reason: str = "", once: str = "") -> Receipt:
        """Move cash without a sale: float, pick-up, paid in, paid out (0 or more), or open the drawer."""
        if act is DrawerAct.COUNTED or (act is DrawerAct.NO_SALE and amount_minor):
            raise BadQuantity("the drawer is counted at the close, and opens for nothing without a sale")
        with self._turn() as turn:
            done = _done(turn, once)
            if done is not None:
                return done
            moved = replace(
                turn.receipt(ReceiptType.DRAWER), drawer=act, drawer_minor=_cash(amount_minor), reason=reason
            )
            moved = turn.enter(moved)
            turn.views.extend(once_view(once, moved.number))
        return moved

    def replenish(self, lines: Sequence[StockLine], reference: str = "", once: str = "") -> Receipt:
        """Goods have come in. ``once``: as of a sale, here and below."""
        return self._move_stock(StockAct.RECEIVED, lines, once, reference=reference)

    def write_off(self, lines: Sequence[StockLine], reason: str, once: str = "") -> Receipt:
        """Goods are broken, spoilt or stolen. Raises ``ReasonMissing``."""
        if not reason:
            raise ReasonMissing
        return self._move_stock(StockAct.WRITTEN_OFF, lines, once, reason=reason)

    def count(self, lines: Sequence[StockLine], once: str = "") -> Receipt:
        """Goods were counted: the difference from what was expected is counted up or down."""
        return self._move_stock(StockAct.COUNTED, lines, once)

    def transfer_out(self, lines: Sequence[StockLine], to_store: int, reference: str = "", once: str = "") -> Receipt:
        """Goods leave for another store."""
        return self._move_stock(StockAct.TRANSFERRED_OUT, lines, once, reference=reference, other_store=to_store)

    def transfer_in(self, lines: Sequence[StockLine], from_store: int, reference: str = "", once: str = "") -> Receipt:
        """Goods arrive from another store."""
        return self._move_stock(StockAct.TRANSFERRED_IN, lines, once, reference=reference, other_store=from_store)

    # ---- products and their codes ---------------------------------------------------------------------------------------

    def new_product(self, wanted: NewProduct) -> Product:
        """Make a product that nobody has listed, sold here at once. Raises ``ProductRefused``. No date need be open."""
        with self._turn(open_date=False) as turn:
            who, currency = self._identity, turn.terms.currency.code
            product, batch = new_product.make(turn.reader, self._writer, who.store, wanted, currency, turn.now.ms)
            turn.take(batch.arrivals, batch.views)
        return product

    def claim(self, code: str, product: int) -> int:
        """This store says that a code means a product; how many entries were signed. Raises ``ProductRefused``."""
        with self._turn(open_date=False) as turn:
            batch = claiming.claim(turn.reader, self._writer, self._identity.store, code, product, turn.now.ms)
            turn.take(batch.arrivals, batch.views)
        return len(batch.arrivals)

    def retract(self, code: str, product: int) -> int:
        """This store takes that back, whichever of its tills said so. Raises ``ProductRefused``."""
        with self._turn(open_date=False) as turn:
            batch = claiming.retract(turn.reader, self._writer, [self._identity.store], code, product, turn.now.ms)
            turn.take(batch.arrivals, batch.views)
        return len(batch.arrivals)

    # ---- reading, and rights --------------------------------------------------------------------------------------------

    def receipt(self, number: str) -> Receipt | None:
        """Any receipt of the store that is in the log here."""
        with self._log.read() as reader:
            found = journal.find(reader, number)
        return found.receipt if found is not None else None

    def redeemable(self, account: bytes, programme: str = "") -> Redeemable:
        """What an account can pay with; ``programme`` empty: the loyalty programme's points."""
        with self._log.read() as reader:
            terms = self._terms_on(TillState.read(reader), self._now())
            name = terms.balances(programme) if programme else terms.programme.name
            balance = Balance.read(reader, name, account)
        return balance.redeemable(self._identity.author)

    def grant(self, account: bytes, to: Author, amount: int, programme: str = "") -> int:
        """Grant at most ``amount`` of this replica's own rights to another; the amount granted, 0 if there are none."""
        with self._turn(open_date=False) as turn:
            programme = programme or turn.terms.programme.name
            balance, granted = Balance.read(turn.reader, programme, account).granted(self._identity.author, to, amount)
            if granted:
                turn.sign_balance(programme, account, balance)
        return granted

    def grant_all(self, wishes: Sequence[tuple[str, bytes, int]], to: Author) -> list[int]:
        """The same of several accounts, by programme and account, each named once, in one transaction; how much of each."""
        granted: list[int] = []
        with self._turn(open_date=False) as turn:
            for programme, account, amount in wishes:
                balance, given = Balance.read(turn.reader, programme, account).granted(
                    self._identity.author, to, amount
                )
                granted.append(given)
                if given:
                    turn.sign_balance(programme, account, balance)
        return granted

    def welcome(self, account: bytes) -> None:
        """Make an account a patron of the store before it has bought here, so that its balance comes to it."""
        with self._turn(open_date=False) as turn:
            turn.welcome(account)

    # ---- within ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def _turn(self, *, open_date: bool = True) -> Generator[Turn]:
        with self._log.read() as reader:
            state, now = TillState.read(reader), self._now()
            turn = Turn(self._identity, reader, now, self._terms_on(state, now), state)
            turn.acting = self._acting
            if open_date and not turn.state.open_day:
                raise NotOpen
            yield turn
        # The snapshot is let go before the log is written, and what was refused has raised by now.
        if turn.arrivals:
            arrivals, views = turn.batch()
            self._log.append(arrivals, views, received_ms=turn.now.ms)

    def _refuse_other_money(self, turn: Turn, before: TillState) -> None:
        # Totals go on from date to date for a whole life, and never add across.
        document = journal.journal_document(self._identity.store, before.closed_day)
        heads = turn.reader.heads(FeedId(document, self._identity.author)) if before.closed_day else ()
        stored = turn.reader.find(heads[0].hash) if heads else None
        if stored is not None:
            last, now = Receipt.from_body(stored.entry.body), turn.receipt(ReceiptType.OPENING)
            was, is_now = ((one.legal_entity, one.currency, one.exponent) for one in (last, now))
            if was != is_now:
                raise OtherMoney(
                    f"{was[0]}, {was[1]} until {last.business_date.isoformat()}; {is_now[0]}, {is_now[1]} now"
                )

    def _basket(self, turn: Turn, request: SaleRequest) -> Receipt:
        kind = ReceiptType.TRAINING if request.training else ReceiptType.SALE
        act, reader, find = turn.receipt(kind), turn.reader, self._products.find
        taxing = Taxing(self._rate(turn), prices_with_tax=act.prices_with_tax)
        lines = tuple(
            sold_line(number, line, find(reader, line.product), turn.now.ms, taxing)
            for number, line in enumerate(request.lines, 1)
        )
        checked_sum(lines)
        member = request.member or b""
        _checked_account(member)
        return replace(
            act,
            cashier=request.cashier,
            cashier_signature=request.cashier_signature,
            reference=request.reference,
            lines=lines,
            taxes=tax_lines(lines, taxing.rates, prices_with_tax=act.prices_with_tax),
            member=member,
        )

    @property
    def _writer(self) -> claiming.Writer:
        return claiming.Writer(self._identity.key, self._identity.author)

    def _terms_on(self, state: TillState, now: Now) -> Terms:
        """Those of the open date, whatever the clock says meanwhile; without one, of the clock's."""
        date = date_of(state.open_day) if state.open_day else now.date()
        return self._terms(date) if callable(self._terms) else self._terms

    def _rate(self, turn: Turn) -> Callable[[int], int]:
        return lambda code: self._products.tax_rate_ppm(turn.reader, code, turn.now.ms)

    def _settled(
        self, turn: Turn, act: Receipt, tenders: Sequence[TenderLine], *, cash_settles: bool = False
    ) -> tuple[TenderLine, ...]:
        named: list[TenderLine] = []
        for tender in tenders:
            account = act.member if tender.kind is Tender.POINTS else tender.account
            if tender.kind is Tender.POINTS or tender.kind in PROGRAMME_OF:
                if len(account) != ACCOUNT_BYTES:
                    raise MemberMissing(tender.kind.text)
            else:
                account = b""
            named.append(tender if tender.account == account else replace(tender, account=account))
        terms = turn.terms
        # Points alone are no choice of how to pay the rest: that is cash.
        cash_settles = cash_settles or all(tender.kind is Tender.POINTS for tender in named)
        return settle(act.due_minor, named, terms.cash_step_minor, terms.currency, cash_settles=cash_settles)

    def _earning(self, turn: Turn, act: Receipt, tenders: Sequence[TenderLine]) -> tuple[AccountMovement, ...]:
        # What the member owes is kept from what is earned.
        programme = turn.terms.programme
        key = programme.name, act.member
        earned = programme.earned(undoing.net_minor(act), turn.terms.currency.unit_minor) if act.member else 0
        movements = _movements(turn.terms, act.lines, tenders, {key: earned})
        settled = min(owing(turn.reader, *key), earned)
        if not settled:
            return movements
        return tuple(
            replace(moved, earned=moved.earned - settled, settled=settled)
            if (moved.programme, moved.account) == key
            else moved
            for moved in movements
        )

    def _as_far_as_held(self, turn: Turn, movements: Sequence[AccountMovement]) -> tuple[AccountMovement, ...]:
        # Points that were spent since then cannot be taken back here: they are owing, and the balance stays above zero.
        # What comes back in the same act can; and what this till has kept already of something owing comes back.
        held: list[AccountMovement] = []
        for moved in movements:
            if moved.programme == turn.terms.programme.name:
                settled = min(moved.settled, owing(turn.reader, moved.programme, moved.account))
                earned = moved.earned + moved.settled - settled
                balance = Balance.read(turn.reader, moved.programme, moved.account)
                here = balance.redeemable(self._identity.author).here + earned
                redeemed = min(moved.redeemed, here)
                left = moved.owing + moved.redeemed - redeemed
                moved = replace(moved, earned=earned, redeemed=redeemed, owing=left, settled=settled)
            held.append(moved)
        return tuple(moved for moved in held if moved.earned or moved.redeemed or moved.owing or moved.settled)

    def _move_stock(
        self,
        stock: StockAct,
        wishes: Sequence[StockLine],
        once: str,
        reason: str = "",
        reference: str = "",
        other_store: int = 0,
    ) -> Receipt:
        with self._turn() as turn:
            done = _done(turn, once)
            if done is not None:
                return done
            lines: list[Line] = []
            for number, wish in enumerate(wishes, 1):
                product = self._products.find(turn.reader, wish.product)
                expected = wish.expected or 0
                if stock is StockAct.COUNTED and wish.expected is None:
                    expected = self._expected(turn.reader, turn.state, wish.product)
                lines.append(stock_line(number, wish, product, stock, expected))
            checked_sum(lines)
            act = replace(
                turn.receipt(ReceiptType.STOCK),
                lines=tuple(lines),
                stock=stock,
                reason=reason,
                reference=reference,
                other_store=other_store,
            )
            act = turn.enter(act)
            turn.views.extend(once_view(once, act.number))
        return act

    def _expected(self, reader: Reader, state: TillState, product: int) -> int:
        so_far = goods_so_far(reader, product)
        return store_stock(reader, self._identity.store, product, self._identity.author, state.open_day, so_far)


def _movements(
    terms: Terms, lines: Sequence[Line], tenders: Sequence[TenderLine], points: dict[tuple[str, bytes], int]
) -> tuple[AccountMovement, ...]:
    # Programme and account → what they gain, and what they pay.
    earned: dict[tuple[str, bytes], int] = {}
    redeemed: dict[tuple[str, bytes], int] = {}

    def gain(key: tuple[str, bytes], amount: int) -> None:
        side = earned if amount > 0 else redeemed
        if amount:
            side[key] = side.get(key, 0) + abs(amount)

    for tender in tenders:
        if tender.kind is Tender.POINTS:
            amount, left = divmod(tender.amount_minor, terms.programme.minor_per_point)
            if left:
                raise BadQuantity(f"a point pays {terms.programme.minor_per_point}")
            gain((terms.programme.name, tender.account), -amount)
        elif tender.kind in PROGRAMME_OF:
            gain((terms.balances(PROGRAMME_OF[tender.kind]), tender.account), -tender.amount_minor)
    for line in lines:
        if line.liability:
            gain((terms.balances(line.liability), line.account), line.total_minor)
    for key, amount in points.items():
        gain(key, amount)
    return tuple(
        AccountMovement(*key, earned.get(key, 0), redeemed.get(key, 0)) for key in sorted({**earned, **redeemed})
    )


def _done(turn: Turn, once: str) -> Receipt | None:
    # What a request of this id has done on this date.
    return journal.find_receipt(turn.reader, sold_once(turn.reader, once))


def _checked_account(account: bytes) -> None:
    if account and len(account) != ACCOUNT_BYTES:
        raise MemberMissing(f"an account has {ACCOUNT_BYTES} bytes")


def _cash(amount_minor: int) -> int:
    if amount_minor < 0:
        raise BadQuantity(str(amount_minor))
    if amount_minor > AMOUNT_MAX:
        raise AmountTooLarge
    return amount_minor
