"""Thousands of connections, with a valid certificate and with none: what is open at once stays bounded, and a till is served."""

from __future__ import annotations

import itertools
import resource
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import trio

from crdt_pos.replica import RunningReplica
from gossip import tls
from gossip.address import Address
from gossip.errors import TransportError
from gossip.node import SESSIONS_OF_ONE_MAX
from tests.hostile.test_connections import closed, from_elsewhere
from tests.node.company import Company, address, author, introduce, link, running, until
from tests.vault.test_who_reads import sell

PROVEN = 240
WITHOUT_CERTIFICATE = 60
PLAIN_BESIDE = 400
PLAIN = 1_300
AT_ONCE = 96
"""Who dials at the same time."""
HELD_MAX = min(700, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 3)
"""By the other side."""
OTHERS_OPEN = 32
"""At the replica: the honest till's, and those that are just being closed; far fewer than are held open towards it."""
BEGUN = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
ESTABLISHED = ("01", "08")
PROC_TCP = Path("/proc/net/tcp")


class Held:
    """Connections that are kept open, as many as there are descriptors for; others are closed at once."""

    def __init__(self) -> None:
        self.open: list[trio.abc.AsyncResource] = []
        self.attempts = 0

    async def keep(self, one: trio.abc.AsyncResource) -> None:
        if len(self.open) < HELD_MAX:
            self.open.append(one)
        else:
            await trio.aclose_forcefully(one)

    async def close(self) -> None:
        for one in self.open:
            await trio.aclose_forcefully(one)
        self.open.clear()


def taken_at(at: Address) -> int:
    """Connections that the one who listens there has accepted; those that wait with the system have no inode yet."""
    rows = (line.split() for line in PROC_TCP.read_text().splitlines()[1:])
    port = f":{at.port:04X}"
    return sum(row[1].endswith(port) and row[3] in ESTABLISHED and row[9] != "0" for row in rows)


async def is_served(till: RunningReplica) -> None:
    """Sell; what was sold is sealed, goes out and is acknowledged from the other's disk."""
    await sell(till)
    await until(till, lambda: till.status().outside.until_ms > 0 and not till.status().outside.waiting)


async def test_of_two_thousand_connections_few_are_open_at_once_and_what_a_till_sells_arrives_meanwhile(
    tmp_path: Path,
) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    quick, rude = company.tills["12-1"], company.tills["12-2"]
    honest = replace(quick, settings=replace(quick.settings, vault_every_s=1))
    held, contexts = Held(), rude.tls_contexts()
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE
    sessions: list[int] = []
    taken: list[int] = []
    async with running(company.office, honest) as (office, till):
        at = address(office)
        await introduce(till, office)
        both = link(office, till), link(till, office)

        async def proven(_: int) -> None:
            await held.keep((await tls.dial(at, contexts))._stream)
            sessions.append(sum(one.peer.author == rude.certificate.author for one in office.node._live))

        async def without_certificate(_: int) -> None:
            stream = trio.SSLStream(await trio.open_tcp_stream(at.host, at.port), nobody)
            await stream.do_handshake()
            await held.keep(stream.transport_stream)

        async def plain(number: int) -> None:
            stream = await from_elsewhere(at, "127.0.0.2")
            if number % 2:
                await stream.send_all(BEGUN)
            await held.keep(stream)

        async def batch(count: int, dial: Callable[[int], Awaitable[None]]) -> None:
            numbers = iter(range(count))

            async def some() -> None:
                for number in numbers:
                    held.attempts += 1
                    try:
                        await dial(number)
                    except (TransportError, trio.BrokenResourceError, OSError):
                        continue

            async with trio.open_nursery() as nursery:
                for _ in range(AT_ONCE):
                    nursery.start_soon(some)

        async def look() -> None:
            for _ in itertools.count():
                taken.append(taken_at(at))
                await trio.sleep(0.1)

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(batch, PROVEN, proven)
                nursery.start_soon(batch, WITHOUT_CERTIFICATE, without_certificate)
                nursery.start_soon(batch, PLAIN_BESIDE, plain)
                await is_served(till)
            assert max(sessions) == SESSIONS_OF_ONE_MAX
            assert len(sessions) > PROVEN / 2
            await held.close()
            await until(office, lambda: taken_at(at) <= OTHERS_OPEN)
            async with trio.open_nursery() as looking:
                looking.start_soon(look)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(batch, PLAIN, plain)
                    await is_served(till)
                first = held.open[0]
                assert isinstance(first, trio.SocketStream)
                assert await closed(first), "it was pushed out by those that came later"
                looking.cancel_scope.cancel()
        assert tls.HANDSHAKES_MAX / 2 < max(taken) <= tls.HANDSHAKES_MAX + OTHERS_OPEN
        assert held.attempts == PROVEN + WITHOUT_CERTIFICATE + PLAIN_BESIDE + PLAIN >= 2_000
        assert (link(office, till), link(till, office)) == both, "the session of the others has ended"
        assert author(till) in office.node.links
        await held.close()
