"""What a peer with a valid certificate may send, and what it is told: its session ends with a reason, and no other does."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from gossip import frames
from gossip.document import Document, Scope, ScopeClass
from gossip.entry import ENTRY_BYTES_MAX, SEQ_MAX, STAMP_MAX, FeedId, Hash, Head, sign
from gossip.log import Fingerprint, feed_key
from gossip.messages import (
    CERTIFICATE_BYTES_MAX,
    FRAME_BYTES_MAX,
    Announce,
    Announcement,
    Answer,
    Ask,
    Cursor,
    Durable,
    Entries,
    Fingerprints,
    Hello,
    Message,
    Part,
    Ping,
    Pong,
    Ranges,
    Run,
    Want,
    Wanted,
)
from gossip.reasons import Reason
from merge_rules import canonical
from tests.hostile.rude import Rude, ends_with, shop
from tests.node.company import BOARD, NOTE, Stranger, first_note, holds, note, notes, reasons, until

NOWHERE = feed_key(FeedId(BOARD, b"nobody!!"))  # type: ignore[arg-type]
SOME_HASH = Hash(bytes(32))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Answer(1, b"as you asked"), Reason.MALFORMED),
        (Pong(1), Reason.MALFORMED),
        (Durable(1), Reason.MALFORMED),
        (Entries(1, 0, 1, ()), Reason.MALFORMED),
        (Entries(2, 0, 0, ()), Reason.MALFORMED),
        (Want(2, (Wanted(NOWHERE, 0),)), Reason.MALFORMED),
        (Ask(7, "certificate", bytes(8)), Reason.MALFORMED),
        (Cursor(bytes(16), 0), Reason.UNEXPECTED),
        (Entries(1, 0, 0, (b"no entry",)), Reason.BAD_ENTRY),
    ],
    ids=["answer", "pong", "durable", "answer-to-no-want", "batch", "want", "question", "cursor", "entry"],
)
async def test_what_nobody_asked_for_ends_the_session(tmp_path: Path, message: Message, reason: Reason) -> None:
    async with shop(tmp_path) as (company, office, _), Rude(company.tills["12-2"]).at(office) as rude:
        await rude.greet()
        assert await ends_with(rude, reason, message)


async def test_a_frame_an_entry_or_a_certificate_that_is_too_large_ends_the_session(tmp_path: Path) -> None:
    async with shop(tmp_path) as (company, office, _):
        folder = company.tills["12-2"]
        async with Rude(folder).at(office) as rude:
            await rude.greet()
            await rude.stream.send((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
            assert Reason.of((await rude.until_bye()).reason) is Reason.TOO_LARGE
        async with Rude(folder).at(office) as rude:
            await rude.greet()
            await ends_with(rude, Reason.MALFORMED, Entries(1, 0, 0, (bytes(ENTRY_BYTES_MAX + 1),)))
        async with Rude(folder).at(office) as rude:
            hello = rude.hello()
            chain = (bytes(CERTIFICATE_BYTES_MAX + 1),)
            large = Hello(1, 1, hello.company, hello.author, hello.database, 0, hello.scopes, chain=chain)
            await ends_with(rude, Reason.MALFORMED, large)
        async with Rude(folder).at(office) as rude:  # a body that nests deeper than bodies do
            await rude.greet()
            deep = first_note(folder, "").raw[:-66] + b"\x81" * 40
            await ends_with(rude, Reason.BAD_ENTRY, Entries(1, 0, 0, (deep,)))


async def test_random_bytes_end_the_session_wherever_it_stands(tmp_path: Path) -> None:
    async with shop(tmp_path) as (company, office, till):
        for greets, replica in itertools.product((False, True), (office, till)):
            async with Rude(company.tills["12-2"]).at(replica) as rude:
                if greets:
                    await rude.greet()
                await rude.stream.send(b"\0\0\0\x20" + bytes(range(100, 132)))
                assert Reason.of((await rude.until_bye()).reason) is Reason.MALFORMED


async def test_a_session_that_was_recorded_cannot_be_played_back_by_another(tmp_path: Path) -> None:
    async with shop(tmp_path) as (company, office, till):
        recorded = frames.encode(
            Hello(
                1,
                1,
                till.certificate.company,
                till.certificate.author,
                till.log.database,
                9,
                frozenset({Scope("company")}),
            )
        )
        async with Rude(company.tills["12-2"]).at(office) as rude:
            await rude.stream.send(recorded)
            assert Reason.of((await rude.until_bye()).reason) is Reason.IDENTITY


async def test_entries_that_are_here_already_are_acknowledged_and_change_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path) as (company, office, till):
        await note(till, "once")
        await until(office, lambda: "once" in notes(office.log))
        with office.log.read() as reader:
            before = reader.last_arrival()
            old = [stored.entry.raw for stored in reader.arrivals(0, 1000) if stored.entry.document == BOARD]
        async with Rude(company.tills["12-2"]).at(office) as rude:
            await rude.greet()
            await rude.say(*(Entries(number, 0, 0, tuple(old)) for number in range(1, 40)))
            while (await rude.hears(Durable)).batch < 39:
                pass
        with office.log.read() as reader:
            assert reader.last_arrival() == before


async def test_an_entry_of_another_store_or_of_a_scope_that_was_not_granted_ends_the_session(tmp_path: Path) -> None:
    async with shop(tmp_path) as (company, office, _):
        folder = company.tills["12-2"]
        for store, kind, scope in ((13, "day", ScopeClass.STORE), (12, "journal", ScopeClass.JOURNAL)):
            document = Document(kind, 20_777, (store,))
            entry = sign(folder.key, folder.certificate.author, document, NOTE.feed, scope, 1, 1, {}, None)
            async with Rude(folder).at(office) as rude:
                await rude.greet()
                await ends_with(rude, Reason.SCOPE, Entries(1, 0, 0, (entry.raw,)))


async def test_what_a_till_may_not_read_it_is_not_told_however_it_asks(tmp_path: Path) -> None:
    async with shop(tmp_path) as (company, office, _):
        company_only = frozenset(map(Scope, ("company",)))
        everything = frozenset(map(Scope, ("company", "journal/13", "store/13", "vault/13", "patrons/13")))
        async with Rude(company.tills["12-2"]).at(office) as rude:
            await rude.say(rude.hello(everything))
            offered = await rude.hears(Hello)
            assert not {scope for scope in offered.scopes if scope.endswith("/13")}
        async with Rude(company.tills["12-2"]).at(office) as rude:
            await rude.greet(everything)
            # Shared is the company's scope alone; another's position is out of bounds, a feed of it is not there.
            foreign = feed_key(FeedId(Document("day", 20_777, (13,)), office.certificate.author))
            await rude.say(Want(1, (Wanted(foreign, 0),)))
            while (batch := await rude.hears(Entries)).answers != 1:
                await rude.say(Durable(batch.batch))
            assert batch.items == ()
            await rude.say(Fingerprints((Fingerprint(1, 1),) * len(company_only)))
            await ends_with(rude, Reason.SCOPE, Ranges((Run(5, b"", (Part(None, Fingerprint()),)),)))


async def test_an_entry_from_the_far_future_is_kept_and_disturbs_nobody(tmp_path: Path) -> None:
    async with shop(tmp_path) as (company, office, till):
        folder = company.tills["12-2"]
        late = sign(folder.key, folder.certificate.author, BOARD, NOTE.feed, NOTE.scope, 1, STAMP_MAX, "tomorrow", None)
        stranger = Stranger(folder)
        stranger.offers(late)
        async with stranger.at(office):
            await stranger.until_settled(late)
        await until(till, lambda: holds(till, late))
        await note(till, "today")
        await until(office, lambda: notes(office.log) >= {"tomorrow", "today"})


async def test_a_certificate_that_is_none_is_not_believed_and_its_entries_are_refused(tmp_path: Path) -> None:
    async with shop(tmp_path) as (company, office, _):
        folder = company.tills["12-2"]
        orphan = sign(
            folder.key,
            b"orphan!!",
            BOARD,
            NOTE.feed,
            NOTE.scope,
            1,
            1,
            "who?",
            None,  # type: ignore[arg-type]
        )
        for shown in (canonical.encode([bytes(60_000)]), canonical.encode([b""] * 9000), b"\xff" * 60_000, b""):
            async with Rude(folder).at(office) as rude:
                await rude.greet()
                await rude.say(Entries(1, 0, 0, (orphan.raw,)))
                question = await rude.hears(Ask)
                await rude.say(Answer(question.id, shown))
                durable = await rude.hears(Durable)
                assert [one.hash for one in durable.refused] == [orphan.hash]


async def test_accounts_of_another_size_do_not_get_as_far_as_the_log(tmp_path: Path) -> None:
    async with shop(tmp_path) as (company, office, till):
        folder = company.tills["12-2"]
        document = Document("patrons", 0, (12,))
        bad = sign(folder.key, folder.certificate.author, document, NOTE.feed, ScopeClass.STORE, 1, 1, ["a"], None)
        for replica in (office, till):
            async with Rude(folder).at(replica) as rude:
                await rude.greet()
                await rude.say(Entries(1, 0, 0, (bad.raw,)))
                await rude.hears(Durable)
            with replica.log.read() as reader:
                assert "8 bytes" in reasons(reader)[str(document)]


async def test_signs_of_life_and_comparisons_without_end_end_the_session(tmp_path: Path) -> None:
    async with shop(tmp_path) as (company, office, _):
        folder = company.tills["12-2"]
        numbers = itertools.count(1)
        async with Rude(folder).at(office) as rude:
            await rude.greet()
            bye = await rude.sends_until_bye(lambda: b"".join(frames.encode(Ping(next(numbers))) for _ in range(32)))
            assert (bye.reason, bye.text) == (Reason.TOO_MUCH, "you ask for signs of life without end")
        async with Rude(folder).at(office) as rude:
            await rude.greet()
            await rude.say(Fingerprints((Fingerprint(1, 1),) * 2))
            # Many ranges, all of which are empty on both sides: nothing to say, and much to look up.
            bounds = [number.to_bytes(4, "big") for number in range(1, 256)]
            parts = tuple(Part(bound, Fingerprint()) for bound in bounds)
            flood = frames.encode(Ranges(tuple(Run(0, b"", parts) for _ in range(40))))
            bye = await rude.sends_until_bye(lambda: flood)
            assert bye.reason == Reason.TOO_MUCH


async def test_announcements_of_what_nobody_has_are_bounded(tmp_path: Path) -> None:
    async with shop(tmp_path) as (company, office, _):
        author = company.tills["12-2"].certificate.author
        made_up = tuple(
            Announcement(feed_key(FeedId(Document("note", 0, (number,)), author)), Head(SEQ_MAX, SOME_HASH))
            for number in range(1, 41)
        )
        batches = itertools.count(1)
        async with Rude(company.tills["12-2"]).at(office) as rude:
            await rude.greet()
            bye = await rude.sends_until_bye(lambda: frames.encode(Announce(next(batches), 0, made_up)))
            assert bye.reason == Reason.TOO_MUCH
