"""What is kept of balances: what each author issued and redeemed of every account, in a few shards by programme. Pure.

shard = [[author], [order key of a document], accounts, acts]
accounts: the value of each document;  acts: document, author (by their places), issued, redeemed
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping
from typing import Final, cast

from crdt_pos import kept_table
from crdt_pos.books import OwedSums, Owing
from crdt_pos.kept_table import Name, Table
from gossip.document import Document, order_key
from merge_rules import canonical
from merge_rules.lattice import Author

SHARDS: Final = 16
VALUE: Final = Name(0)
_DOCUMENT, _AUTHOR, _EARNED, _REDEEMED = (Name(1, number) for number in range(4))


def place(document: Document) -> bytes:
    """Of a ``balance`` document: its shard and its programme."""
    shard = hashlib.sha256(order_key(document)).digest()[0] % SHARDS
    return bytes([shard]) + str(document.keys[0]).encode()


class Shard:
    """Some of a programme's accounts."""

    def __init__(self, value: bytes | None) -> None:
        authors, documents, accounts, acts = (
            ([], [], b"", b"")
            if value is None
            else cast("tuple[list[bytes], list[bytes], bytes, bytes]", canonical.decode_own(value))
        )
        self._authors = [Author(author) for author in authors]
        self._documents = documents
        self._accounts = Table(accounts or _NONE)
        self._acts = Table(acts or _NONE)

    def replaced(self, accounts: Mapping[Document, Owing]) -> bytes | None:
        """With these accounts instead of what is here of them."""
        found = dict(self._owing())
        for document, account in accounts.items():
            found[order_key(document)] = account
            if not account.acted:
                del found[order_key(document)]
        if not found:
            return None
        authors = {
            author: number for number, author in enumerate(sorted({one for a in found.values() for one in a.acted}))
        }
        acts = [
            (number, authors[author], *both)
            for number, account in enumerate(found.values())
            for author, both in account.acted.items()
        ]
        columns = kept_table.sparse((_DOCUMENT, _AUTHOR, _EARNED, _REDEEMED), acts)
        values = [account.value for account in found.values()]
        tables = kept_table.encode({VALUE: values}, len(values)), kept_table.encode(columns, len(acts))
        return canonical.encode([list(authors), list(found), *tables])

    def _owing(self) -> Iterable[tuple[bytes, Owing]]:
        acted: list[dict[Author, tuple[int, int]]] = [{} for _ in self._documents]
        columns = (self._acts.column(name) for name in (_DOCUMENT, _AUTHOR, _EARNED, _REDEEMED))
        for document, author, earned, redeemed in zip(*columns, strict=True):
            acted[document][self._authors[author]] = earned, redeemed
        values = self._accounts.column(VALUE)
        return zip(self._documents, map(Owing, acted, values), strict=True)

    def add_to(self, sums: OwedSums, programme: str) -> None:
        """Add the accounts to a question's sums."""
        keys = {sums.key(programme, author) for author in self._authors}
        if len(keys) > 1:
            for _, account in self._owing():
                sums.add(programme, account)
            return
        wanted = {number for number, author in enumerate(self._authors) if sums.asked(author)}
        if not wanted:
            return
        columns = [self._acts.column(name) for name in (_DOCUMENT, _EARNED, _REDEEMED)]
        if len(wanted) < len(self._authors):
            acts = [act for act, author in enumerate(self._acts.column(_AUTHOR)) if author in wanted]
            columns = [array("q", [column[act] for act in acts]) for column in columns]
        documents, earned, redeemed = columns
        accounts = set(documents)
        values = self._accounts.column(VALUE)
        owed = sum(values) if len(accounts) == len(values) else sum(values[one] for one in accounts)
        if accounts:
            sums.add_sums(programme, keys.pop(), (len(accounts), sum(earned), sum(redeemed), owed))


_NONE: Final = kept_table.encode({}, 0)
