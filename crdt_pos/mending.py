"""Mending a running replica's log: the scrub finds, what follows from entries is derived again, what is lost comes from a peer.

In one turn of the writer the damaged rows go and everything that follows from what is left is written again. An entry that is
lost is wanted from one peer after the other until one brings it: it proves itself, so anybody may. A till sells meanwhile; only
what needs an own state that is lost (one member's balance) waits for that. What nobody in reach holds is said, and asked for
again.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from crdt_pos import retention, views_again
from crdt_pos.columns import plural
from crdt_pos.local_shapes import Asked
from crdt_pos.scrub import ROWS_AT_ONCE, ROWS_PER_S, Scrub
from gossip.entry import FeedId, Head
from gossip.errors import LogFull
from gossip.log import Mended, feed_key
from gossip.messages import Wanted
from merge_rules.dataclass import dataclass

if TYPE_CHECKING:
    from crdt_pos.local import Command, Message
    from crdt_pos.replica import RunningReplica

ASK_AGAIN_S: Final = 10.0
"""A peer that is there is asked for the same again only after this."""
ANSWER_S: Final = 2.0
"""How long one peer may take before the next is asked too."""
HEAL_S: Final = 20.0
"""How long a person who asks for healing waits for peers."""
AT_ONCE_ROWS: Final = 5_000

_log = logging.getLogger("crdt_pos.replica")


@dataclass(frozen=True, slots=True)
class Healing:
    """What one healing did."""

    rows: int
    """Looked at."""
    damaged: int
    derived: bool
    came_back: int
    """Entries that peers brought."""
    missing: tuple[tuple[FeedId, Head], ...]
    asked: tuple[str, ...]
    """Peers by name."""

    def then(self, later: Healing) -> Healing:
        """This and what a later one did."""
        asked = tuple(dict.fromkeys((*self.asked, *later.asked)))
        derived, came_back = self.derived or later.derived, self.came_back + later.came_back
        return Healing(self.rows, self.damaged + later.damaged, derived, came_back, later.missing, asked)

    def body(self) -> dict[str, object]:
        """As JSON."""
        return {
            "rows": self.rows,
            "damaged": self.damaged,
            "derived": self.derived,
            "came_back": self.came_back,
            "missing": [
                {"document": str(feed.document), "author": feed.author.hex(), "seq": head.seq}
                for feed, head in self.missing
            ],
            "asked": list(self.asked),
        }


class Mending:
    """The scrub of a running replica, and what follows from it."""

    def __init__(self, replica: RunningReplica) -> None:
        self.scrub = Scrub(replica.log, replica.trust.record, replica.system_ms)
        self.damaged = 0
        """Rows that were damaged since the start."""
        self.came_back = 0
        """Entries that peers have brought back since the start."""
        self._replica = replica
        self._turn = trio.Lock()
        with replica.log.read() as reader:
            self._lost = tuple(reader.lost())
        self._asked_at: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await trio.sleep(ROWS_AT_ONCE / ROWS_PER_S)
            async with self._turn:
                if not self.scrub.rows:  # at the start, and with every pass
                    await self._let_go()
                await trio.to_thread.run_sync(self.scrub.look, ROWS_AT_ONCE)
                if self.scrub.damaged:
                    await self._mend()
                if self._lost:
                    await self._fetch()

    async def heal(self, *, derive: bool = False, patience_s: float = HEAL_S) -> Healing:
        """Look at everything now, mend it, and ask every peer for what is lost."""
        async with self._turn:
            self.scrub.begin()
            rows = 0
            through = False
            while not through:
                before = self.scrub.rows
                through = await trio.to_thread.run_sync(self.scrub.look, AT_ONCE_ROWS)
                rows += (self.scrub.rows_last_pass if through else self.scrub.rows) - before
            mended = Mended()
            if self.scrub.damaged or derive:
                mended = await self._mend(derive=derive)
            await self._look_again()
            had = len(self._lost)
            self._asked_at.clear()
            with trio.move_on_after(patience_s):
                while self._lost and not (self._asked_at and self._everybody_asked()):
                    await self._fetch()
                    await trio.sleep(0.05)
        return Healing(rows, mended.rows, mended.derived, had - len(self._lost), self._lost, tuple(self._asked_at))

    def facts(self) -> dict[str, object]:
        """For ``connections``."""
        lost = [f"{feed.document}, entry {head.seq}" for feed, head in self._lost]
        return {**self.scrub.facts(), "damaged": self.damaged, "came_back": self.came_back, "missing": lost}

    @property
    def trouble(self) -> str:
        """In a sentence; empty if there is none."""
        if not self._lost:
            return ""
        first, _ = self._lost[0]
        entries = plural(len(self._lost), "entry", "entries")
        who = (
            f"{', '.join(self._asked_at)} do not hold it" if self._asked_at else "nobody is in reach who could hold it"
        )
        return f"The disk has damaged {entries}, first of {first.document}, and {who}: it is asked for again and again."

    def commands(self) -> dict[str, Command]:
        """For the local socket."""
        return {"heal": self._heal}

    async def _heal(self, request: Message) -> Message:
        asked = Asked(request)
        derive, patience_s = asked.flag("derive"), asked.integer("patience_s", int(HEAL_S), high=600)
        asked.end()
        return (await self.heal(derive=derive, patience_s=patience_s)).body()

    # --- inside ------------------------------------------------------------------------------------------------------

    async def _let_go(self) -> None:
        """Drop what was kept for long enough and is safe elsewhere."""
        replica = self._replica
        with contextlib.suppress(LogFull):
            count = await replica.node.write(
                lambda: retention.apply(replica.log, replica.trust.directory, replica.system_ms())
            )
            if count:
                entries = plural(count, "entry", "entries")
                _log.info("%s were let go: they were kept for long enough", entries, extra={"event": "let_go"})
                replica.people.erased_something()  # the file is written anew without them

    async def now(self) -> None:
        """Somebody has met what is damaged."""
        await self._mend()

    async def _mend(self, *, derive: bool = False) -> Mended:
        try:
            mended = await self._replica.write_at_length(partial(self.mend_now, derive=derive))
        except LogFull:
            return Mended()
        for link in self._replica.node.links.values():
            link.compare()  # others' states that were damaged are not known here any more
        return mended

    def mend_now(self, *, derive: bool = False) -> Mended:
        """In the writer's turn, so that nothing is written between what is removed and what is derived again."""
        replica = self._replica
        mended = replica.log.mend(replica.certificate.author, tuple(self.scrub.spoilt), derive=derive)
        self.scrub.begin()
        replica.trust.reload()
        if mended.views:
            self.derive(mended.views)
        if mended.rows:
            entries = plural(len(mended.lost), "entry is", "entries are")
            _log.warning(
                "%s of the log were damaged and put right; %s wanted from peers",
                plural(mended.rows, "row"),
                entries,
                extra={"event": "damage_mended", "rows": mended.rows, "lost": len(mended.lost)},
            )
        self.damaged += mended.rows
        with replica.log.read() as reader:  # what has come back since the last look is counted at the next
            self._lost = tuple(dict.fromkeys((*self._lost, *reader.lost())))
        return mended

    def derive(self, gone: Sequence[bytes]) -> None:
        """Views are gone: write them again."""
        replica = self._replica
        with replica.log.read() as reader:
            views = views_again.of_entries(reader, replica.trust.directory)
            own = [] if replica.till is None else views_again.of_till(reader, replica.identity(), gone)
        replica.log.append([], [*views, *(own or [])])
        if own is None:
            replica.came_back()  # it does not act before others have brought what it needs to know

    async def _fetch(self) -> None:
        """Want what is lost from the next peer that was not asked of late."""
        now = trio.current_time()
        await self._look_again()
        if not self._lost:
            return
        if self._asked_at and now - max(self._asked_at.values()) < ANSWER_S:
            return
        for link in self._replica.node.links.values():
            name = link.peer.name
            if link.session.sharing and now - self._asked_at.get(name, -ASK_AGAIN_S) >= ASK_AGAIN_S:
                self._asked_at[name] = now
                link.fetch(self._wanted(self._lost))
                return

    def _wanted(self, lost: Sequence[tuple[FeedId, Head]]) -> list[Wanted]:
        """Once a feed, from its first gap on."""
        first: dict[bytes, int] = {}
        for feed, head in lost:
            key = feed_key(feed)
            first[key] = min(first.get(key, head.seq - 1), head.seq - 1)
        return [Wanted(key, after) for key, after in first.items()]

    def _everybody_asked(self) -> bool:
        there = {link.peer.name for link in self._replica.node.links.values()}
        waited = trio.current_time() - max(self._asked_at.values()) >= ANSWER_S
        return waited and there <= set(self._asked_at)

    async def _look_again(self) -> None:
        """What is still lost; the others have come back. What is found to be lost meanwhile stays in it."""
        before = set(self._lost)
        lost = await self._replica.look(lambda reader: tuple(reader.lost()))
        back = before.difference(lost)
        self._lost = tuple(one for one in dict.fromkeys((*lost, *self._lost)) if one not in back)
        if back:
            self.came_back += len(back)
            entries = plural(len(back), "damaged entry", "damaged entries")
            _log.warning("%s came back from a peer", entries, extra={"event": "damage_came_back", "entries": len(back)})
