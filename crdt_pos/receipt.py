"""Receipts: the shape of every act of a till, as it stands signed in the journal.

Sales, refunds, voids, drawer movements, stock movements, the opening and the close of a date: all are receipts, numbered
without gaps per till and series, so that one codec and one fold serve them all. Unknown fields are ignored and kept
(``crdt_pos.codec``). No name, phone number or other personal data ever stands here: a member is a random id.
"""

from __future__ import annotations

import datetime
from enum import IntEnum

from crdt_pos.codec import Extra, Fields, sparse
from crdt_pos.money import RATE_PPM_MAX
from gossip.document import date_of, day_number
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody

ACCOUNT_BYTES = 8
PRODUCT_MAX = 2**64 - 1
EXPONENT_MAX = 9


class ReceiptType(IntEnum):
    """What an act is. Numbers stand in signed entries: never reused."""

    SALE = 0
    REFUND = 1
    VOID = 2
    TRAINING = 3
    DRAWER = 4
    STOCK = 5
    OPENING = 6
    CLOSING = 7
    SETTLEMENT = 8
    """A tender changes afterwards: a card payment stored offline is declined, and the amount is owed by someone."""


class Series(IntEnum):
    """What is numbered together. The letter stands in the number: ``12-3-a1-17``, ``12-3-a1-D4``."""

    SALES = 0
    TRAINING = 1
    DRAWER = 2
    STOCK = 3

    @property
    def letter(self) -> str:
        """Empty for sales, refunds and voids."""
        return ("", "T", "D", "S")[self]


SERIES_OF = {
    ReceiptType.SALE: Series.SALES,
    ReceiptType.REFUND: Series.SALES,
    ReceiptType.VOID: Series.SALES,
    ReceiptType.TRAINING: Series.TRAINING,
    ReceiptType.DRAWER: Series.DRAWER,
    ReceiptType.STOCK: Series.STOCK,
    ReceiptType.OPENING: Series.DRAWER,
    ReceiptType.CLOSING: Series.DRAWER,
    ReceiptType.SETTLEMENT: Series.SALES,
}


class Tender(IntEnum):
    """Kinds of payment, as they stand in entries; ``Tender["CASH"].text`` is ``cash``."""

    CASH = 0
    CARD = 1
    VOUCHER = 2
    COUPON = 3
    """A manufacturer's coupon, paid by him."""
    POINTS = 4
    GIFT = 5
    """A gift card of our own: the account's balance pays."""
    CREDIT = 6
    """Store credit: the account's balance pays, and a refund may raise it."""
    ON_ACCOUNT = 7
    FOREIGN_CASH = 8
    MOBILE = 9
    CHEQUE = 10
    OTHER = 11

    @property
    def text(self) -> str:
        """The lower-case name."""
        return self.name.lower()

    @classmethod
    def of(cls, text: str) -> Tender:
        """The tender of this name. Raises ``KeyError``."""
        return cls[text.upper()]


class TenderState(IntEnum):
    """How sure a payment is."""

    APPROVED = 0
    STORED_OFFLINE = 1
    DECLINED_LATER = 2
    REVERSED = 3


class DrawerAct(IntEnum):
    """What a drawer movement is."""

    NO_SALE = 0
    FLOAT = 1
    PICK_UP = 2
    PAID_IN = 3
    PAID_OUT = 4
    COUNTED = 5


class StockAct(IntEnum):
    """What a stock movement is."""

    NONE = 0
    RECEIVED = 1
    WRITTEN_OFF = 2
    COUNTED = 3
    TRANSFERRED_OUT = 4
    TRANSFERRED_IN = 5


@dataclass(frozen=True, slots=True)
class Discount:
    """Money off a line, and why. A negative amount is a surcharge."""

    amount_minor: int
    reason: str = ""
    extra: Extra = ()

    def body(self) -> dict[int, object]:
        return sparse({0: self.amount_minor, 1: self.reason}, self.extra)

    @classmethod
    def from_body(cls, body: object) -> Discount:
        fields = Fields(body, "discount")
        return cls(fields.amount(0), fields.text(1), fields.rest())


@dataclass(frozen=True, slots=True)
class Consumed:
    """A component that a dish used up, in the component's 10**-exponent units."""

    product: int
    quantity: int
    extra: Extra = ()

    def body(self) -> dict[int, object]:
        return sparse({0: self.product, 1: self.quantity}, self.extra)

    @classmethod
    def from_body(cls, body: object) -> Consumed:
        fields = Fields(body, "component")
        return cls(fields.integer(0, high=PRODUCT_MAX), fields.amount(1), fields.rest())


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a receipt. Quantities and amounts of a refund or void are negative: the mirror of what they undo.

    ``total_minor`` is what the customer is asked for: after discounts; with tax if the receipt's prices are, else without.
    ``tax_minor`` is its share of the receipt's tax, so ``net_minor`` adds up to the receipt's base.
    """

    number: int
    """From 1, stable: refunds name it."""
    product: int
    quantity: int = 0
    """In 10**-quantity_exponent units; in a stock count: what was counted."""
    quantity_exponent: int = 0
    unit: str = ""
    name: str = ""
    """The product's name as it was sold."""
    code: str = ""
    """The code that was scanned."""
    unit_price_minor: int = 0
    unit_price_exponent: int = 0
    price_version: int = 0
    """The price's ``valid_from_ms``; 0 for a price that was typed in."""
    total_minor: int = 0
    tax_code: int = 0
    tax_minor: int = 0
    discounts: tuple[Discount, ...] = ()
    liability: str = ""
    """The programme whose account this line tops up (``gift``): owed, not earned."""
    account: bytes = b""
    consumed: tuple[Consumed, ...] = ()
    undoes_line: int = 0
    """The number of the line that this one gives back; 0 for none."""
    discarded: bool = False
    """Given back but not fit for sale: written off at once."""
    expected: int = 0
    """In a stock count: how many there should have been."""
    extra: Extra = ()

    def body(self) -> dict[int, object]:
        return sparse(
            {
                0: self.number,
                1: self.product,
                2: self.quantity,
                3: self.quantity_exponent,
                4: self.unit,
                5: self.name,
                6: self.code,
                7: self.unit_price_minor,
                8: self.unit_price_exponent,
                9: self.price_version,
                10: self.total_minor,
                11: self.tax_code,
                12: self.tax_minor,
                13: [discount.body() for discount in self.discounts],
                14: self.liability,
                15: self.account,
                16: [part.body() for part in self.consumed],
                17: self.undoes_line,
                18: self.discarded,
                19: self.expected,
            },
            self.extra,
        )

    @classmethod
    def from_body(cls, body: object) -> Line:
        fields = Fields(body, "line")
        return cls(
            number=fields.integer(0, 1),
            product=fields.integer(1, high=PRODUCT_MAX),
            quantity=fields.amount(2),
            quantity_exponent=fields.integer(3, high=EXPONENT_MAX),
            unit=fields.text(4),
            name=fields.text(5),
            code=fields.text(6),
            unit_price_minor=fields.amount(7),
            unit_price_exponent=fields.integer(8, high=EXPONENT_MAX),
            price_version=fields.integer(9),
            total_minor=fields.amount(10),
            tax_code=fields.integer(11),
            tax_minor=fields.amount(12),
            discounts=fields.items(13, Discount.from_body),
            liability=fields.text(14),
            account=fields.octets(15, ACCOUNT_BYTES),
            consumed=fields.items(16, Consumed.from_body),
            undoes_line=fields.integer(17),
            discarded=fields.flag(18),
            expected=fields.amount(19),
            extra=fields.rest(),
        )


@dataclass(frozen=True, slots=True)
class TenderLine:
    """A payment: positive amounts come in, negative ones (change, refunds) go out; in the store's currency."""

    kind: Tender
    amount_minor: int
    rounding_minor: int = 0
    """What cash rounding added to the amount due (or took, negative), so that it can be paid in coins."""
    currency: str = ""
    """Of a foreign payment; empty for the store's own."""
    foreign_minor: int = 0
    reference: str = ""
    """The processor's, or the voucher's number."""
    state: TenderState = TenderState.APPROVED
    account: bytes = b""
    """Whose balance pays, for points, gift cards and store credit."""
    extra: Extra = ()

    def body(self) -> dict[int, object]:
        return sparse(
            {
                0: int(self.kind),
                1: self.amount_minor,
                2: self.rounding_minor,
                3: self.currency,
                4: self.foreign_minor,
                5: self.reference,
                6: int(self.state),
                7: self.account,
            },
            self.extra,
        )

    @classmethod
    def from_body(cls, body: object) -> TenderLine:
        fields = Fields(body, "tender")
        return cls(
            fields.choice(0, Tender),
            fields.amount(1),
            fields.amount(2),
            fields.text(3),
            fields.amount(4),
            fields.text(5),
            fields.choice(6, TenderState),
            fields.octets(7, ACCOUNT_BYTES),
            fields.rest(),
        )


@dataclass(frozen=True, slots=True)
class TaxLine:
    """The tax of one code on a receipt: ``base_minor`` is without tax."""

    code: int
    rate_ppm: int
    base_minor: int
    tax_minor: int
    extra: Extra = ()

    def body(self) -> dict[int, object]:
        return sparse({0: self.code, 1: self.rate_ppm, 2: self.base_minor, 3: self.tax_minor}, self.extra)

    @classmethod
    def from_body(cls, body: object) -> TaxLine:
        fields = Fields(body, "tax")
        return cls(
            fields.integer(0),
            fields.integer(1, high=RATE_PPM_MAX),
            fields.amount(2),
            fields.amount(3),
            fields.rest(),
        )


@dataclass(frozen=True, slots=True)
class AccountMovement:
    """What a receipt did to the balance of an account: points, a gift card, store credit."""

    programme: str
    account: bytes
    earned: int = 0
    redeemed: int = 0
    owing: int = 0
    """What a refund or void should have taken back but could not, since it was spent already: the till that says so keeps
    it from what the account earns there next."""
    settled: int = 0
    """What of that is owing no more: kept from what was earned, or never to be taken back after all."""
    extra: Extra = ()

    def body(self) -> dict[int, object]:
        return sparse(
            {0: self.programme, 1: self.account, 2: self.earned, 3: self.redeemed, 4: self.owing, 5: self.settled},
            self.extra,
        )

    @classmethod
    def from_body(cls, body: object) -> AccountMovement:
        fields = Fields(body, "account movement")
        return cls(
            fields.text(0),
            fields.octets(1, ACCOUNT_BYTES),
            fields.integer(2),
            fields.integer(3),
            fields.integer(4),
            fields.integer(5),
            fields.rest(),
        )


@dataclass(frozen=True, slots=True)
class Undoes:
    """Which receipt a refund, void or settlement undoes. ``Undoes()`` says that it names none."""

    number: str = ""
    hash: bytes = b""
    """SHA-256 of the receipt's journal entry; empty if that entry is not here."""
    extra: Extra = ()

    def body(self) -> dict[int, object]:
        return sparse({0: self.number, 1: self.hash}, self.extra)

    @classmethod
    def from_body(cls, body: object) -> Undoes:
        fields = Fields(body, "undone receipt")
        return cls(fields.text(0), fields.octets(1, 32), fields.rest())


@dataclass(frozen=True, slots=True)
class Opening:
    """What the opening of a date carries over, so that the date's journal alone yields its day entry."""

    previous_date: datetime.date | None = None
    previous_hash: bytes = b""
    """The first 8 bytes of the hash of the previous date's closing day entry."""
    sales_minor: int = 0
    """Perpetual total of sales before this date."""
    refunds_minor: int = 0
    extra: Extra = ()

    def body(self) -> dict[int, object]:
        day = day_number(self.previous_date) if self.previous_date else 0
        return sparse({0: day, 1: self.previous_hash, 2: self.sales_minor, 3: self.refunds_minor}, self.extra)

    @classmethod
    def from_body(cls, body: object) -> Opening:
        fields = Fields(body, "opening")
        day = fields.integer(0, high=2**16 - 1)
        return cls(
            date_of(day) if day else None, fields.octets(1, 8), fields.integer(2), fields.integer(3), fields.rest()
        )


@dataclass(frozen=True, slots=True)
class Skipped:
    """Numbers of a series that will never be given: after its disk was set back, a till cannot know whether they were."""

    series: Series
    first: int
    last: int
    extra: Extra = ()

    def body(self) -> dict[int, object]:
        return sparse({0: int(self.series), 1: self.first, 2: self.last}, self.extra)

    @classmethod
    def from_body(cls, body: object) -> Skipped:
        fields = Fields(body, "skipped numbers")
        return cls(fields.choice(0, Series), fields.integer(1, 1), fields.integer(2, 1), fields.rest())


@dataclass(frozen=True, slots=True)
class Receipt:
    """One act of a till. ``text`` is its number as printed."""

    type: ReceiptType
    n: int
    """The number within the series, from 1, without gaps but for those that ``skipped`` states."""
    store: int
    till: int
    incarnation: str
    legal_entity: str
    business_date: datetime.date
    stamp_ms: int
    """Milliseconds since 1970 UTC."""
    offset_minutes: int
    currency: str
    exponent: int
    prices_with_tax: bool = True
    cashier: str = ""
    """The cashier's id, not a name."""
    cashier_signature: bytes = b""
    lines: tuple[Line, ...] = ()
    tenders: tuple[TenderLine, ...] = ()
    taxes: tuple[TaxLine, ...] = ()
    member: bytes = b""
    movements: tuple[AccountMovement, ...] = ()
    undoes: Undoes | None = None
    unconfirmed: bool = False
    """A refund of what another store sold, or of what is not here: whether the right to it was spent shows at the join."""
    reason: str = ""
    reference: str = ""
    """A delivery note, an order."""
    drawer: DrawerAct = DrawerAct.NO_SALE
    drawer_minor: int = 0
    stock: StockAct = StockAct.NONE
    other_store: int = 0
    """The other end of a transfer."""
    opening: Opening | None = None
    skipped: tuple[Skipped, ...] = ()
    """Stretches of numbers that were left out before this act, one for a series."""
    extra: Extra = ()

    @property
    def series(self) -> Series:
        """What it is numbered with."""
        return SERIES_OF[self.type]

    @property
    def number(self) -> str:
        """``12-3-a1-17``."""
        return f"{self.store}-{self.till}-{self.incarnation}-{self.series.letter}{self.n}"

    @property
    def total_minor(self) -> int:
        """What the lines ask for, before tax that is not included and before rounding; negative for a refund."""
        return sum(line.total_minor for line in self.lines)

    @property
    def tax_minor(self) -> int:
        """All tax, included or not."""
        return sum(tax.tax_minor for tax in self.taxes)

    @property
    def rounding_minor(self) -> int:
        """What cash rounding added or took."""
        return sum(tender.rounding_minor for tender in self.tenders)

    @property
    def due_minor(self) -> int:
        """What had to be paid, rounding included: the sum of the tenders."""
        return self.total_minor + (0 if self.prices_with_tax else self.tax_minor) + self.rounding_minor

    @property
    def change_minor(self) -> int:
        """What a customer got back in cash."""
        return -sum(tender.amount_minor for tender in self.tenders if tender.amount_minor < 0)

    def body(self) -> dict[int, object]:
        """The body of its journal entry."""
        return sparse(
            {
                0: int(self.type),
                1: self.n,
                2: self.store,
                3: self.till,
                4: self.incarnation,
                5: self.legal_entity,
                6: day_number(self.business_date),
                7: self.stamp_ms,
                8: self.offset_minutes,
                9: self.currency,
                10: self.exponent,
                11: not self.prices_with_tax,
                12: self.cashier,
                13: self.cashier_signature,
                14: [line.body() for line in self.lines],
                15: [tender.body() for tender in self.tenders],
                16: [tax.body() for tax in self.taxes],
                17: self.member,
                18: [movement.body() for movement in self.movements],
                20: self.unconfirmed,
                21: self.reason,
                22: self.reference,
                23: int(self.drawer),
                24: self.drawer_minor,
                25: int(self.stock),
                26: self.other_store,
                28: [skipped.body() for skipped in self.skipped],
            },
            self.extra,
        ) | {key: shape.body() for key, shape in ((19, self.undoes), (27, self.opening)) if shape is not None}

    @classmethod
    def from_body(cls, body: object) -> Receipt:
        """Raises ``InvalidBody``."""
        fields = Fields(body, "receipt")
        made = cls(
            type=fields.choice(0, ReceiptType),
            n=fields.integer(1, 1),
            store=fields.integer(2, 1),
            till=fields.integer(3, 1),
            incarnation=fields.text(4),
            legal_entity=fields.text(5),
            business_date=date_of(fields.integer(6, 1, 2**16 - 1)),
            stamp_ms=fields.integer(7),
            offset_minutes=fields.integer(8, -1440, 1440),
            currency=fields.text(9),
            exponent=fields.integer(10, high=EXPONENT_MAX),
            prices_with_tax=not fields.flag(11),
            cashier=fields.text(12),
            cashier_signature=fields.octets(13, 64),
            lines=fields.items(14, Line.from_body),
            tenders=fields.items(15, TenderLine.from_body),
            taxes=fields.items(16, TaxLine.from_body),
            member=fields.octets(17, ACCOUNT_BYTES),
            movements=fields.items(18, AccountMovement.from_body),
            undoes=fields.one(19, Undoes.from_body),
            unconfirmed=fields.flag(20),
            reason=fields.text(21),
            reference=fields.text(22),
            drawer=fields.choice(23, DrawerAct),
            drawer_minor=fields.amount(24),
            stock=fields.choice(25, StockAct),
            other_store=fields.integer(26),
            opening=fields.one(27, Opening.from_body),
            skipped=fields.items(28, Skipped.from_body),
            extra=fields.rest(),
        )
        if made.type is ReceiptType.STOCK and made.stock is StockAct.NONE:
            raise InvalidBody("receipt: a stock movement that moves nothing")  # whoever sums acts up counts on it
        return made
