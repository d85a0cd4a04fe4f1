"""Dialling: a session with every address where one is wanted, dialled again for ever, with pauses that grow."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from typing import Final, Protocol

import trio

from gossip import tls
from gossip.address import Address
from gossip.errors import PeerRefused, PeerUnreachable
from gossip.link import Link
from gossip.reasons import Reason
from gossip.session import Me
from gossip.tls import TlsStream
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers.certificates import Certificate, TlsContexts

BACKOFF_MIN_S: Final = 0.25
BACKOFF_MAX_S: Final = 30.0
JITTER: Final = (0.5, 1.5)
"""Every pause is that much of what it would be, drawn anew: those who lost one peer together do not come back together."""
STEADY_S: Final = 5.0
"""A session that lasted as long is dialled again at once; after shorter ones the pauses grow, up to ``SHORT_MAX`` doublings."""
SHORT_MAX: Final = 4

_log = logging.getLogger("crdt_pos.node")


def pause_s(attempt: int, jitter: float) -> float:
    """How long to wait before dialling again after so many attempts in vain, times ``jitter``, which is of ``JITTER``.

    >>> [pause_s(attempt, 1.0) for attempt in (0, 1, 4, 100)]
    [0.25, 0.5, 4.0, 30.0]
    """
    return min(BACKOFF_MAX_S, BACKOFF_MIN_S * (1 << min(attempt, 10))) * jitter


class Choice(Protocol):
    """With whom of those whose addresses are wanted there shall be a session now. Who says otherwise calls ``reconsider``."""

    def met(self, peer: Certificate, /) -> None:
        """This replica answers at an address that was dialled."""
        ...

    def wants(self, author: Author, /) -> bool:
        """Whether there shall be a session with it. Asked before every dial of an address whose owner is known."""
        ...

    def says(self, peer: Certificate, me: Me, /) -> Me:
        """What HELLO says to ``peer``; ``me`` is all that it could be offered."""
        ...


class Everyone:
    """Sessions with whoever is there."""

    def met(self, _peer: Certificate) -> None:
        """It is welcome."""

    def wants(self, _author: Author) -> bool:
        """Always."""
        return True

    def says(self, _peer: Certificate, me: Me) -> Me:
        """Everything."""
        return me


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
        self.choice: Choice = Everyone()
        self.wanted: dict[Address, Wanted] = {}
        self._me = me
        self._contexts = contexts
        self._links = links
        self._talk = talk
        self._reconsidered = trio.Event()

    def begin(self, nursery: trio.Nursery) -> None:
        """Dial from now on, those first who were wanted when it ended the last time."""
        self.nursery = nursery
        for before in list(self.wanted.values()):
            again = self.wanted[before.address] = Wanted(before.address, before.author, before.patience_s)
            nursery.start_soon(self._keep, again)

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

    def reconsider(self) -> None:
        """The choice may have changed: dial those who were not wanted and are now."""
        self._reconsidered.set()
        self._reconsidered = trio.Event()

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
                elif wanted.author is not None and not self.choice.wants(wanted.author):
                    wanted.trouble = ""
                    await self._reconsidered.wait()
                    attempt = 0
                    continue
                else:
                    began_s = trio.current_time()
                    shared = await self._dial(wanted)
                    if wanted.author == self._me:
                        return
                    if shared is None:
                        attempt = 0
                    elif not shared:
                        attempt += 1
                    elif trio.current_time() - began_s < STEADY_S:
                        attempt = min(attempt + 1, SHORT_MAX)
                    else:
                        attempt = 0
                await trio.sleep(pause_s(attempt, jitter.uniform(*JITTER)))

    async def _dial(self, wanted: Wanted) -> bool | None:
        """Dial once, and talk. Whether that came to anything; ``None`` if we ended the session ourselves, as wanted."""
        try:
            stream = await tls.dial(wanted.address, self._contexts)
        except (PeerUnreachable, PeerRefused) as error:
            if wanted.trouble != str(error):
                _log.info("%s", error, extra={"event": "unreachable", "address": str(wanted.address)})
            wanted.trouble = str(error)
            return False
        wanted.author = stream.peer.author
        try:
            self.choice.met(stream.peer)
            if stream.peer.author in self._links or stream.peer.author == self._me:
                return True
            if not self.choice.wants(stream.peer.author):
                return None
            wanted.talking = True
            link = await self._talk(stream)
        finally:
            wanted.talking = False
            with trio.CancelScope(shield=True):
                await stream.aclose()
        ended = link.facts.ended
        wanted.trouble = (
            "" if link.facts.shared or ended is None else f"{wanted.address}: {ended.why or ended.reason.name}"
        )
        if ended is not None and ended.reason is Reason.DONE and not ended.by_peer:
            return None
        return link.facts.shared
