"""What a running till answers on its local socket: each request becomes one act of ``Till``, and its answer JSON.

The receipt is answered only after its transaction is synced. A sale with points first uses this replica's own rights; short
of them, peers are asked within the deadline, and if that does not help the answer says how many can be redeemed now.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import field, replace
from typing import Final, Protocol, TypeVar

from crdt_pos.basket import PROGRAMME_OF
from crdt_pos.errors import NotEnoughRights
from crdt_pos.healing import healings
from crdt_pos.identity import Identity, Now
from crdt_pos.journal_mark import find_mark, qr_payload
from crdt_pos.local import Command, Declined, Message
from crdt_pos.local_shapes import (
    UNRESOLVED,
    Asked,
    closed_json,
    line_request,
    new_product,
    product_json,
    receipt_json,
    refund_line,
    report_json,
    stock_line,
    tender_request,
)
from crdt_pos.products import Product, Products
from crdt_pos.receipt import PRODUCT_MAX, DrawerAct, Receipt
from crdt_pos.receipt_text import receipt_text, report_text
from crdt_pos.reports import XReport
from crdt_pos.requests import LineRequest, RefundRequest, SaleRequest
from crdt_pos.terms import Terms
from crdt_pos.till import Till
from crdt_pos.vault import Safe
from gossip.log import Reader
from merge_rules.dataclass import dataclass
from peers.certificates import Certificate

T = TypeVar("T")

BORROW_DEADLINE_MS: Final = 1_500
BORROW_DEADLINE_MS_MAX: Final = 10_000
LOOKUP_LIMIT_MAX: Final = 100
_BALANCES: Final = {tender.text: programme for tender, programme in PROGRAMME_OF.items()}


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """A peer, as this replica sees it now."""

    name: str
    role: str
    connected: bool
    last_heard_ms: int | None
    """Milliseconds since 1970; ``None`` if never since the start."""


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """How this replica is connected, and how much of what it wrote is safe elsewhere."""

    peers: tuple[PeerStatus, ...] = ()
    copies: int = 0
    """How many other replicas hold everything that this one has written, durably."""
    waiting: int = 0
    """How many of this replica's own entries no other replica has acknowledged yet."""
    trouble: str = ""
    """What does not work and is no reason to stop, in a sentence."""
    outside: Safe = field(default_factory=Safe)
    """What of its acts is safe outside of the store."""
    vault_every_s: int | None = None
    """How old an act may become before it is sealed for that; ``None``: until the next summary."""


class Replica(Protocol):
    """The service around the till: disk, peers, wake-ups."""

    async def act(self, act: Callable[[], T]) -> T:
        """Run a blocking act of the till where it may write: off the event loop, one at a time."""
        ...

    async def look(self, read: Callable[[Reader], T]) -> T:
        """Run a blocking read on a snapshot, off the event loop, beside the acts."""
        ...

    def after_commit(self) -> None:
        """Something was written: wake the sessions."""
        ...

    async def borrow(self, account: bytes, amount: int, deadline_ms: int, programme: str = "") -> None:
        """Ask peers to grant rights until ``amount`` more can be spent here, or until the deadline."""
        ...

    def status(self) -> ReplicaStatus:
        """Peers, and what is safe elsewhere."""
        ...

    def lives(self, reader: Reader, name: str) -> Sequence[Certificate]:
        """Every life of a till of this store, such as ``12-3``, oldest first; none if there is no such till."""
        ...


class Catalogue(Products, Protocol):
    """The catalogue as a cashier searches it."""

    def by_code(self, reader: Reader, code: str) -> Sequence[Product]:
        """The products of a scanned code."""
        ...

    def by_words(self, reader: Reader, text: str, limit: int = 20) -> Sequence[Product]:
        """The best ``limit`` products that have every word, or one that begins with it."""
        ...


class TillCommands:
    """The requests of a till. Use ``commands()`` with ``crdt_pos.local.serve``."""

    def __init__(
        self,
        till: Till,
        identity: Identity,
        catalogue: Catalogue,
        replica: Replica,
        now: Callable[[], Now],
        terms: Callable[[datetime.date | None], Terms],
    ) -> None:
        self._till = till
        self._identity = identity
        self._catalogue = catalogue
        self._replica = replica
        self._now = now
        self._terms = terms

    def commands(self) -> dict[str, Command]:
        """Name → command."""
        answers: dict[str, Callable[[Asked], Awaitable[Message]]] = {
            "status": self._status,
            "lookup": self._lookup,
            "product": self._product,
            "member": self._member,
            "redeemable": self._member,
            "quote": self._quote,
            "sell": self._sell,
            "refund": self._refund,
            "void": self._void,
            "drawer": self._drawer,
            "replenish": self._replenish,
            "write_off": self._write_off,
            "count": self._count,
            "transfer": self._transfer,
            "open": self._open,
            "close": self._close,
            "x_report": self._x_report,
            "receipt": self._receipt,
            "publish": self._publish,
            "proxy_close": self._proxy_close,
            "new_product": self._new_product,
            "claim": self._claim,
            "retract": self._retract,
        }
        return {name: _reading(answer) for name, answer in answers.items()}

    # --- looking ---

    async def _status(self, asked: Asked) -> Message:
        asked.end()
        open_on = await self._replica.look(lambda _: self._till.open_on)
        healed = await self._replica.look(healings)
        status, terms, who = self._replica.status(), self._terms(None), self._identity
        return {
            "replica": f"{who.store}-{who.till}",
            "store": who.store,
            "till": who.till,
            "incarnation": who.incarnation,
            "legal_entity": terms.legal_entity,
            "tax_id": terms.tax_id,
            "currency": terms.currency.code,
            "exponent": terms.currency.exponent,
            "cash_step_minor": terms.cash_step_minor,
            "prices_with_tax": terms.prices_with_tax,
            "programme": terms.programme.name,
            "minor_per_point": terms.programme.minor_per_point,
            "business_date": open_on.isoformat() if open_on else None,
            "peers": [
                {
                    "name": peer.name,
                    "role": peer.role,
                    "connected": peer.connected,
                    "last_heard_ms": peer.last_heard_ms,
                }
                for peer in status.peers
            ],
            "trouble": status.trouble,
            "healed": [one.text() for one in healed],
            "safe": {"here": True, "elsewhere": status.copies, "waiting": status.waiting},
            "outside": {
                "until_ms": status.outside.until_ms,
                "waiting": status.outside.waiting,
                "vault_every_s": status.vault_every_s,
            },
        }

    async def _lookup(self, asked: Asked) -> Message:
        text, limit = asked.text("text").strip(), asked.integer("limit", 20, low=1, high=LOOKUP_LIMIT_MAX)
        asked.end()
        ms = self._now().ms

        def search(reader: Reader) -> list[Product]:
            found = {product.id: product for product in self._catalogue.by_code(reader, text)}
            if not found and text.isascii() and text.isdigit() and int(text) <= PRODUCT_MAX:
                known = self._catalogue.find(reader, int(text))
                found = {known.id: known} if known else {}
            if not found:
                found = {product.id: product for product in self._catalogue.by_words(reader, text, limit)}
            return list(found.values())[:limit]

        found = await self._replica.look(search) if text else []
        return {"products": [product_json(product, ms) for product in found]}

    async def _product(self, asked: Asked) -> Message:
        product, code = asked.maybe_integer("product", high=PRODUCT_MAX), asked.text("code")
        asked.end()
        found = await self._replica.look(lambda reader: self._resolve(reader, product, code))
        return {"product": product_json(found, self._now().ms)}

    def _resolve(self, reader: Reader, product: int | None, code: str) -> Product:
        if product is not None:
            found = self._catalogue.find(reader, product)
        else:
            found = next(iter(self._catalogue.by_code(reader, code)), None)
            if found is None and code.isascii() and code.isdigit() and int(code) <= PRODUCT_MAX:
                found = self._catalogue.find(reader, int(code))
        if found is None:
            what = f"code '{code}'" if product is None else f"number {product}"
            raise Declined(f"No product has the {what}: look it up by words, or type in a price.", "UnknownProduct")
        return found

    async def _member(self, asked: Asked) -> Message:
        account, programme = asked.account("account"), asked.text("programme")
        asked.end()
        if not account:
            raise Declined("Say which account: 16 hexadecimal digits.", "BadRequest")
        found = await self._replica.look(lambda _: self._till.redeemable(account, programme))
        return {"account": account.hex(), "here": found.here, "company": found.company}

    async def _receipt(self, asked: Asked) -> Message:
        number = asked.text("number")
        asked.end()
        receipt = await self._replica.look(lambda _: self._till.receipt(number))
        if receipt is None:
            raise Declined(f"Receipt {number} is not here: check the number.", "UnknownReceipt")
        return await self._shown(receipt)

    async def _x_report(self, asked: Asked) -> Message:
        asked.end()
        return _report(await self._replica.act(self._till.x_report))

    async def _quote(self, asked: Asked) -> Message:
        request = await self._sale(asked)
        asked.end()
        quote = await self._replica.look(lambda _: self._till.quote(request))
        return {"total_minor": quote.total_minor, "tax_minor": quote.tax_minor, "due_minor": quote.due_minor}

    # --- acting ---

    async def _sell(self, asked: Asked) -> Message:
        request = await self._sale(asked)
        deadline_ms = asked.integer("deadline_ms", BORROW_DEADLINE_MS, high=BORROW_DEADLINE_MS_MAX)
        asked.end()
        try:
            return await self._acted(lambda: self._till.sell(request))
        except NotEnoughRights as short:
            await self._ask_peers(request, short, deadline_ms)
        try:
            return await self._acted(lambda: self._till.sell(request))
        except NotEnoughRights as short:
            raise Declined(
                f"Not that many: {short.here} can be redeemed here now, the balance is {short.company}.",
                "NotEnoughRights",
                here=short.here,
                company=short.company,
            ) from short

    async def _sale(self, asked: Asked) -> SaleRequest:
        return SaleRequest(
            lines=await self._lines(asked),
            tenders=asked.each("tenders", tender_request),
            member=asked.account("member") or None,
            points=asked.integer("points", 0),
            cashier=asked.text("cashier"),
            training=asked.flag("training"),
            reference=asked.text("reference"),
            once=asked.once(),
        )

    async def _ask_peers(self, request: SaleRequest, short: NotEnoughRights, deadline_ms: int) -> None:
        # The loyalty programme's name is empty; balances of gift cards and store credit count in minor units.
        wanted: dict[tuple[str, bytes], int] = {}
        if request.member and request.points:
            wanted["", request.member] = request.points
        for tender in request.tenders:
            programme = _BALANCES.get(tender.kind)
            if programme:
                key = programme, tender.account
                wanted[key] = wanted.get(key, 0) + tender.amount_minor
        for (programme, account), amount in wanted.items():
            if amount > short.here:
                name = programme and self._terms(None).balances(programme)
                await self._replica.borrow(account, amount - short.here, deadline_ms, name)

    async def _lines(self, asked: Asked) -> tuple[LineRequest, ...]:
        lines = asked.each("lines", line_request)

        def resolve(reader: Reader) -> tuple[LineRequest, ...]:
            return tuple(
                replace(line, product=self._resolve(reader, None, line.code).id) if line.product == UNRESOLVED else line
                for line in lines
            )

        return await self._replica.look(resolve) if any(line.product == UNRESOLVED for line in lines) else lines

    async def _refund(self, asked: Asked) -> Message:
        request = RefundRequest(
            number=asked.text("number"),
            lines=asked.each("lines", refund_line),
            tenders=asked.each("tenders", tender_request),
            reason=asked.text("reason"),
            cashier=asked.text("cashier"),
            member=asked.account("member") or None,
            once=asked.once(),
        )
        asked.end()
        return await self._acted(lambda: self._till.refund(request))

    async def _void(self, asked: Asked) -> Message:
        number, once = asked.text("number"), asked.once()
        asked.end()
        return await self._acted(lambda: self._till.void(number, once))

    async def _drawer(self, asked: Asked) -> Message:
        name = asked.text("act", "no_sale").upper()
        amount, reason, once = asked.integer("amount_minor", 0), asked.text("reason"), asked.once()
        asked.end()
        if name not in DrawerAct.__members__:
            raise Declined(f"A drawer act is one of {', '.join(act.name.lower() for act in DrawerAct)}.", "BadRequest")
        return await self._acted(lambda: self._till.drawer(DrawerAct[name], amount, reason, once))

    async def _replenish(self, asked: Asked) -> Message:
        lines, reference, once = asked.each("lines", stock_line), asked.text("reference"), asked.once()
        asked.end()
        return await self._acted(lambda: self._till.replenish(lines, reference, once))

    async def _write_off(self, asked: Asked) -> Message:
        lines, reason, once = asked.each("lines", stock_line), asked.text("reason"), asked.once()
        asked.end()
        return await self._acted(lambda: self._till.write_off(lines, reason, once))

    async def _count(self, asked: Asked) -> Message:
        lines, once = asked.each("lines", stock_line), asked.once()
        asked.end()
        return await self._acted(lambda: self._till.count(lines, once))

    async def _transfer(self, asked: Asked) -> Message:
        lines, reference, once = asked.each("lines", stock_line), asked.text("reference"), asked.once()
        to_store, from_store = asked.maybe_integer("to_store", low=1), asked.maybe_integer("from_store", low=1)
        asked.end()
        if to_store is not None and from_store is None:
            return await self._acted(lambda: self._till.transfer_out(lines, to_store, reference, once))
        if from_store is not None and to_store is None:
            return await self._acted(lambda: self._till.transfer_in(lines, from_store, reference, once))
        raise Declined("Say either 'to_store' or 'from_store'.", "BadRequest")

    async def _open(self, asked: Asked) -> Message:
        date, float_minor = asked.date("date"), asked.integer("float_minor", 0)
        asked.end()
        opened = await self._replica.act(lambda: self._till.open_date(date, float_minor))
        self._replica.after_commit()
        return {"business_date": opened.isoformat()}

    async def _close(self, asked: Asked) -> Message:
        counted = asked.maybe_integer("counted_minor")
        asked.end()
        report = await self._replica.act(lambda: self._till.close_date(counted))
        self._replica.after_commit()
        return _report(report)

    async def _publish(self, asked: Asked) -> Message:
        asked.end()
        published = await self._replica.act(self._till.publish)
        if published:
            self._replica.after_commit()
        return {"published": published}

    async def _new_product(self, asked: Asked) -> Message:
        wanted = new_product(asked)
        asked.end()
        product = await self._replica.act(lambda: self._till.new_product(wanted))
        self._replica.after_commit()
        return {"product": product_json(product, self._now().ms)}

    async def _claim(self, asked: Asked) -> Message:
        return await self._said(asked, self._till.claim)

    async def _retract(self, asked: Asked) -> Message:
        return await self._said(asked, self._till.retract)

    async def _said(self, asked: Asked, say: Callable[[str, int], int]) -> Message:
        code, product = asked.text("code"), asked.integer("product", high=PRODUCT_MAX)
        asked.end()
        entries = await self._replica.act(lambda: say(code, product))
        self._replica.after_commit()
        return {"entries": entries}

    async def _proxy_close(self, asked: Asked) -> Message:
        name = asked.text("till")
        asked.end()
        lives = await self._replica.look(lambda reader: self._replica.lives(reader, name))
        others = {life.author: life for life in lives if life.author != self._identity.author}
        if not others:
            raise Declined(
                f"{name or 'Nothing'} is no other till of this store: say which one, like 12-1.", "UnknownTill"
            )
        if any(peer.name == name and peer.connected for peer in self._replica.status().peers):
            raise Declined(f"{name} is running: close its date there.", "StillRunning")
        closed = await self._replica.act(lambda: self._till.close_lives(list(others)))
        self._replica.after_commit()
        return {"closed": [closed_json(one, others[one.life].incarnation) for one in closed]}

    async def _acted(self, act: Callable[[], Receipt]) -> Message:
        receipt = await self._replica.act(act)
        self._replica.after_commit()
        return await self._shown(receipt)

    async def _shown(self, receipt: Receipt) -> Message:
        mark = await self._replica.look(lambda reader: find_mark(reader, receipt.number))
        return {
            "receipt": receipt_json(receipt, mark),
            "text": receipt_text(receipt, self._terms(receipt.business_date)),
            "qr": qr_payload(receipt, mark),
        }


def _report(report: XReport) -> Message:
    return {"report": report_json(report), "text": report_text(report)}


def _reading(answer: Callable[[Asked], Awaitable[Message]]) -> Command:
    async def command(request: Message) -> Message:
        return await answer(Asked(request))

    return command
