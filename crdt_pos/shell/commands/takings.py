"""``takings``: what a store took on a date, till by till, down to the receipts where the journal is here."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import click

from crdt_pos import books
from crdt_pos.books import Account, Query, TillDay
from crdt_pos.cli import Refused
from crdt_pos.columns import Column, number, plural, table
from crdt_pos.counted import counted
from crdt_pos.page import Page
from crdt_pos.schema import DAY
from crdt_pos.shell import acts, colours
from crdt_pos.shell.command import Argument, Command, Completes
from crdt_pos.shell.replica import Replica
from gossip.document import Document, day_number
from gossip.entry import FeedId

RECEIPTS_MAX = 15


def answer(replica: Replica, store: str, date: str) -> dict[str, Any]:
    """What counts of every till, who signed it, up to which act, and the acts that are here."""
    if not store.isascii() or not store.isdigit():
        raise Refused(f"'{store}' is no store: say its number, such as 12.")
    try:
        day = datetime.date.fromisoformat(date)
    except ValueError as error:
        raise Refused(f"'{date}' is no date: write it like 2026-11-22.") from error
    replica.progress("adding up", 0, 1)
    found = books.read(replica.reader, replica.directory, Query(day, day, int(store)))
    document = Document(DAY, day_number(day), (int(store),))
    return {
        "store": int(store),
        "date": day.isoformat(),
        "document": str(document),
        "accounts": [_account(replica, document, one) for one in found.accounts],
    }


def _account(replica: Replica, document: Document, account: Account) -> dict[str, Any]:
    money = account.money
    return {
        "legal_entity": account.legal_entity,
        "currency": account.currency,
        "exponent": account.exponent,
        "takings_minor": money.takings_minor,
        "refunds_minor": money.refunds_minor,
        "tax_minor": money.tax_minor,
        "balanced": money.balanced,
        "waiting_for": [{"till": one.till, "heard_ms": one.heard_ms} for one in account.waiting],
        "tills": [_till(replica, document, one) for one in account.days],
    }


def _till(replica: Replica, document: Document, day: TillDay) -> dict[str, Any]:
    heads = () if day.publisher is None else replica.reader.heads(FeedId(document, day.publisher))
    journal = replica.reader.heads(acts.journal_of(document, day.author))
    reach = max((head.seq for head in journal), default=0)
    told = _told(replica, document, day)
    receipts = [
        {**acts.row(stored, act), "adds_minor": acts.takings(act), "told": stored.entry.seq <= told}
        for stored, act in acts.acts(replica.reader, document, day.author)
    ]
    folded = sum(one["adds_minor"] for one in receipts)
    whole = reach >= day.covers and len(receipts) == reach
    return {
        "till": day.name,
        "life": day.incarnation,
        "author_id": day.author.hex(),
        "takings_minor": day.day.takings_minor,
        "refunds_minor": day.day.refunds_minor,
        "acts": day.covers,
        "told_acts": told,
        "closed": day.closed,
        "disputed": day.disputed,
        "published_by": "" if day.publisher is None else replica.name_of(day.publisher),
        "entry": max((head.seq for head in heads), default=0),
        "journal_acts": reach,
        "journal_says_minor": folded if whole else None,
        "claims": [{**one._asdict(), "publisher": replica.name_of(one.publisher)} for one in day.claims],
        "receipts": receipts,
    }


def _told(replica: Replica, document: Document, day: TillDay) -> int:
    """Up to which act anybody else can know of, by what was published here."""
    published = (one for one in counted(replica.reader, document, as_published=True) if one.subject == day.author)
    return max((one.covers for one in published if one.publisher is not None), default=0)


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """A row for each till, then its acts; what nobody else was told of yet is yellow."""
    for account in answered["accounts"]:
        exponent, currency = account["exponent"], account["currency"]
        net = account["takings_minor"] - account["refunds_minor"]
        taken = (
            f"{number(account['takings_minor'], exponent)} less {number(account['refunds_minor'], exponent)} given back"
        )
        yield colours.title(f"{answered['document']}: {number(net, exponent)} {currency}")
        yield f"  {taken}, {account['legal_entity']}"
        yield from _tills(page, account)
        for one in account["waiting_for"]:
            yield colours.pending(f"  waiting for {one['till']}: more may come")
        if not account["balanced"]:
            yield colours.broken("  THESE BOOKS DO NOT BALANCE: 'verify' says whose entry is wrong.")
        for one in account["tills"]:
            yield from _receipts(page, account, one)
    if not answered["accounts"]:
        yield f"Nothing of {answered['document']} is here."


def _tills(page: Page, account: dict[str, Any]) -> Iterator[str]:
    cells = [
        (
            f"{one['till']} {one['life']}",
            *(number(one[name], account["exponent"]) for name in ("takings_minor", "refunds_minor")),
            number(one["acts"]),
            number(one["told_acts"]),
            number(one["journal_acts"]) if one["journal_acts"] else "not here",
            one["published_by"] or "nobody: folded here",
            _state(one),
        )
        for one in account["tills"]
    ]
    figures = ("takings", "refunds", "acts", "told", "journal")
    columns = (Column("till"), *(Column(title, right=True) for title in figures), Column("told by"), Column())
    shown = table(columns, cells, page.width) if cells else []
    yield from shown[:1]
    for line, one in zip(shown[1:], account["tills"], strict=True):
        yield (colours.broken if one["disputed"] else str if one["closed"] else colours.pending)(line)
    for one in account["tills"]:
        said = one["journal_says_minor"]
        counts = one["takings_minor"] - one["refunds_minor"]
        if said is not None and one["journal_acts"] == one["acts"] and said != counts:
            text = f"{one['till']}: its receipts add up to {number(said, account['exponent'])}, its day says otherwise."
            yield colours.broken(click.wrap_text(f"CONFLICT: {text}", page.width, "  ", "    "))


def _state(one: dict[str, Any]) -> str:
    return "DISPUTED" if one["disputed"] else "closed" if one["closed"] else "open"


def _receipts(page: Page, account: dict[str, Any], till: dict[str, Any]) -> Iterator[str]:
    rows = [one for one in till["receipts"] if page.everything or one["adds_minor"]]
    shown = rows if page.everything else rows[-RECEIPTS_MAX:]
    if not till["receipts"]:
        yield f"  {till['till']}: its journal is not here; receipts stay with the tills of their store."
        return
    untold = [one for one in rows if not one["told"]]
    yield ""
    yield colours.title(f"{till['till']} {till['life']}: {plural(len(till['receipts']), 'act')} here")
    cells = [
        (
            one["number"],
            one["at"],
            one["what"],
            number(one["adds_minor"], account["exponent"]),
            "" if one["told"] else "not told yet",
        )
        for one in shown
    ]
    columns = (Column("number"), Column("at (UTC)"), Column("what"), Column("adds", right=True), Column())
    printed = table(columns, cells, page.width) if cells else []
    yield from printed[:1]
    for line, one in zip(printed[1:], shown, strict=True):
        yield line if one["told"] else colours.pending(line)
    if len(shown) < len(till["receipts"]):
        yield f"  {plural(len(shown), 'newest act')} that moved money; --all lists every act."
    if untold:
        amount = number(sum(one["adds_minor"] for one in untold), account["exponent"])
        yield colours.pending(
            f"  {plural(len(untold), 'act')} with {amount} {account['currency']} in no day yet: only this store knows."
        )


COMMAND = Command(
    "takings",
    "What a store took on a date: each till, who signed it, and its receipts where the journal is here.",
    "takings 12 2026-11-22",
    answer,
    lines,
    (Argument("store", "Its number.", Completes.STORE), Argument("date", "A business date.")),
)
