"""A sealed segment that unfolds without end: nobody can see that before it is opened, and then only that one is left out."""

from __future__ import annotations

import resource
import tracemalloc
import zlib
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from crdt_pos.opening import open_vaults
from crdt_pos.replica import RunningReplica
from crdt_pos.schema import SCHEMA, VAULT
from crdt_pos.sealing_segments import CONTENT_BYTES_MAX, Segment, seal_segment
from crdt_pos.vault import vault_document
from gossip.document import Scope
from gossip.entry import ENTRY_BYTES_MAX, Entry, Hash, sign
from gossip.messages import Durable, Entries
from peers.keys import seal
from tests.hostile.rude import Rude
from tests.node.company import Company, first_note, holds, introduce, running, until
from tests.vault.test_who_reads import sell

UNFOLDS_TO_MIB = 256
MEMORY_BYTES_MAX = 96 << 20
OPENING_BYTES_MAX = 8 * CONTENT_BYTES_MAX


def bomb() -> bytes:
    """Zeros, compressed a mebibyte at a time."""
    folding, mebibyte = zlib.compressobj(9), bytes(1 << 20)
    return b"".join([*(folding.compress(mebibyte) for _ in range(UNFOLDS_TO_MIB)), folding.flush()])


def all_held(replica: RunningReplica, entries: Iterable[Entry]) -> bool:
    return all(holds(replica, one) for one in entries)


async def test_a_bomb_in_a_vault_is_taken_in_like_any_segment_and_left_out_when_the_vault_is_opened(
    tmp_path: Path,
) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    quick = company.tills["12-1"]
    selling = replace(quick, settings=replace(quick.settings, vault_every_s=1))
    folder, recovery = company.tills["12-2"], company.keys.recovery
    author, kind = folder.certificate.author, SCHEMA[VAULT]
    said = [first_note(folder, "before"), first_note(folder, "after", 2)]
    before, after = (seal_segment(Segment((one,)), recovery.public) for one in said)
    feed: list[Entry] = []
    for body in (before, [1, seal(recovery.public, bomb())], after):
        previous: Hash | None = feed[-1].hash if feed else None
        seq = len(feed) + 1
        feed.append(
            sign(folder.key, author, vault_document(12, 2), kind.feed, kind.scope, seq, seq << 16, body, previous)
        )
    assert len(feed[1].raw) < ENTRY_BYTES_MAX < UNFOLDS_TO_MIB << 20
    async with running(company.office, selling) as (office, till):
        await introduce(till, office)
        await sell(till)
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        async with Rude(folder).at(office) as rude:
            await rude.greet(frozenset(map(Scope, ("company", "store/12", "vault/12"))))
            await rude.say(Entries(1, 0, 0, tuple(one.raw for one in feed)))
            assert (await rude.hears(Durable)).refused == ()
            for replica in (office, till):
                await until(replica, partial(all_held, replica, feed))
        await until(till, lambda: till.status().outside.until_ms > 0 and not till.status().outside.waiting)
        with office.log.read() as reader:
            tracemalloc.start()
            vaults = {vault.till: vault for vault in open_vaults(reader, recovery)}
            _, opening = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert opening < OPENING_BYTES_MAX
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - most < MEMORY_BYTES_MAX
        assert list(vaults[2].unopened) == [2]
        assert "holds more than" in vaults[2].unopened[2]
        assert set(vaults[2].entries.values()) == set(said)
        assert vaults[1].unopened == {}
        assert {one.document.kind for one in vaults[1].entries.values()} >= {"journal"}
