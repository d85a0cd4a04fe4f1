"""A till takes back what it wrote, in the simulation: stands in for ``crdt_pos.taking_back`` on trio, step by step the same.

What proves that a disk was set back, what is waited for and what healing does is ``crdt_pos.homecoming``'s and ``healing``'s.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from crdt_pos import healing, own_heads
from crdt_pos.errors import TakingBack
from crdt_pos.healing import Healed
from crdt_pos.homecoming import Homecoming
from gossip.errors import LogFull
from gossip.reasons import Reason

if TYPE_CHECKING:
    from tools.simulation.link import SimulatedLink
    from tools.simulation.replica import SimulatedReplica

ANSWER_TIMEOUT_MS: Final = 5_000
ASK_AGAIN_MS: Final = 1_000
ASK_AGAIN_MS_MAX: Final = 60_000
LOOK_EVERY_MS: Final = 500
ACT_WAITS_MS: Final = 10_000

T = TypeVar("T")


class SimulatedReturning:
    """Runs a till's ``Homecoming``."""

    def __init__(self, replica: SimulatedReplica, home: Homecoming) -> None:
        self._replica = replica
        self._home = home
        self._running = False

    def start(self) -> None:
        """From the start of the process on."""
        self.noticed()

    def shared(self, link: SimulatedLink) -> None:
        """A session with a peer has begun: from now on somebody may know what this till writes; and it is asked."""
        self._replica.heap.spawn(self._ask(link), self._replica.life)
        self.met()

    def noticed(self) -> None:
        """Something may have been proven."""
        if self._home.why is not None and not self._running:
            self._running = True
            self._replica.heap.spawn(self._take_back(), self._replica.life)

    def met(self) -> None:
        """A peer has, or may soon have, something of this till's on its disk: that is remembered, once."""
        if not self._home.met:
            self._home.met = True
            act = partial(self._replica.log.append, [], [healing.met_view()])
            self._replica.heap.spawn(self._write(act), self._replica.life)

    async def may_act(self) -> None:
        """Wait until the till may act. Raises ``TakingBack``."""
        heap = self._replica.heap
        until_ms = heap.now_ms + ACT_WAITS_MS
        while heap.now_ms < until_ms and not self._home.may_act(self._replica.system_ms()):
            await heap.sleep(LOOK_EVERY_MS)
        if self._home.why is not None:
            raise TakingBack(self._home.why.text)

    async def _take_back(self) -> None:
        replica = self._replica
        while self._home.why is not None:
            with replica.log.read() as reader:
                complete = self._home.complete(reader, replica.system_ms())
            if complete:
                replica.end_sessions(Reason.DONE, "this log was set back, and begins anew")
                if await self._write(self._healed) is not None:
                    replica.end_sessions(Reason.DONE, "this log was set back, and begins anew")
                    break
            await replica.heap.sleep(LOOK_EVERY_MS)
        self._running = False

    async def _ask(self, link: SimulatedLink) -> None:
        replica, peer, pause_ms = self._replica, link.peer, ASK_AGAIN_MS
        while not link.session.ended:
            with replica.log.read() as reader:
                since = self._home.since(reader, peer.author)
            content = await link.ask(own_heads.TOPIC, own_heads.encode_question(since), ANSWER_TIMEOUT_MS)
            if content is not None:
                await self._hear(link, content)
                return
            if not link.session.ended:
                self._home.unanswered()
            await replica.heap.sleep(pause_ms)
            pause_ms = min(2 * pause_ms, ASK_AGAIN_MS_MAX)

    async def _hear(self, link: SimulatedLink, content: bytes) -> None:
        replica, beyond = self._replica, link.session.read_beyond
        with replica.log.read() as reader:
            proven = replica.hear_heads(reader, peer=link.peer, content=content, beyond=beyond)
        if proven is not None:
            await self._write(partial(replica.log.append, [], [healing.set_back_view(proven)]))
        self.noticed()

    def _healed(self) -> Healed:
        replica = self._replica
        assert self._home.why is not None
        replica.disk.adopt()
        healed = healing.heal(replica.log, self._home.why, replica.identity(), replica.now, replica.terms())
        with replica.log.read() as reader:
            self._home.healed(reader)
        replica.tell(healed.text())
        return healed

    async def _write(self, act: Callable[[], T]) -> T | None:
        try:
            return await self._replica.write(act)
        except LogFull:
            return None
