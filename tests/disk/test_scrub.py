"""A running replica's disk flips bits: the scrub finds them, a peer brings back what was lost, and the till sells on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import trio

from crdt_pos.directory import load_directory
from crdt_pos.replica import RunningReplica
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import BALANCE, DAY, JOURNAL, ROSTER, SCHEMA
from crdt_pos.scrub import Scrub
from crdt_pos.till_state import STATE_KEY, TillState
from crdt_pos.verify import Report, verify
from gossip import log_rows as rows
from gossip.entry import Entry
from gossip.log import feed_key
from tests.disk.flipping import flip, flip_row, flip_view
from tests.node.company import PATIENCE_S, Company, introduce, running, until

SALE = SaleRequest((LineRequest(1, unit_price_minor=119),))
MEMBER = b"member-7"


def verified(replica: RunningReplica) -> Report:
    with replica.log.read() as reader:
        directory = load_directory(reader, replica.folder.root, [replica.folder.chain])
        return verify(reader, directory, SCHEMA)


async def sell(replica: RunningReplica, **fields: object) -> int:
    assert replica.till is not None
    sale = SaleRequest(SALE.lines, **fields)  # type: ignore[arg-type]
    return (await replica.act(partial(replica.till.sell, sale))).n


def own(replica: RunningReplica, kind: str) -> list[Entry]:
    """What a replica itself wrote of a kind."""
    with replica.log.read() as reader:
        entries = [stored.entry for stored in reader.arrivals(0, 10_000)]
    return [one for one in entries if one.document.kind == kind and one.author == replica.certificate.author]


def everything_acknowledged(replica: RunningReplica) -> bool:
    copies, waiting = replica.safety.count()
    return copies > 0 and not waiting


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[tuple[RunningReplica, RunningReplica, RunningReplica]]:
    """A head office and two tills of one store that know each other; the first has sold four times."""
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.office, *company.tills.values()) as (office, one, two):
        for till in (one, two):
            await introduce(till, office)
            assert till.till is not None
            await till.act(till.till.open_date)
        await introduce(one, two)
        for _ in range(3):
            await sell(one)
        await sell(one, member=MEMBER)
        assert one.till is not None
        await one.act(one.till.publish)
        await until(one, lambda: everything_acknowledged(one))
        yield office, one, two


async def mended(replica: RunningReplica, rows: int = 1) -> None:
    def whole() -> bool:
        with replica.log.read() as reader:
            return (
                replica.mending.damaged >= rows and not list(reader.lost()) and not replica.mending.facts()["missing"]
            )

    with trio.fail_after(PATIENCE_S):
        while replica.mending.damaged < rows:  # until then whoever reads may meet the damage
            await trio.sleep(0.05)
    await until(replica, whole)


async def test_an_own_act_that_the_disk_has_damaged_comes_back_from_a_neighbour(
    store: tuple[RunningReplica, RunningReplica, RunningReplica],
) -> None:
    _, one, _ = store
    third = own(one, JOURNAL)[2]
    before = await sell(one)
    assert flip(one.folder, third.raw, len(third.raw) // 2)
    await mended(one)
    assert one.mending.came_back == 1
    with one.log.read() as reader:
        assert reader.find(third.hash).entry.raw == third.raw  # type: ignore[union-attr]
    assert await sell(one) == before + 1, "its disk was not set back: no number is left out"
    assert verified(one).findings == []
    assert one.mending.facts()["came_back"] == 1


@pytest.mark.parametrize("kind", [JOURNAL, DAY, ROSTER, BALANCE])
async def test_an_entry_of_any_kind_comes_back(
    store: tuple[RunningReplica, RunningReplica, RunningReplica], kind: str
) -> None:
    _, one, two = store

    def of_kind() -> list[Entry]:
        return [stored.entry for stored in _entries(two) if stored.entry.document.kind == kind]

    await until(two, lambda: bool(of_kind()))
    held = of_kind()
    assert flip(two.folder, held[0].raw, 60)
    await mended(two)
    await until(two, lambda: held[0].hash in {stored.entry.hash for stored in _entries(two)})
    assert verified(two).findings == []
    assert verified(one).findings == []


async def test_who_still_reads_what_was_just_mended_ends_nothing(
    store: tuple[RunningReplica, RunningReplica, RunningReplica], caplog: pytest.LogCaptureFixture
) -> None:
    _, one, _ = store
    third = own(one, JOURNAL)[2]

    class Beside(Scrub):
        """Looks at the log as it was, while what was damaged there is mended."""

        def look(self, rows_max: int = 0) -> bool:
            one.mending.scrub = quiet
            with one.log.read() as before:
                one.mending.mend_now()
                before.find(third.hash)
            return False

    quiet = one.mending.scrub
    before = await sell(one)
    assert flip(one.folder, third.raw, len(third.raw) // 2)
    one.mending.scrub = Beside(one.log, one.trust.record, one.system_ms)
    await mended(one)
    await until(one, lambda: "begins again" in caplog.text)
    assert await sell(one) == before + 1
    assert verified(one).findings == []


def _entries(replica: RunningReplica):
    with replica.log.read() as reader:
        return list(reader.arrivals(0, 10_000))


async def test_what_a_till_remembers_is_derived_again_from_what_it_signed(
    store: tuple[RunningReplica, RunningReplica, RunningReplica],
) -> None:
    _, one, _ = store
    before = await sell(one)
    with one.log.read() as reader:
        state, kept = TillState.read(reader), reader.view(STATE_KEY)
    assert kept is not None
    assert flip_view(one.folder, STATE_KEY, kept)
    await mended(one)
    with one.log.read() as reader:
        assert TillState.read(reader) == state
    assert await sell(one) == before + 1
    assert verified(one).findings == []


async def test_heads_hashes_and_sums_are_derived_again_from_the_entries(
    store: tuple[RunningReplica, RunningReplica, RunningReplica],
) -> None:
    _, one, two = store
    newest = own(one, JOURNAL)[-1]
    with two.log.read() as reader:
        stored = reader.find(newest.hash)
        assert stored is not None
        sums = {scope: reader.fingerprint(scope) for scope in reader.scopes(newest)}
    tip = rows.Tip(newest.seq, newest.hash, rows.form_of(newest), stored.arrival)
    flipped = flip_row(two.folder, rows.FEED + feed_key(newest.feed_id), rows.tips_value([tip]))
    flipped += flip_row(two.folder, rows.BY_HASH + newest.hash, rows.number(stored.arrival))
    for scope, one_sum in sums.items():
        flipped += flip_row(two.folder, rows.SCOPE_SUM + rows.scope_id(scope), rows.sum_value(one_sum))
    assert flipped >= 3
    await mended(two, 3)
    assert verified(two).findings == []
    with two.log.read() as reader:
        assert {scope: reader.fingerprint(scope) for scope in sums} == sums


async def test_what_nobody_holds_is_said_and_the_till_sells_on(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    async with running(company.tills["12-1"], company.tills["12-2"]) as (one, two):
        assert one.till is not None
        await one.act(one.till.open_date)
        for _ in range(3):
            await sell(one)
        second = own(one, JOURNAL)[1]
        assert flip(one.folder, second.raw, 70)
        await until(one, lambda: bool(one.mending.trouble))
        assert "nobody is in reach" in one.mending.trouble
        assert await sell(one) == 4
        await introduce(one, two)
        await until(one, lambda: "12-2 do not hold it" in one.mending.trouble)
        report = verified(one)
        assert [(found.check, found.seq) for found in report.findings] == [("missing", second.seq)]
        healing = await one.mending.heal(patience_s=5)
        assert [head.seq for _, head in healing.missing] == [second.seq]
        assert healing.asked == ("12-2",)


async def test_sums_that_nothing_has_damaged_and_that_are_wrong_are_derived_again_when_asked(
    store: tuple[RunningReplica, RunningReplica, RunningReplica],
) -> None:
    _, one, _ = store
    with one.log._writing() as table:  # type: ignore[attr-defined]
        (key, value), *_ = table.scan(rows.SCOPE_SUM, b"T")
        table.put(key, value[:1] + bytes([value[1] ^ 1]) + value[2:])
    assert {found.check for found in verified(one).findings} == {"fingerprint"}
    assert (await one.mending.heal(derive=True)).derived
    assert verified(one).findings == []


async def test_the_scrub_says_how_far_it_is(store: tuple[RunningReplica, RunningReplica, RunningReplica]) -> None:
    _, one, _ = store
    await until(one, lambda: bool(one.mending.scrub.passes))
    facts = one.connections()["scrub"]
    assert isinstance(facts, dict)
    assert facts["passed_ms"]
    assert facts["damaged"] == 0
    assert facts["missing"] == []
