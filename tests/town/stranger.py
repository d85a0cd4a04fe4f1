"""Somebody without a certificate of the company, who is on a shop's network, or in the world, and connects again and again.

    python stranger.py SEED NAMES COMPANY ADDRESS[,ADDRESS …] office run --at FOLDER

It says it is so many tills of store 1, by multicast, with the company's id, which anybody there can hear, and listens itself.
Those it hears, and the addresses it was given, get random bytes, half a question of one who joins, connections that say nothing,
and TLS with the certificate of an office of a company of its own, whose ``FOLDER`` it has.
"""

from __future__ import annotations

import contextlib
import random
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import trio
import zeroconf

from crdt_pos.folder import CERTIFICATE, KEY, open_folder, parse_address
from gossip.address import Address
from gossip.doorbell import WORD
from gossip.session import VERSION_MAX
from merge_rules.lattice import AUTHOR_BYTES, Author
from peers.addresses import local_addresses
from peers.announcement import PeerAddress
from peers.certificates import Company
from peers.discovery import SERVICE, Discovery

STORE, FIRST_TILL = 1, 10
AT_ONCE = 6
"""Connections."""
PAUSE_S_MAX = 1.0
HELD_S_MAX = 12.0
"""A connection that says nothing is held for so long at most."""
BYTES_MAX = 4_096


@dataclass
class Stranger:
    """Whom it knows of, and what it has."""

    dice: random.Random
    given: tuple[Address, ...]
    context: ssl.SSLContext
    heard: dict[Author, Address] = field(default_factory=dict)

    def hear(self, peer: PeerAddress) -> None:
        """Somebody says who is where: the last word counts, since ports change."""
        self.heard[peer.author] = Address(peer.hosts[0], peer.port)

    async def pester(self) -> None:
        """Connect to one after the other, without end."""
        tricks: list[Callable[[trio.SocketStream], Awaitable[None]]] = [
            self.make_noise,
            self.say_nothing,
            self.ask_half_a_question,
            self.show_certificate,
        ]
        while True:
            await trio.sleep(self.dice.uniform(0, PAUSE_S_MAX))
            known = sorted({*self.given, *self.heard.copy().values()}, key=str)
            if not known:
                continue
            address, trick = self.dice.choice(known), self.dice.choice(tricks)
            with trio.move_on_after(self.dice.uniform(0, HELD_S_MAX)), contextlib.suppress(OSError):
                async with await trio.open_tcp_stream(address.host, address.port) as stream:
                    with contextlib.suppress(trio.BrokenResourceError):
                        await trick(stream)

    async def make_noise(self, stream: trio.SocketStream) -> None:
        await stream.send_all(self.dice.randbytes(self.dice.randint(1, BYTES_MAX)))
        await _until_closed(stream)

    async def say_nothing(self, stream: trio.SocketStream) -> None:
        await _until_closed(stream)

    async def ask_half_a_question(self, stream: trio.SocketStream) -> None:
        await stream.send_all(WORD + (900).to_bytes(4, "big") + self.dice.randbytes(100))
        await _until_closed(stream)

    async def show_certificate(self, stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, self.context)
        await secured.do_handshake()
        await secured.send_all(self.dice.randbytes(BYTES_MAX))
        while await secured.receive_some():
            pass

    async def answer(self, stream: trio.SocketStream) -> None:
        """Whoever believed the announcement gets noise."""
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(self.dice.randbytes(BYTES_MAX))
        await stream.aclose()


async def _until_closed(stream: trio.SocketStream) -> None:
    while await stream.receive_some():
        pass


def announce(told: zeroconf.Zeroconf, company: Company, till: int, author: Author, port: int) -> None:
    """Say that a till listens here, as tills do."""
    name = f"{STORE}-{till}"
    said = {"c": company.hex(), "n": name, "a": author.hex(), "v": str(VERSION_MAX), "s": str(STORE)}
    service = zeroconf.ServiceInfo(
        SERVICE,
        f"{name}-{author.hex()}.{SERVICE}",
        port=port,
        properties=said,
        server=f"{name}.local.",
        parsed_addresses=list(local_addresses()),
    )
    told.register_service(service, cooperating_responders=True)


async def run(stranger: Stranger, company: Company, names: int) -> None:
    """Until it is killed."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, stranger.answer, 0)
        port = listeners[0].socket.getsockname()[1]
        own, *others = (Author(stranger.dice.randbytes(AUTHOR_BYTES)) for _ in range(names + 1))
        me = PeerAddress(company, "stranger", None, own, VERSION_MAX, tuple(local_addresses()), port)
        with Discovery(me, stranger.hear, announce=False), zeroconf.Zeroconf() as told:
            for till, author in enumerate(others, FIRST_TILL):
                nursery.start_soon(trio.to_thread.run_sync, announce, told, company, till, author, port)
            for _ in range(AT_ONCE):
                nursery.start_soon(stranger.pester)
            await trio.sleep_forever()


def main(seed: str, names: str, company: str, addresses: str, *words: str) -> None:
    """As the module says; the folder is the last word."""
    folder = open_folder(Path(words[-1]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it does not care whom it bothers
    context.load_cert_chain(folder.path / CERTIFICATE, folder.path / KEY)
    given = tuple(map(parse_address, addresses.split(",")))
    stranger = Stranger(random.Random(f"stranger {seed}"), given, context)
    trio.run(run, stranger, Company(bytes.fromhex(company)), int(names))


if __name__ == "__main__":
    main(*sys.argv[1:])
