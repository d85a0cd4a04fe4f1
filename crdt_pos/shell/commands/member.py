"""``member``: what an account has, who holds it, how it came there, where it can be spent now, and what proves a fraud."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from crdt_pos import erasing
from crdt_pos.balance import Balance
from crdt_pos.columns import Column, listing, number, plural, table
from crdt_pos.errors import NothingHere
from crdt_pos.page import HASH_DIGITS_SHOWN, Page
from crdt_pos.patrons import PATRONS, patron_key
from crdt_pos.persons import key_document
from crdt_pos.schema import BALANCE
from crdt_pos.shell import colours, evidence
from crdt_pos.shell.command import Argument, Command, Completes, Option
from crdt_pos.shell.commands.entry import write
from crdt_pos.shell.grants import Grant, grants, picture, tree
from crdt_pos.shell.replica import Replica
from gossip.document import Document
from gossip.entry import FeedId
from merge_rules.lattice import Author
from peers.permissions import Role

SVG = Option("svg", "Also draw the grants into FILE.", "FILE", Completes.PATH)
CONTRADICTS: Final = "contradicts itself"
REVOKED: Final = "revoked"
SPENDS: Final = (Role.TILL,)


def answer(replica: Replica, who: str, svg: str = "") -> dict[str, Any]:
    """Every account that is meant (several, if one phone was enrolled twice), and each of its balances."""
    reader = replica.reader
    accounts = erasing.find(reader, replica.looked.folder.root.company, who, unknown=True)
    documents = [
        one
        for one in replica.counted(reader.documents(BALANCE, 0, 0), "looking through balances", 0)
        if one.keys[-1] in accounts
    ]
    if not documents and not any(erasing.is_known(reader, one) for one in accounts):
        raise NothingHere(f"Nothing is known of the member {who} here; a balance travels to the stores where it shops.")
    balances = [_balance(replica, document) for document in documents]
    if svg:
        write(Path(svg), _picture(balances).encode())
    return {
        "asked": who,
        "accounts": [_account(replica, one) for one in accounts],
        "balances": balances,
        "svg": svg,
    }


def _account(replica: Replica, account: bytes) -> dict[str, Any]:
    reader = replica.reader
    stores = [
        document.keys[0] for document in reader.documents(PATRONS, 0, 0) if reader.view(patron_key(document, account))
    ]
    return {
        "account": account.hex(),
        "stores": stores,
        "enrolled_by": [replica.name_of(one) for one in reader.authors(key_document(account))],
        "erased": erasing.is_erased(reader, account),
    }


def _balance(replica: Replica, document: Document) -> dict[str, Any]:
    programme, account = str(document.keys[0]), document.keys[-1]
    assert isinstance(account, bytes)
    found = Balance.read(replica.reader, programme, account)
    counter, name = found.counter, replica.name_of
    rows = grants(counter, name)
    taken = {Author(taker) for donor in counter.authors for taker in counter.granted(donor)}
    authors = sorted({*counter.authors, *taken})
    replicas = [_replica(replica, found, document, one) for one in authors]
    by_asking = sum(one["rights"] for one in replicas if not one["state"])
    offices = [one for one in authors if _role(replica, one) is Role.OFFICE]
    return {
        "document": str(document),
        "programme": programme,
        "account": account.hex(),
        "balance": found.value,
        "written_off": found.written_off,
        "goodwill": sum(counter.earned(one) for one in offices),
        "replicas": replicas,
        "grants": [dataclasses.asdict(one) for one in rows],
        "redeemable": {
            "without_asking": {
                one["name"]: one["rights"] for one in replicas if one["rights"] and one["role"] in SPENDS
            },
            "by_asking": by_asking,
        },
        "pending": [
            {"taker": name(taker), "donor": name(donor), "amount": amount}
            for taker, donors in counter.pending().items()
            for donor, amount in donors.items()
        ],
        "overspent": [_overspent(replica, document, one, excess) for one, excess in counter.overspent().items()],
        "lies": [_lie(replica, document, *lie) for lie in counter.lies()],
        "_grants": rows,
    }


def _replica(replica: Replica, found: Balance, document: Document, author: Author) -> dict[str, Any]:
    counter = found.counter
    state = REVOKED if author in found.lost else CONTRADICTS if author in found.forked else ""
    heads = replica.held.heads(FeedId(document, author))
    return {
        "name": replica.name_of(author),
        "author_id": author.hex(),
        "role": _role(replica, author),
        "earned": counter.earned(author),
        "redeemed": counter.redeemed(author),
        "granted": sum(counter.granted(author).values()),
        "received": sum(one.amount for one in counter.received(author).values()),
        "waiting": sum(counter.receivable(author).values()),
        "rights": 0 if author in found.lost else found.redeemable(author).here,
        "state": state,
        "entry": heads[-1].seq if heads else 0,
    }


def _role(replica: Replica, author: Author) -> Role | None:
    certificate = replica.directory.certificate(author)
    return None if certificate is None else certificate.role


def _overspent(replica: Replica, document: Document, author: Author, excess: int) -> dict[str, Any]:
    return {"name": replica.name_of(author), "excess": excess, "proof": _proof(replica, document, author)}


def _lie(
    replica: Replica, document: Document, taker: Author, donor: Author, received: int, granted: int
) -> dict[str, Any]:
    return {
        "taker": replica.name_of(taker),
        "donor": replica.name_of(donor),
        "received": received,
        "granted": granted,
        "proof": [*_proof(replica, document, taker), *_proof(replica, document, donor)],
    }


def _proof(replica: Replica, document: Document, author: Author) -> list[dict[str, Any]]:
    """The author's own newest entries: of one that contradicts itself several."""
    return [
        evidence.row(replica, stored)
        for head in replica.held.heads(FeedId(document, author))
        if (stored := replica.held.find(head.hash)) is not None
    ]


def _picture(balances: list[dict[str, Any]]) -> str:
    rows: list[Grant] = [grant for one in balances for grant in one["_grants"]]
    rights: dict[str, int] = {}
    for one in (row for balance in balances for row in balance["replicas"]):
        rights[one["name"]] = rights.get(one["name"], 0) + one["rights"]
    return picture(listing([one["document"] for one in balances]), rows, rights)


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """The account, then each balance: who holds it, how it came there, and what is wrong."""
    accounts = answered["accounts"]
    for one in accounts:
        yield colours.title(f"member {one['account']}")
        if one["erased"]:
            yield colours.pending("  erased: nobody knows who it was")
        if one["enrolled_by"]:
            yield f"  enrolled by {listing(one['enrolled_by'])}"
        stores = [str(store) for store in one["stores"]]
        yield f"  shops in store{'' if len(stores) == 1 else 's'} {listing(stores)}" if stores else "  of no store here"
    if len(accounts) > 1:
        yield colours.pending(
            f"  ENROLLED {len(accounts)} TIMES under one phone number: read as {accounts[0]['account']}."
        )
    for one in answered["balances"]:
        yield ""
        yield from _lines(page, one)
    if not answered["balances"]:
        yield "  has nothing, as known here"
    if answered["svg"]:
        yield colours.safe(f"  drawn into {answered['svg']}")


def _lines(page: Page, one: dict[str, Any]) -> Iterator[str]:
    yield colours.title(f"{one['document']}: {number(one['balance'])}")
    rows = one["replicas"]
    names = ("earned", "redeemed", "granted", "received", "waiting", "rights")
    cells = [(row["name"], *(number(row[name]) if row[name] else "" for name in names), row["state"]) for row in rows]
    columns = (Column("replica"), *(Column(name, right=True) for name in names), Column())
    shown = table(columns, cells, page.width) if cells else []
    yield from shown[:1]
    for line, row in zip(shown[1:], rows, strict=True):
        yield colours.broken(line) if row["state"] else colours.safe(line) if row["rights"] else line
    rights = {row["name"]: row["rights"] for row in rows}
    earned = {row["name"]: row["earned"] for row in rows}
    if one["_grants"]:
        yield "  who granted what to whom:"
        for line in tree(one["_grants"], earned, rights):
            text = f"    {line}"
            yield colours.broken(text) if " LIE" in text else colours.pending(text) if "pending" in text else text
    yield from _spendable(page, one)
    yield from _wrong(page, one)


def _spendable(page: Page, one: dict[str, Any]) -> Iterator[str]:
    without, by_asking = one["redeemable"]["without_asking"], one["redeemable"]["by_asking"]
    where = listing([f"{number(amount)} at {name}" for name, amount in without.items()]) or "nothing at any till"
    text = f"can be redeemed now without asking: {where}; at any other till what it is granted, at most {number(by_asking)}."
    yield click.wrap_text(text, page.width, "  ", "  ")
    for amount, says in (
        (one["written_off"], "written off with replicas that are lost"),
        (one["goodwill"], "credited by head office"),
    ):
        if amount:
            yield colours.pending(f"  {number(amount)} {says}")


def _wrong(page: Page, one: dict[str, Any]) -> Iterator[str]:
    for said in one["pending"]:
        text = f"PENDING: {number(said['amount'])} that {said['taker']} says it received; {said['donor']}'s entry is not here."
        yield colours.pending(click.wrap_text(text, page.width, "  ", "  "))
    for said in one["overspent"]:
        yield colours.broken(
            f"  OVERSPENT: {said['name']} spent {number(said['excess'])} more than it had, by its own entries:"
        )
        yield from _proof_lines(page, said["proof"])
    for said in one["lies"]:
        received, granted = number(said["received"]), number(said["granted"])
        text = f"LIE: {said['taker']} says it received {received}; {said['donor']} granted {granted}:"
        yield colours.broken(click.wrap_text(text, page.width, "  ", "  "))
        yield from _proof_lines(page, said["proof"])


def _proof_lines(page: Page, proof: list[dict[str, Any]]) -> Iterator[str]:
    for row in proof:
        first, *rest = evidence.said(page.looked, row)
        yield f"    {row['author']}: {first}"
        yield from (f"      {line}" for line in rest)
    if proof:
        digits = proof[0]["hash"][:HASH_DIGITS_SHOWN]
        yield f"    {plural(len(proof), 'entry', 'entries')}; 'entry {digits} --cose FILE' exports one."


def _trouble(answered: dict[str, Any]) -> bool:
    return any(one["overspent"] or one["lies"] for one in answered["balances"])


COMMAND = Command(
    "member",
    "What a member has: the balance, who holds it and granted it to whom, where it can be redeemed now, and proof of any fraud.",
    "member 6d656d6265722d31",
    answer,
    lines,
    (Argument("who", "A phone number, or an account's 16 hexadecimal digits.", Completes.MEMBER),),
    (SVG,),
    _trouble,
)
