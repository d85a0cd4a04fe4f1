"""Whom a replica sees: its sessions if it is asked while it runs, and otherwise what its log tells of others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from crdt_pos.safety import DOCUMENTS_MAX, held_by
from crdt_pos.schema import JOURNAL
from crdt_pos.shell.mesh import Edge, Path, Seen
from crdt_pos.shell.replica import Replica
from gossip.entry import FeedId
from merge_rules.lattice import Author
from peers.permissions import IN_STORE

ARRIVALS_LOOKED_MAX: Final = 5_000
"""The newest arrivals, in which is looked for who sent something."""


def sessions(replica: Replica) -> dict[Author, dict[str, Any]]:
    """The sessions of the process that runs here, by peer; none unless attached."""
    if replica.client is None:
        return {}
    found = replica.ask("connections")["sessions"]
    return {Author(bytes.fromhex(one["author"])): one for one in found}


def heard(replica: Replica) -> dict[Author, int]:
    """Who sent something among the newest arrivals, and when last (milliseconds since 1970)."""
    last = replica.reader.last_arrival()
    found: dict[Author, int] = {}
    for stored in replica.held.arrivals(max(last - ARRIVALS_LOOKED_MAX, 0), ARRIVALS_LOOKED_MAX):
        if stored.received_from is not None:
            found[stored.received_from] = stored.received_ms
    return found


def acknowledged(replica: Replica) -> Iterator[tuple[str, int, dict[Author, int]]]:
    """Of this till's newest journals: the document, how many acts it has, and up to which each peer holds it on its disk."""
    for document in list(replica.reader.documents(JOURNAL))[-DOCUMENTS_MAX:]:
        feed = FeedId(document, replica.me)
        heads = replica.reader.heads(feed)
        if heads:
            yield str(document), heads[-1].seq, held_by(replica.reader, feed)


def path_of(replica: Replica, peer: Author) -> Path:
    """Over which network: neighbours of one store share a LAN."""
    own, other = replica.looked.folder.certificate, replica.directory.certificate(peer)
    near = other is not None and other.role in IN_STORE and own.role in IN_STORE and other.store == own.store
    return Path.LAN if near else Path.WAN


def edges(replica: Replica) -> dict[Author, Edge]:
    """What this replica sees of its own edges."""
    own = replica.looked.folder.certificate.name
    found: dict[Author, Edge] = {}
    for author, at_ms in heard(replica).items():
        certificate = replica.directory.certificate(author)
        if certificate is not None:
            found[author] = Edge(own, certificate.name, path_of(replica, author), Seen.HEARD, at_ms)
    if replica.client is None:
        return found
    answered = replica.ask("connections")
    for one in answered["schedule"]["dials"]:
        certificate = replica.directory.certificate(Author(bytes.fromhex(one["author"])))
        if one["trouble"] and not one["session"] and certificate is not None:
            path = path_of(replica, certificate.author)
            found[certificate.author] = Edge(own, certificate.name, path, Seen.UNREACHABLE, 0, one["address"])
    for one in answered["sessions"]:
        author = Author(bytes.fromhex(one["author"]))
        seen = Seen.LIVE if one["caught_up"] else Seen.BEHIND
        found[author] = Edge(own, one["peer"], path_of(replica, author), seen, one["since_ms"], one["address"])
    return found
