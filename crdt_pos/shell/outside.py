"""Another replica from outside: a session in the name of a folder, which takes what its certificate may read into memory.

Nothing that comes is acknowledged as kept: a peer counts who holds what, and this copy is gone in a moment. So every batch is
answered as refused, which is true and which the protocol knows (``DURABLE`` with ``refused``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import trio

from crdt_pos.cli import Refused
from crdt_pos.clock import system_ms
from crdt_pos.folder import OFFICE_PORT, Folder, open_folder, parse_address
from crdt_pos.looking import Looked
from crdt_pos.schema import SCHEMA
from crdt_pos.shell.replica import Replica
from crdt_pos.trust import RosterTrust
from gossip.address import Address
from gossip.document import Scope
from gossip.entry import FeedId
from gossip.events import EntriesReceived, Event
from gossip.in_flight import InFlight
from gossip.log import Log
from gossip.log_memory import MemoryLog
from gossip.messages import Refused as NotKept
from gossip.node import Hooks, Node
from gossip.session import Me, Session

WAIT_S: Final = 20.0
"""How long a peer may take until it has answered, and then between any two entries."""
SHARES_NOTHING: Final = (
    "shares nothing with this certificate now: of a store's tills one tells a head office; ask another"
)
NOT_KEPT: Final = "looked at, and not kept"


class Glance(Session):
    """A session that keeps nothing."""

    def __init__(self, log: Log, me: Me, now_ms: int, in_flight: InFlight) -> None:
        super().__init__(log, me, now_ms, in_flight=in_flight)
        self._came: dict[int, tuple[NotKept, ...]] = {}

    def receive(self, received: bytes, now_ms: int) -> list[Event]:
        events = super().receive(received, now_ms)
        for event in events:
            if isinstance(event, EntriesReceived):
                self._came[event.batch] = tuple(NotKept(entry.hash, NOT_KEPT) for entry in event.entries)
        return events

    def appended(self, batch: int, refused: Sequence[NotKept] = (), gaps: Collection[FeedId] = ()) -> list[Event]:
        said = self._came.pop(batch, ())
        return super().appended(batch, [*said, *(one for one in refused if one not in said)], gaps)


def open_peer(path: Path, address: str) -> Replica:
    """Look into the replica at ``address``. Raises ``Refused``: it does not answer, or does not share with this certificate."""
    folder = open_folder(path)
    place = parse_address(address, OFFICE_PORT)
    log = MemoryLog(SCHEMA)
    trust = RosterTrust(folder, log)
    with folder.held():  # two sessions in one name would end each other
        fetched = trio.run(_fetch, folder, log, trust, place, strict_exception_groups=True)
    if isinstance(fetched, str):
        log.close()
        raise Refused(fetched)
    closing = ExitStack()
    closing.callback(log.close)
    return Replica(Looked(folder, log, trust.directory, ""), closing, peer=str(place), shared=fetched)


async def _fetch(folder: Folder, log: MemoryLog, trust: RosterTrust, address: Address) -> frozenset[Scope] | str:
    """The scopes of which everything has come; or what was in the way, in a sentence."""
    me = Me(folder.root.company, folder.certificate.author, trust.readable(folder.certificate), chain=folder.chain)
    hooks = Hooks()
    node = Node(log, me, folder.tls_contexts(), SCHEMA, trust, system_ms, hooks, Glance)
    hooks.appended = lambda _batch: _reload(node, trust, folder)
    async with trio.open_nursery() as nursery:
        await nursery.start(node.run, None)
        node.want(address)
        fetched = await _catch_up(node, log, address)
        nursery.cancel_scope.cancel()
    return fetched


def _reload(node: Node, trust: RosterTrust, folder: Folder) -> None:
    trust.reload()
    node.may_read(trust.readable(folder.certificate))


async def _catch_up(node: Node, log: MemoryLog, address: Address) -> frozenset[Scope] | str:
    seen, patience_s = -1, trio.current_time() + WAIT_S
    while True:
        change = node.change
        with log.read() as reader:
            arrived = reader.last_arrival()
        for link in node.links.values():
            if link.facts.caught_up:
                return link.session.shared or f"{link.peer.name} {SHARES_NOTHING}."
        if arrived != seen:
            seen, patience_s = arrived, trio.current_time() + WAIT_S
        if trio.current_time() > patience_s:
            said = node.troubles().get(str(address), f"{address} does not answer")
            return f"Nothing came from {address}: {said.rstrip('.')}."
        with trio.move_on_after(0.2):
            await change.wait()
