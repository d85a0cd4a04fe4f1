"""Guarding: a running till seals its vault, and learns from its neighbours how far that is safe outside of the store.

With ``--wan live`` a segment is sealed as soon as something is new and the last one is older than the bound, and at every close;
with ``--wan daily`` with each summary that is published, unless the folder's settings name a bound.
"""

from __future__ import annotations

import contextlib
import math
from functools import partial
from typing import Final

import trio

from crdt_pos.folder import Settings
from crdt_pos.replica_core import ReplicaCore
from crdt_pos.till_state import TillState
from crdt_pos.vault import TOPIC, Outside, Safe, Vault
from gossip.errors import LogFull
from gossip.log import Reader
from gossip.node import Node
from peers.permissions import Role

EVERY_S: Final = 60
LOOK_S: Final = 1.0
PAUSE_S: Final = 0.25
ASK_S: Final = 1.0
ASK_S_MAX: Final = 30.0
ASK_TIMEOUT_MS: Final = 5_000


def vault_every_s(settings: Settings) -> float:
    """The bound: how old a receipt may become that was not sealed; without end where that waits for summaries."""
    if settings.vault_every_s is not None:
        return settings.vault_every_s
    return EVERY_S if settings.wan == "live" else math.inf


class Guarding:
    """Runs beside a till's sessions."""

    def __init__(self, core: ReplicaCore, outside: Outside, node: Node) -> None:
        self._core = core
        self._outside = outside
        self._node = node
        self._every_s = vault_every_s(core.folder.settings)
        root, lookup = core.folder.root, core.trust.record
        self._vault = Vault(core.log, core.identity(), root.recovery_key, lookup)
        self._sealed_s = -math.inf
        self._told: tuple[int, int] | None = None
        self._publishes = not math.isfinite(self._every_s)

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._seal)
            nursery.start_soon(self._ask)

    def safe(self) -> Safe:
        """How it stands with the till's own acts."""
        with self._core.log.read() as reader:
            return self._outside.safe(reader, self._core.identity())

    @property
    def bound_s(self) -> int | None:
        """Segments are at most so far apart while there are receipts; ``None``: as far as the summaries."""
        return None if self._publishes else int(self._every_s)

    async def _seal(self) -> None:
        while True:
            change = self._node.change
            if self._core.may_act() and await self._core.look(partial(self._due, trio.current_time())):
                with contextlib.suppress(LogFull):
                    if await self._core.write(self._sealed):
                        self._sealed_s = trio.current_time()
            if not self._vault.more:
                with trio.move_on_after(LOOK_S if math.isfinite(self._every_s) else math.inf):
                    await change.wait()
            await trio.sleep(PAUSE_S)

    def _due(self, now_s: float, reader: Reader) -> bool:
        state = TillState.read(reader)
        told = (state.closed_day, state.published if self._publishes else 0)
        news, self._told = told != self._told, told
        late = now_s >= self._sealed_s + self._every_s
        return (news or self._vault.more or late) and self._vault.has_news(reader)

    def _sealed(self) -> int:
        now_ms = self._core.system_ms()
        if not self._core.may_act():
            return 0
        with self._core.log.read() as reader:
            views = self._outside.past(reader)
        return self._vault.seal(now_ms, [*views, *self._outside.unsaved()])

    async def _ask(self) -> None:
        pause_s = ASK_S
        while True:
            change = self._node.change
            while not await self._core.look(self._outside.behind):
                pause_s = ASK_S
                await change.wait()
                change = self._node.change
                await trio.sleep(ASK_S)
            me = self._core.certificate
            for link in list(self._node.links.values()):
                if link.peer.role is Role.TILL and link.peer.store == me.store:
                    told = await link.ask(TOPIC, b"", ASK_TIMEOUT_MS)
                    if told is not None:
                        await self._core.look(partial(self._outside.hear, content=told))
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, ASK_S_MAX)
