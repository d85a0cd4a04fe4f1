"""A flood within every bound of the protocol is left unread while others are busy: its own socket fills."""

from __future__ import annotations

from pathlib import Path

import trio

from gossip.document import Document
from gossip.entry import FeedId
from gossip.log import feed_key
from gossip.messages import Want, Wanted
from tests.hostile.rude import Rude, shop
from tests.node.company import note, notes, until

NOTES = 40
WANTS_AT_ONCE = 4


async def test_while_others_are_busy_a_flood_of_wants_is_hardly_read(tmp_path: Path) -> None:
    async with shop(tmp_path) as (company, office, till):
        rude = Rude(company.tills["12-2"])
        feeds = [
            feed_key(FeedId(Document("note", 0, (number,)), rude.folder.certificate.author)) for number in range(4000)
        ]

        async def flood(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            number = answered = 0
            async with rude.at(office):
                await rude.greet()
                task_status.started()
                while True:
                    while number - answered < WANTS_AT_ONCE:
                        number += 1
                        await rude.say(Want(number, tuple(Wanted(feed, 0) for feed in feeds)))
                    for _message, _ in rude._frames.feed(await rude.stream.receive()):
                        answered += 1

        def read_from_it() -> int:
            return office.node.links[rude.folder.certificate.author].session.messages_received

        async with trio.open_nursery() as nursery:
            await nursery.start(flood)
            began, before = trio.current_time(), read_from_it()
            for number in range(NOTES):
                await note(till, f"beside {number}")
                await until(office, lambda number=number: f"beside {number}" in notes(office.log))
            beside = (read_from_it() - before) / (trio.current_time() - began)
            began, before = trio.current_time(), read_from_it()
            await trio.sleep(2.0)
            alone = (read_from_it() - before) / (trio.current_time() - began)
            nursery.cancel_scope.cancel()
    assert alone > 0, "while nobody else is busy it is read from"
    assert beside < alone / 2
