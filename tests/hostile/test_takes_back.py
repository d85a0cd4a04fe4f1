"""A till that takes back what it has signed: both stay, both are proven to be its own, and it holds nothing any more."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crdt_pos.balance import Balance, balance_document
from crdt_pos.books import till_days
from crdt_pos.folder import Folder
from crdt_pos.forks import liars, read_proofs
from crdt_pos.patrons import patrons_document
from crdt_pos.replica import RunningReplica
from crdt_pos.schema import DAY, SCHEMA
from gossip.document import Document, Scope
from gossip.entry import Entry, sign
from gossip.messages import Durable, Entries
from merge_rules.counter_bounded import CounterBounded
from merge_rules.set_grow import SetGrow
from tests.hostile.rude import Rude, shop
from tests.node.company import holds, until
from tools.liar import signed_day

DATE = datetime.date(2026, 11, 19)
MEMBER = b"patron-1"
EARNED = 300
SCOPES = frozenset(map(Scope, ("company", "store/12", "patrons/12")))


def signed_by(folder: Folder, document: Document, body: Any, seq: int = 1) -> Entry:
    kind = SCHEMA[document.kind]
    return sign(folder.key, folder.certificate.author, document, kind.feed, kind.scope, seq, seq << 16, body)


def earned(folder: Folder, amount: int, seq: int = 1) -> Entry:
    author = folder.certificate.author
    state = CounterBounded.bottom()
    body = state.join(state.earn(author, amount)).entry_body(author)
    return signed_by(folder, balance_document("points", MEMBER), body, seq)


def rights(replica: RunningReplica, folder: Folder) -> int:
    with replica.log.read() as reader:
        return Balance.read(reader, "points", MEMBER).redeemable(folder.certificate.author).here


def all_held(replica: RunningReplica, entries: Iterable[Entry]) -> bool:
    return all(holds(replica, one) for one in entries)


@pytest.mark.parametrize("seq", [2, 1], ids=["smaller under a higher number", "other under the same number"])
@pytest.mark.parametrize("kind", ["day", "balance"])
async def test_a_till_that_takes_back_what_it_signed_is_proven_to_and_holds_no_rights(
    tmp_path: Path, kind: str, seq: int
) -> None:
    async with shop(tmp_path) as (company, office, till):
        folder = company.tills["12-2"]
        liar = folder.certificate.author
        balance = earned(folder, EARNED)
        first, second = balance, earned(folder, EARNED - 200, seq)
        if kind == DAY:
            first, second = signed_day(folder, DATE, 34_00), signed_day(folder, DATE, 12_00, seq)
        honest = (signed_by(folder, patrons_document(12), SetGrow.add_body(MEMBER)), balance, first)
        async with Rude(folder).at(office) as rude:
            await rude.greet(SCOPES)
            await rude.say(Entries(1, 0, 0, tuple(one.raw for one in dict.fromkeys(honest))))
            assert (await rude.hears(Durable)).refused == ()
            for replica in (office, till):
                await until(replica, partial(all_held, replica, honest))
                assert rights(replica, folder) == EARNED
                with replica.log.read() as reader:
                    assert not liars(reader)
            await rude.say(Entries(2, 0, 0, (second.raw,)))
            assert (await rude.hears(Durable)).refused == ()

            def proven(replica: RunningReplica) -> bool:
                with replica.log.read() as reader:
                    stated = [{one.raw, other.raw} for one, other in read_proofs(reader)]
                    return (
                        {first.raw, second.raw} in stated
                        and liars(reader) == {liar}
                        and reader.find(second.hash) is not None
                    )

            for replica in (office, till):
                await until(replica, partial(proven, replica))
                assert rights(replica, folder) == 0
                with replica.log.read() as reader:
                    assert {one.entry for one in reader.head_entries(first.document)} == {first, second}
                    if kind == DAY:
                        (day,) = till_days(reader, replica.trust.directory, first.document)
                        assert (day.author, day.disputed) == (liar, True)
