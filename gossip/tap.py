"""A tap on live sessions: the bytes of both sides as they pass. Where nobody listens it costs one test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gossip.link import Link


class Tap(Protocol):
    """Listens to the sessions of a node, on the event loop. It changes nothing, raises nothing and does not take long."""

    def coming(self, link: Link, octets: bytes) -> None:
        """The session is about to be given these bytes of the peer, which are cut anywhere."""
        ...

    def came(self, link: Link) -> None:
        """It has understood them; what follows from them has not been done yet."""
        ...

    def went(self, link: Link, octets: bytes) -> None:
        """The session has these bytes for the peer: whole messages."""
        ...
