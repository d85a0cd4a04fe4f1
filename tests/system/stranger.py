"""A bare session over real TLS, with a log in memory: what somebody with a replica's key might send."""

from __future__ import annotations

from collections.abc import Iterable

import trio

from crdt_pos.folder import Folder
from crdt_pos.schema import SCHEMA
from gossip import tls
from gossip.entry import Entry
from gossip.events import Acknowledged, Ended, EntriesReceived, PeerSaidHello
from gossip.log import Arrival
from gossip.log_memory import MemoryLog
from gossip.session import Me, Session
from gossip.tls import Address
from peers.permissions import readable_scopes
from tools.cable import LOOPBACK


async def offer(folder: Folder, port: int, entries: Iterable[Entry], patience_s: float = 20.0) -> Ended | None:
    """Be the replica of ``folder`` at the one that listens on ``port`` until all ``entries`` are acknowledged.

    Returns why the session ended, if the other side ended it first.
    """
    own = folder.certificate
    log = MemoryLog(SCHEMA)
    offered = [Arrival(entry) for entry in entries]
    log.append(offered)
    stores = frozenset({own.store or 0})
    scopes = readable_scopes(own.role, own.store, stores)
    session = Session(log, Me(own.company, own.author, frozenset(scopes)), 0)
    left = {arrival.entry.hash for arrival in offered}
    with trio.fail_after(patience_s):
        stream = await tls.dial(Address(LOOPBACK, port), folder.tls_contexts())
        try:
            while left or not offered:
                if outgoing := session.data_to_send():
                    await stream.send(outgoing)
                for event in session.receive(await stream.receive(), 0):
                    if isinstance(event, PeerSaidHello):
                        session.admit(frozenset(scopes))
                    elif isinstance(event, EntriesReceived):
                        session.appended(event.batch)
                    elif isinstance(event, Acknowledged):
                        left -= {head.hash for _, head in event.heads}
                    elif isinstance(event, Ended):
                        return event
        finally:
            await stream.aclose()
    return None
