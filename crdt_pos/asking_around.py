"""Asking around: whoever brings back what was lost asks everyone that it meets where others are, and dials these, too."""

from __future__ import annotations

from typing import Final, cast

import trio

from crdt_pos.errors import FolderError
from crdt_pos.folder import parse_address
from crdt_pos.replica import ADDRESSES_MAX, ADDRESSES_TOPIC, RunningReplica
from gossip.address import Address
from gossip.link import Link
from merge_rules import canonical
from merge_rules.errors import NotCanonical
from merge_rules.lattice import Author

ASK_TIMEOUT_MS: Final = 5_000
_NOBODY: Final = b"\x80"


async def ask_around(replica: RunningReplica, nursery: trio.Nursery) -> None:
    """Until cancelled."""
    asked: set[Author] = set()
    while True:
        change = replica.node.change
        for author, link in list(replica.node.links.items()):
            if author not in asked and link.session.sharing:
                asked.add(author)
                nursery.start_soon(_ask, replica, link)
        await change.wait()


async def _ask(replica: RunningReplica, link: Link) -> None:
    answer = await link.ask(ADDRESSES_TOPIC, b"", ASK_TIMEOUT_MS)
    for address in addresses_in(answer or _NOBODY):
        replica.node.want(address)


def addresses_in(content: bytes) -> list[Address]:
    """The addresses in an answer; what is none is passed over."""
    try:
        items = canonical.decode(content)
    except NotCanonical:
        return []
    found: list[Address] = []
    for item in cast("list[object]", items)[:ADDRESSES_MAX] if isinstance(items, list) else []:
        try:
            found.append(parse_address(str(item)))
        except FolderError:
            continue
    return found
