"""Whenever the power goes at a till that sells, every receipt that was given is there, and the till sells on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

from crdt_pos.day import fold
from crdt_pos.errors import TillError
from crdt_pos.journal import acts, journal_document
from crdt_pos.receipt import Receipt, ReceiptType, Series
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.till_state import TillState, full_day
from gossip.entry import Entry, FeedId
from gossip.errors import GossipError
from gossip.log import Reader
from gossip.log_lmdb import LmdbLog
from merge_rules.counter_covers import COVERS_HASH_BYTES
from merge_rules.errors import InvalidBody, NotCanonical
from tests.log.power import Acknowledged, Event, Sync, cut_often, record
from tests.till.selling import main, on_disk
from tests.till.shop import BREAD, CHEESE, MEMBER, MILK, Place

SOLD_BEFORE = 3
SOLD = 15
CUTS = 120
CUTS_TO_BE_FOUND_OUT = 60


def recorded(strace: str, place: Path, sync: str) -> tuple[bytes, list[Event]]:
    """A till that has sold three times, safely on the disk, and what happens to its file when it sells on."""
    folder = place / "log"
    main(folder, "sync", SOLD_BEFORE)
    before = (folder / "data.mdb").read_bytes()
    return before, record(strace, folder, ["tests.till.selling", str(folder), sync, str(SOLD)], place / "trace")


def wrong_here(place: Place, reader: Reader, given: Sequence[str]) -> list[str]:
    """What does not fit: what was ``given`` and is not in the journal, and what is not the journal's fold."""
    state = TillState.read(reader)
    if not state.open_day:
        return ["no date is open"]
    wrong: list[str] = []
    entries = [
        stored.entry
        for stored in reader.entries(FeedId(journal_document(place.store, state.open_day), place.me.author))
    ]
    receipts = list(acts(reader, place.store, state.open_day, place.me.author))
    sales = [receipt for receipt in receipts if receipt.type is ReceiptType.SALE]
    if [receipt.n for receipt in sales] != list(range(1, len(sales) + 1)):
        wrong.append("the numbers have gaps")
    missing = set(given) - {receipt.number for receipt in sales if place.till.receipt(receipt.number) == receipt}
    if missing or len(sales) < SOLD_BEFORE:
        wrong.append(f"{len(missing)} receipts were given and are not here, {len(sales)} sales are")
    if len(sales) > max(SOLD_BEFORE, *(int(number.rpartition("-")[2]) for number in (*given, "0"))) + 1:
        wrong.append("more than the sale that was under way is here")
    if [entry.seq for entry in entries] != list(range(1, len(entries) + 1)) or any(
        entry.previous != before.hash for before, entry in pairwise(entries)
    ):
        wrong.append("the chain breaks")
    if not all(entry.verify(place.me.key.public) for entry in entries):
        wrong.append("a signature does not verify")
    if (state.seq, state.head) != (len(entries), entries[-1].hash if entries else b""):
        wrong.append("the till does not go on where its journal ends")
    if full_day(reader, state) != fold(receipts):
        wrong.append("the running fold is not that of the journal")
    if place.till.redeemable(MEMBER).company != sum(
        movement.earned - movement.redeemed for receipt in receipts for movement in receipt.movements
    ):
        wrong.append("the member's points are not those of the receipts")
    return [*wrong, *wrong_day(place, entries, receipts)]


def wrong_day(place: Place, entries: list[Entry], receipts: list[Receipt]) -> list[str]:
    """What the published day says and its journal does not."""
    covers, day, _ = place.published(place.till.open_on)
    if covers.seq > len(entries) or not entries[covers.seq - 1].hash.startswith(covers.hash):
        return ["the day covers what is not in the journal"]
    assert len(covers.hash) == COVERS_HASH_BYTES
    return [] if day == fold(receipts[: covers.seq]) else ["the day is not what its journal adds up to"]


def judged(left: Path, given: Sequence[str]) -> list[str]:
    """What a new till finds wrong on what is left."""
    try:
        place = on_disk(left, sync=False)
    except GossipError as error:
        return [f"it does not open: {error}"]
    try:
        with place.log.read() as reader:
            return wrong_here(place, reader, given)
    except (GossipError, TillError, InvalidBody, NotCanonical, IndexError, ValueError) as error:
        return [f"it cannot be read: {error!r}"]
    finally:
        place.log.close()


def judged_and_sold_on(left: Path, given: Sequence[str]) -> list[str]:
    """The same, and the till sells with the next number and closes its date."""
    wrong = judged(left, given)
    if wrong:
        return wrong
    place = on_disk(left, sync=False)
    # It is a file of another number than the one that was recorded.
    cast("LmdbLog", place.log).adopt()
    with place.log.read() as reader:
        last = TillState.read(reader).numbers[Series.SALES]
    date = place.till.open_on
    basket = (LineRequest(MILK), LineRequest(BREAD), LineRequest(CHEESE, 100, quantity_exponent=3))
    sold = place.till.sell(SaleRequest(basket, member=MEMBER, points=1))
    place.till.close_date()
    with place.log.read() as reader:
        found = [*acts(reader, place.store, sold.body()[6], place.me.author)]
    published = place.published(date)[1]
    place.log.close()
    return [] if sold.n == last + 1 and published == fold(found) and published.closed else ["it does not sell on"]


def test_a_power_cut_while_a_till_sells_loses_no_receipt_that_was_given(strace: str, tmp_path: Path) -> None:
    before, events = recorded(strace, tmp_path, "sync")
    given = [event.said for event in events if isinstance(event, Acknowledged)]
    assert given == [f"12-3-a1-{n}" for n in range(SOLD_BEFORE + 1, SOLD_BEFORE + SOLD + 1)]
    assert sum(isinstance(event, Sync) for event in events) >= SOLD
    assert cut_often(before, events, tmp_path, CUTS, judged_and_sold_on) == []


def test_a_till_whose_disk_does_not_sync_is_found_out(strace: str, tmp_path: Path) -> None:
    before, events = recorded(strace, tmp_path, "no sync")
    wrong = cut_often(before, events, tmp_path, CUTS_TO_BE_FOUND_OUT, judged)
    assert len(wrong) > CUTS_TO_BE_FOUND_OUT // 10
    assert any("were given and are not here" in loss for loss in wrong)
