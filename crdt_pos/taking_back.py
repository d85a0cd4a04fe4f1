"""A till takes back what it wrote: asks every peer that it meets, lets its acts wait, and heals it when all is here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import trio

from crdt_pos import healing, own_heads
from crdt_pos.errors import TakingBack
from crdt_pos.healing import Healed, Why
from crdt_pos.homecoming import Homecoming
from crdt_pos.replica_core import ReplicaCore
from gossip.errors import LogFull
from gossip.link import Link
from gossip.log import Reader
from gossip.log_lmdb import LmdbLog
from gossip.node import Node
from gossip.reasons import Reason

ANSWER_TIMEOUT_MS: Final = 5_000
ASK_AGAIN_S: Final = 1.0
"""The pause before a peer that has not answered is asked again; the next is twice as long."""
ASK_AGAIN_S_MAX: Final = 60.0
LOOK_EVERY_S: Final = 0.2
ACT_WAITS_S: Final = 10.0
"""How long an act waits for what is taken back, before the cashier is told."""
_NOT_ASKED: Final = "Nobody could be asked yet what this till wrote last: it goes on from what its own disk says."

Result = TypeVar("Result")
_log = logging.getLogger("crdt_pos.replica")


class Returning:
    """Runs a till's ``Homecoming``."""

    def __init__(self, core: ReplicaCore, home: Homecoming, node: Callable[[], Node], log: LmdbLog) -> None:
        self._core = core
        self._home = home
        self._node = node
        self._log = log
        self._nursery: trio.Nursery | None = None
        self._changed = trio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            if self._home.why is not None:
                self._say(self._home.why)
            for link in self._node().links.values():
                self.shared(link)
            nursery.start_soon(self._say_put_off)
            while True:
                if self._home.why is None:
                    self._changed = trio.Event()
                    await self._changed.wait()
                elif await self._core.look(self._complete):
                    await self._heal()
                else:
                    await trio.sleep(LOOK_EVERY_S)

    def shared(self, link: Link) -> None:
        """A session with a peer has begun: from now on somebody may know what this till writes; and it is asked."""
        if self._nursery is not None:
            self._nursery.start_soon(self._ask, link)
        self.met()

    def noticed(self) -> None:
        """Something may have been proven."""
        self._changed.set()

    def met(self) -> None:
        """A peer has, or may soon have, something of this till's on its disk: that is remembered, once."""
        if not self._home.met and self._nursery is not None:
            self._home.met = True
            self._nursery.start_soon(self._remember_met)

    @property
    def trouble(self) -> str:
        """In a sentence; empty if there is none."""
        if self._home.why is not None:
            return str(TakingBack(self._home.why.text))
        return _NOT_ASKED if self._home.unheard(self._core.system_ms()) else ""

    async def may_act(self) -> None:
        """Wait until the till may act. Raises ``TakingBack``."""
        with trio.move_on_after(ACT_WAITS_S):
            while not self._home.may_act(self._core.system_ms()):
                with trio.move_on_after(LOOK_EVERY_S):
                    await self._changed.wait()
        self.unless_set_back(lambda: None)

    def unless_set_back(self, act: Callable[[], Result]) -> Result:
        """Act in the writers' turn, unless what came while another wrote has proven something. Raises ``TakingBack``."""
        if self._home.why is not None:
            raise TakingBack(self._home.why.text)
        return act()

    async def _ask(self, link: Link) -> None:
        peer, pause_s = link.peer.author, ASK_AGAIN_S
        while not link.session.ended:
            since = await self._core.look(partial(self._home.since, peer=peer))
            content = await link.ask(own_heads.TOPIC, own_heads.encode_question(since), ANSWER_TIMEOUT_MS)
            if content is not None:
                await self._hear(link, content)
                return
            if not link.session.ended:
                self._home.unanswered()
            with trio.move_on_after(pause_s):
                await link.over.wait()
            pause_s = min(2 * pause_s, ASK_AGAIN_S_MAX)

    async def _hear(self, link: Link, content: bytes) -> None:
        beyond = link.session.read_beyond
        proven = await self._core.look(partial(self._core.hear_heads, peer=link.peer, content=content, beyond=beyond))
        if proven is not None:
            self._say(proven)
            await self._write(partial(self._log.append, [], [healing.set_back_view(proven)]))
        self._changed.set()

    def _complete(self, reader: Reader) -> bool:
        return self._home.complete(reader, self._core.system_ms())

    async def _heal(self) -> None:
        node = self._node()
        # Others' cursors count what this log held before: as a new one it is read again from its beginning.
        node.end_sessions(Reason.DONE, "this log was set back, and begins anew")
        healed = await self._write(self._healed)
        if healed is None:
            await trio.sleep(1.0)  # the disk is full: again
            return
        node.end_sessions(Reason.DONE, "this log was set back, and begins anew")
        _log.warning("%s", healed.text(), extra={"event": "taken_back"})
        await self._write(self._core.say_put_off)

    async def _say_put_off(self) -> None:
        while not self._home.may_act(self._core.system_ms()):
            await trio.sleep(LOOK_EVERY_S)
        await self._write(self._core.say_put_off)

    def _healed(self) -> Healed:
        assert self._home.why is not None
        self._log.adopt()
        healed = healing.heal(self._log, self._home.why, self._core.identity(), self._core.now, self._core.terms())
        with self._log.read() as reader:
            self._home.healed(reader)
        return healed

    async def _remember_met(self) -> None:
        await self._write(partial(self._log.append, [], [healing.met_view()]))

    async def _write(self, act: Callable[[], Result]) -> Result | None:
        try:
            return await self._core.write(act)
        except LogFull:
            return None

    def _say(self, why: Why) -> None:
        _log.warning("%s", TakingBack(why.text), extra={"event": "set_back"})
