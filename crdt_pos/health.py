"""How a running replica is: who it is and since when, whom it reaches, what is safe elsewhere, and what is wrong.

What the local socket answers to ``health``, and ``crdt-pos status`` prints. Trouble is a list of sentences; none
means that nobody needs to look.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from crdt_pos.columns import listing
from crdt_pos.disk_room import free_bytes
from crdt_pos.local import Command, Message
from peers.permissions import Role

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica


class Health:
    """Of one replica of this process, since now."""

    def __init__(self, replica: RunningReplica) -> None:
        self._replica = replica
        self.since_ms = replica.system_ms()

    def commands(self) -> dict[str, Command]:
        """Name → command."""
        return {"health": self._health}

    async def _health(self, _request: Message) -> Message:
        replica, me = self._replica, self._replica.certificate
        till, status = replica.till, replica.status()
        open_on = None if till is None else await replica.look(lambda _: till.open_on)
        entries = await replica.look(lambda reader: reader.last_arrival())
        safe: Message = {}
        if till is not None:
            safe = {
                "copies": status.copies,
                "waiting": status.waiting,
                "outside_until_ms": status.outside.until_ms,
                "outside_waiting": status.outside.waiting,
            }
        return {
            "replica": me.name,
            "life": me.incarnation,
            "role": str(me.role),
            "company": replica.folder.root.name,
            "since_ms": self.since_ms,
            "now_ms": replica.system_ms(),
            "listening": str(replica.listening),
            "peers": [
                {
                    "name": link.peer.name,
                    "role": str(link.peer.role),
                    "since_ms": link.facts.since_ms,
                    "caught_up": link.facts.caught_up,
                }
                for link in replica.node.links.values()
            ],
            "reaches_office": self.reaches_office(),
            "unreachable": replica.node.troubles(),
            "entries": entries,
            "behind": sorted(link.peer.name for link in replica.node.links.values() if not link.facts.caught_up),
            "business_date": open_on.isoformat() if open_on else None,
            "safe": safe,
            "disk_free_bytes": free_bytes(replica.folder.path),
            "trouble": list(self.troubles()),
        }

    def reaches_office(self) -> bool:
        """Whether a head office is reached, from here or through a neighbour."""
        peers = (link.peer.role for link in self._replica.node.links.values())
        return bool(self._replica.neighbourhood.facts()["reaches_office"]) or Role.OFFICE in peers

    def troubles(self) -> Iterator[str]:
        """What is wrong, in sentences; none while nobody needs to look."""
        replica, me = self._replica, self._replica.certificate
        status, directory = replica.status(), replica.trust.directory
        if status.trouble:
            yield status.trouble
        if replica.disk_room.trouble:
            yield replica.disk_room.trouble
        if not replica.may_act():
            yield "It takes back what it wrote before its disk was set back, and does nothing else."
        others = sorted({chain[0].name for author, chain in directory.chains.items() if directory.takes_part(author)})
        if not replica.node.links and others != [me.name]:
            alone = f"It has a session with nobody; the roster names {listing([one for one in others if one != me.name][:5])}."
            yield alone + (f" {status.waiting} of its acts are only here." if status.waiting else "")
        elif me.role in (Role.TILL, Role.MANAGER) and directory.offices() and not self.reaches_office():
            yield "No head office is reached, neither from here nor through a neighbour."
