"""A peer with a valid certificate that sends whatever it likes, byte by byte if need be, to a real replica over TLS.

``Rude`` knows the protocol as far as it must to get where it wants to be rude. ``shop`` is an office and a till that share, and
afterwards still do, over the very same session: what a test does to either in between has cost nobody else anything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import trio

from crdt_pos.folder import Folder
from crdt_pos.replica import RunningReplica
from gossip import frames, tls
from gossip.address import Address
from gossip.document import Scope
from gossip.errors import TransportError
from gossip.frames import Frames
from gossip.messages import Admitted, Bye, Cursor, Hello, Message
from gossip.reasons import Reason
from tests.node.company import Company, address, introduce, link, note, notes, running, until

PATIENCE_S = 15.0
M = TypeVar("M", bound=Message)


@asynccontextmanager
async def shop(at: Path) -> AsyncIterator[tuple[Company, RunningReplica, RunningReplica]]:
    """Head office and till 12-1, in touch; 12-2 is enrolled, and somebody has its key."""
    company = Company.found(at, "12-1", "12-2")
    async with running(company.office, company.tills["12-1"]) as (office, till):
        await introduce(till, office)
        here, there = link(office, till), link(till, office)
        yield company, office, till
        await note(till, "unharmed")
        await until(office, lambda: "unharmed" in notes(office.log))
        assert (link(office, till), link(till, office)) == (here, there), "the session of the others has ended"


class Rude:
    """Somebody at a replica's port, with the key of an enrolled one."""

    def __init__(self, folder: Folder, database: bytes = b"rude" * 4) -> None:
        self.folder = folder
        self.database = database
        self.heard: list[Message] = []
        self._frames = Frames()

    @asynccontextmanager
    async def at(self, replica: RunningReplica | Address) -> AsyncIterator[Rude]:
        where = replica if isinstance(replica, Address) else address(replica)
        self.stream = await tls.dial(where, self.folder.tls_contexts())
        try:
            with trio.fail_after(PATIENCE_S):
                yield self
        finally:
            with trio.CancelScope(shield=True):
                await self.stream.aclose()

    def hello(self, scopes: frozenset[Scope] | None = None, *, last_arrival: int = 0) -> Hello:
        own = self.folder.certificate
        mine = frozenset({Scope("company"), Scope(f"store/{own.store}")}) if scopes is None else scopes
        return Hello(1, 1, own.company, own.author, self.database, last_arrival, mine)

    async def say(self, *messages: Message) -> None:
        await self.stream.send(b"".join(map(frames.encode, messages)))

    async def greet(self, scopes: frozenset[Scope] | None = None, *, last_arrival: int = 0) -> None:
        """As everybody begins, up to sharing."""
        hello = self.hello(scopes, last_arrival=last_arrival)
        await self.say(hello)
        theirs = await self.hears(Hello)
        await self.say(Admitted(hello.scopes))
        await self.hears(Admitted)
        await self.say(Cursor(theirs.database, theirs.last_arrival))
        await self.hears(Cursor)

    async def hears(self, kind: type[M]) -> M:
        """The next message of a type; others are noted."""
        at = 0
        while True:
            for message in self.heard[at:]:
                at += 1
                if isinstance(message, kind):
                    del self.heard[:at]
                    return message
            assert not isinstance(self.heard[-1] if self.heard else None, Bye), self.heard[-1]
            received = await self.stream.receive()
            assert received, "the other side has closed"
            self.heard += [message for message, _ in self._frames.feed(received)]

    async def until_bye(self) -> Bye:
        """What is said in the end."""
        return await self.hears(Bye)

    async def sends_until_bye(self, more: Callable[[], bytes]) -> Bye:
        """Send without end until the other side has had enough."""
        said: list[Bye] = []
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                said.append(await self.until_bye())
                nursery.cancel_scope.cancel()

            nursery.start_soon(listen)
            while True:
                try:
                    await self.stream.send(more())
                except TransportError:
                    await trio.sleep_forever()
        return said[0]


async def ends_with(rude: Rude, reason: Reason, *messages: Message) -> str:
    """Send these; the session ends with this reason. Returns what is said of it."""
    await rude.say(*messages)
    bye = await rude.until_bye()
    assert Reason.of(bye.reason) is reason, bye
    return bye.text
