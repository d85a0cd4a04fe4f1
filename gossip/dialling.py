"""Dialling: a session with every address where one is wanted, dialled again for ever, with pauses that grow."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import trio

from gossip import tls
from gossip.errors import PeerRefused, PeerUnreachable
from gossip.link import Link
from gossip.tls import Address, TlsStream
from merge_rules.lattice import Author
from peers.certificates import TlsContexts

BACKOFF_MIN_S: Final = 0.25
BACKOFF_MAX_S: Final = 30.0
STEADY_S: Final = 5.0
"""A session that lasted as long is dialled again at once; after shorter ones the pauses grow, up to ``SHORT_MAX`` doublings."""
SHORT_MAX: Final = 4

_log = logging.getLogger("crdt_pos.node")


@dataclass(slots=True)
class Wanted:
    """An address where a session is wanted."""

    address: Address
    author: Author | None
    patience_s: float
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    trouble: str = ""
    talking: bool = False
    """A session that was dialled here goes on."""


class Dialling:
    """The addresses that are wanted. It dials while ``nursery`` is set."""

    def __init__(
        self,
        me: Author,
        contexts: TlsContexts,
        links: Mapping[Author, Link],
        talk: Callable[[TlsStream], Awaitable[Link]],
    ) -> None:
        """``links``: the sessions that there are, changed by their owner; ``talk`` runs one until it has ended."""
        self.nursery: trio.Nursery | None = None
        self.wanted: dict[Address, Wanted] = {}
        self._me = me
        self._contexts = contexts
        self._links = links
        self._talk = talk

    def want(self, address: Address, author: Author | None = None, patience_s: float = 0.0) -> None:
        """Keep a session with whoever listens at ``address``, dialling again for ever; ``patience_s`` lets it dial first.

        ``author``: who is said to be there; if that is another than before, the address has changed hands.
        """
        known = self.wanted.get(address)
        if known is not None and author is not None and known.author not in (None, author):
            self.unwant(address)
            known = None
        if known is None and self.nursery is not None and author != self._me:
            wanted = Wanted(address, author, patience_s)
            self.wanted[address] = wanted
            self.nursery.start_soon(self._keep, wanted)

    def unwant(self, address: Address) -> None:
        """Stop dialling ``address``; a session that is there goes on."""
        wanted = self.wanted.pop(address, None)
        if wanted is not None and not wanted.talking:
            wanted.scope.cancel()

    def troubles(self) -> dict[str, str]:
        """Addresses that are wanted and cannot be reached now, with the reason."""
        return {str(w.address): w.trouble for w in self.wanted.values() if w.trouble and w.author not in self._links}

    async def _keep(self, wanted: Wanted) -> None:
        attempt = 0
        jitter = random.SystemRandom()
        with wanted.scope:
            await trio.sleep(wanted.patience_s)
            while self.wanted.get(wanted.address) is wanted:
                if wanted.author is not None and wanted.author in self._links:
                    await self._links[wanted.author].over.wait()
                    attempt = 0
                else:
                    began_s = trio.current_time()
                    shared = await self._dial(wanted)
                    if wanted.author == self._me:
                        return
                    if not shared:
                        attempt += 1
                    elif trio.current_time() - began_s < STEADY_S:
                        attempt = min(attempt + 1, SHORT_MAX)
                    else:
                        attempt = 0
                pause_s = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(attempt, 10))
                await trio.sleep(pause_s * jitter.uniform(0.5, 1.5))

    async def _dial(self, wanted: Wanted) -> bool:
        try:
            stream = await tls.dial(wanted.address, self._contexts)
        except (PeerUnreachable, PeerRefused) as error:
            if wanted.trouble != str(error):
                _log.info("%s", error)
            wanted.trouble = str(error)
            return False
        wanted.author = stream.peer.author
        try:
            if stream.peer.author in self._links or stream.peer.author == self._me:
                return True
            wanted.talking = True
            link = await self._talk(stream)
        finally:
            wanted.talking = False
            with trio.CancelScope(shield=True):
                await stream.aclose()
        ended = link.facts.ended
        wanted.trouble = (
            "" if link.session.shared or ended is None else f"{wanted.address}: {ended.why or ended.reason.name}"
        )
        return bool(link.session.shared)
