"""Admission: what a peer is offered, whether it may stay once it has said HELLO, and which of two sessions goes on. Sans-I/O."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from gossip.events import Event, PeerSaidHello
from gossip.intake import Trust
from gossip.reasons import Reason
from gossip.session import Me, Session
from merge_rules.lattice import Author
from peers.certificates import Certificate

CROSSED_MS_MAX: Final = 5_000
"""Two sessions of one pair within this time are two dials that crossed; a later one replaces the older."""


class Guest(Protocol):
    """A session on its stream, whose other end TLS has proven."""

    dialled: bool
    began_ms: int

    @property
    def peer(self) -> Certificate: ...

    @property
    def session(self) -> Session: ...

    def end(self, reason: Reason, why: str = "") -> None:
        """End the session with a reason; the peer is told."""
        ...


GuestOfAny = TypeVar("GuestOfAny", bound=Guest)


def offered(me: Me, peer: Certificate, trust: Trust) -> Me:
    """What HELLO says to a peer that TLS has proven: of our scopes those that it may read, since no others can be shared."""
    return replace(me, scopes=me.scopes & trust.readable(peer))


def decide(
    guest: GuestOfAny,
    said: PeerSaidHello,
    links: MutableMapping[Author, GuestOfAny],
    me: Me,
    trust: Trust,
    ticks_ms: int,
) -> list[Event]:
    """Admit a peer, which then stands in ``links``, or refuse it; returns what that call of its session returned."""
    peer, session = guest.peer, guest.session
    if said.hello.author != peer.author:
        return session.refuse(Reason.IDENTITY, "HELLO names another author than the certificate")
    if peer.author == me.author:
        return session.refuse(Reason.SELF, "this is the same replica, or a copy of its disk")
    objection = trust.objection(peer)
    if objection is not None:
        return session.refuse(objection, trust.said_against(peer))
    other = links.get(peer.author)
    if other is not None and not other.session.ended:
        crossed = ticks_ms - other.began_ms < CROSSED_MS_MAX
        mine_wins = me.author < peer.author
        if crossed and guest.dialled is not mine_wins:
            return session.refuse(Reason.DUPLICATE, "there is another session already")
        other.end(Reason.DUPLICATE, "a newer session takes over")
    links[peer.author] = guest
    same_store = peer.store is not None and any(scope == f"journal/{peer.store}" for scope in me.scopes)
    return session.admit(trust.readable(peer), announce=same_store)
