"""Connections that say nothing, too little, too slowly or too often: their places are bounded, and others always find one."""

from __future__ import annotations

import logging
import resource
import socket
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio

from crdt_pos.folder import Folder
from crdt_pos.schema import SCHEMA
from gossip import frames, node, tls
from gossip.address import Address
from gossip.errors import TransportError
from gossip.in_flight import InFlight
from gossip.limits import Limits
from gossip.log import Log
from gossip.log_memory import MemoryLog
from gossip.messages import Ping
from gossip.node import SESSIONS_OF_ONE_MAX
from gossip.reasons import Reason
from gossip.session import Me, Session
from tests.hostile.rude import Rude, shop
from tests.node.company import Bare, Company, address, introduce, running

HURRY = Limits(handshake_ms_max=1_000, quiet_ms_max=1_000, silence_ms_max=2_000)
PATIENCE_S = 15.0
BYTES_MORE_MAX = 96 << 20


def hurried(log: Log, me: Me, now_ms: int, in_flight: InFlight) -> Session:
    """The session that every replica runs, with less patience."""
    return Session(log, me, now_ms, HURRY, in_flight)


async def from_elsewhere(to: Address, host: str) -> trio.SocketStream:
    """Connect from another address of this machine."""
    dialling = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    await dialling.bind((host, 0))
    await dialling.connect((to.host, to.port))
    return trio.SocketStream(dialling)


async def closed(stream: trio.SocketStream) -> bool:
    """Wait until the other side has closed."""
    with trio.fail_after(PATIENCE_S):
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
    return True


async def test_half_open_connections_push_each_other_out_and_a_replica_gets_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    caplog.set_level(logging.WARNING, "crdt_pos.node")
    async with running(company.office, company.tills["12-1"]) as (office, till):
        at = address(office)
        # Far more than there are places, from one host: half of them say nothing, half begin a handshake and stop.
        idle = [await from_elsewhere(at, "127.0.0.2") for _ in range(2 * tls.HANDSHAKES_MAX)]
        for one in idle[::2]:
            try:
                await one.send_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            except trio.BrokenResourceError:
                pass
        with trio.fail_after(PATIENCE_S):
            await introduce(till, office)
        assert await closed(idle[0])
        await introduce(till, office)
        for one in idle:
            await trio.aclose_forcefully(one)
    # A line for a while, not one for every connection.
    said = [record for record in caplog.records if "refused a connection" in record.getMessage()]
    assert 1 <= len(said) <= 8


async def test_however_many_sessions_of_one_certificate_take_four_places_and_bounded_memory(tmp_path: Path) -> None:
    async with shop(tmp_path) as (company, office, _):
        contexts = company.tills["12-2"].tls_contexts()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        open_now: list[tls.TlsStream] = []
        places: list[int] = []

        async def dial(many: int) -> None:
            for _ in range(many):
                try:
                    open_now.append(await tls.dial(address(office), contexts))
                except TransportError:
                    continue
                places.append(len(office.node._live))

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(dial, 20)
        assert len(open_now) > 100
        # The honest till's, and those.
        assert max(places) <= 1 + SESSIONS_OF_ONE_MAX
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before < BYTES_MORE_MAX
        heard = b""
        with trio.fail_after(PATIENCE_S):
            while len(heard) < 4:
                heard += await open_now[-1].receive()
        (message, _) = next(frames.Frames().feed(heard))
        assert getattr(message, "reason", None) == Reason.DUPLICATE
        for one in open_now:
            await one.aclose()


@pytest.mark.parametrize("where", ["before hello", "in hello", "in a frame"])
async def test_one_byte_at_a_time_is_too_slow(tmp_path: Path, where: str) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    log = MemoryLog(SCHEMA)
    slow, quick = company.tills["12-2"], company.tills["12-1"]
    async with trio.open_nursery() as nursery:
        bare = Bare(company.office, log)
        own = company.office.certificate
        bare.node = node.Node(
            log,
            Me(own.company, own.author, bare.trust.readable(own)),
            company.office.tls_contexts(),
            SCHEMA,
            bare.trust,
            lambda: 0,
            new_session=hurried,
        )
        at = await nursery.start(bare.node.run, Address("127.0.0.1", 0))
        async with _rude(slow, at) as rude, _rude(quick, at) as other:
            await other.greet()
            if where == "in a frame":
                await rude.greet()
            begun = frames.encode(rude.hello()) if where != "in a frame" else (60_000).to_bytes(4, "big") + bytes(999)
            async with trio.open_nursery() as talking:

                async def crawl() -> None:
                    for number in range(0 if where == "before hello" else len(begun) - 1):
                        await rude.stream.send(begun[number : number + 1])
                        await trio.sleep(0.1)

                async def stay() -> None:
                    for number in range(1, 1000):
                        await other.say(Ping(number))
                        await trio.sleep(0.5)

                talking.start_soon(crawl)
                talking.start_soon(stay)
                bye = await rude.until_bye()
                talking.cancel_scope.cancel()
            assert Reason.of(bye.reason) is Reason.TIMEOUT
            assert quick.certificate.author in bare.node.links
        nursery.cancel_scope.cancel()


def _rude(folder: Folder, at: Address) -> AbstractAsyncContextManager[Rude]:
    return Rude(folder, folder.certificate.author * 2).at(at)
