"""TLS over real loopback sockets: who is let in, who is refused, and what either side hears of it."""

from __future__ import annotations

import socket
import ssl
from contextlib import aclosing as closing
from pathlib import Path

import pytest
import trio

from gossip import tls
from gossip.address import Address
from gossip.errors import CannotListen, PeerRefused, PeerUnreachable, SessionCut
from gossip.tls import TlsStream
from peers.certificates import TlsContexts
from tests.trust.material import Company, company, contexts, key

LOOPBACK = Address("127.0.0.1", 0)


@pytest.fixture
def ours() -> Company:
    return company()


def of_office(folder: Path, c: Company) -> TlsContexts:
    return contexts(folder / f"office-{c.shift}", c.root, c.office_key, [c.office.der])


def of_till(folder: Path, c: Company) -> TlsContexts:
    return contexts(folder / f"till-{c.shift}", c.root, c.till_key, [c.till.der, c.office.der])


class Server:
    """An echo server that remembers whom it met and whom it refused."""

    def __init__(self) -> None:
        self.met: list[TlsStream] = []
        self.refused: list[str] = []
        self.heard = trio.Event()

    async def echo(self, stream: TlsStream) -> None:
        self.met.append(stream)
        while received := await stream.receive():
            await stream.send(received)

    def refuse(self, _address: Address, reason: str) -> None:
        self.refused.append(reason)
        self.heard.set()


async def started(
    nursery: trio.Nursery, contexts: TlsContexts, server: Server, listen: Address = LOOPBACK, **limits: float
) -> Address:
    async def run(task_status: trio.TaskStatus[Address]) -> None:
        await tls.serve(listen, contexts, server.echo, server.refuse, task_status=task_status, **limits)  # type: ignore[arg-type]

    return await nursery.start(run)


async def test_two_replicas_of_one_company_prove_who_they_are(tmp_path: Path, ours: Company) -> None:
    server = Server()
    async with trio.open_nursery() as nursery:
        address = await started(nursery, of_office(tmp_path, ours), server)
        stream = await tls.dial(address, of_till(tmp_path, ours))
        await stream.send(b"good morning")
        assert await stream.receive() == b"good morning"
        assert (stream.peer.name, stream.peer.author) == ("office-a", ours.office.author)
        assert (server.met[0].peer.name, server.met[0].peer.author) == ("12-3", ours.till.author)
        await stream.aclose()
        nursery.cancel_scope.cancel()


async def test_the_bytes_are_counted_as_they_pass_the_network(tmp_path: Path, ours: Company) -> None:
    server = Server()
    async with trio.open_nursery() as nursery:
        address = await started(nursery, of_office(tmp_path, ours), server)
        stream = await tls.dial(address, of_till(tmp_path, ours))
        await stream.send(b"x")
        await stream.receive()
        sent, received = stream.bytes_sent, stream.bytes_received
        await stream.send(b"y" * 1000)
        echoed = 0
        while echoed < 1000:
            echoed += len(await stream.receive())
        # A record adds 5 bytes of head, 1 of content type and a tag of 16.
        assert stream.bytes_sent == sent + 1022
        assert stream.bytes_received == received + 1022
        assert server.met[0].bytes_received == stream.bytes_sent
        await stream.aclose()
        nursery.cancel_scope.cancel()


async def test_a_till_of_another_company_is_refused_on_both_sides_with_a_reason(tmp_path: Path, ours: Company) -> None:
    theirs = company(100)
    server = Server()
    async with trio.open_nursery() as nursery:
        address = await started(nursery, of_office(tmp_path, ours), server)
        with pytest.raises(PeerRefused, match="belongs to another company"):
            await tls.dial(address, of_till(tmp_path, theirs))
        await server.heard.wait()
        assert "another company" in server.refused[0]
        assert server.met == []
        nursery.cancel_scope.cancel()


async def test_a_dialler_that_trusts_us_but_is_not_of_us_hears_so_when_it_listens(
    tmp_path: Path, ours: Company
) -> None:
    theirs = company(100)
    spy = contexts(tmp_path / "spy", theirs.root, theirs.till_key, [theirs.till.der, theirs.office.der])
    spy.client.load_verify_locations(cadata=ours.root.der)
    server = Server()
    async with trio.open_nursery() as nursery:
        address = await started(nursery, of_office(tmp_path, ours), server)
        with pytest.raises(PeerRefused, match="another company"):  # noqa: PT012
            # The spy believes itself to be of our company, so that only the server's check stands in its way.
            stream = await tls.dial(address, TlsContexts(ours.root.company, spy.server, spy.client))
            async with closing(stream):
                await stream.receive()
        await server.heard.wait()
        assert "another company" in server.refused[0]
        assert server.met == []
        nursery.cancel_scope.cancel()


async def test_a_dialler_without_certificate_is_refused(tmp_path: Path, ours: Company) -> None:
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.load_verify_locations(cadata=ours.root.der)
    bare.verify_flags |= 0x200000
    server = Server()
    async with trio.open_nursery() as nursery:
        address = await started(nursery, of_office(tmp_path, ours), server)
        with pytest.raises(PeerRefused, match="we showed no certificate"):  # noqa: PT012
            stream = await tls.dial(address, TlsContexts(ours.root.company, bare, bare))
            async with closing(stream):
                await stream.receive()
        await server.heard.wait()
        assert "it showed no certificate" in server.refused[0]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("side", ["dialler", "server"])
async def test_tls_1_2_is_refused(tmp_path: Path, ours: Company, side: str) -> None:
    old, new = of_till(tmp_path, ours), of_office(tmp_path, ours)
    for context in (old.client, old.server):
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    server = Server()
    async with trio.open_nursery() as nursery:
        address = await started(nursery, old if side == "server" else new, server)
        with pytest.raises(PeerRefused, match=r"TLS 1\.3"):
            await tls.dial(address, new if side == "server" else old)
        await server.heard.wait()
        assert "TLS 1.3" in server.refused[0]
        nursery.cancel_scope.cancel()


async def test_a_program_that_does_not_speak_tls_is_refused(tmp_path: Path, ours: Company) -> None:
    server = Server()
    async with trio.open_nursery() as nursery:
        address = await started(nursery, of_office(tmp_path, ours), server)
        stream = await trio.open_tcp_stream(address.host, address.port)
        await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        await stream.send_eof()
        await server.heard.wait()
        assert "does not speak TLS" in server.refused[0]
        nursery.cancel_scope.cancel()


async def test_one_that_says_nothing_is_not_waited_for(
    tmp_path: Path, ours: Company, autojump_clock: trio.testing.MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.05
    server = Server()
    async with trio.open_nursery() as nursery:
        address = await started(nursery, of_office(tmp_path, ours), server)
        silent = await trio.open_tcp_stream(address.host, address.port)
        await server.heard.wait()
        await silent.aclose()
        assert server.refused == ["no handshake within 10 s"]
        nursery.cancel_scope.cancel()


async def test_more_connections_than_allowed_are_turned_away_and_the_others_go_on(
    tmp_path: Path, ours: Company
) -> None:
    server = Server()
    till = of_till(tmp_path, ours)
    async with trio.open_nursery() as nursery:
        address = await started(nursery, of_office(tmp_path, ours), server, connections_max=1)
        first = await tls.dial(address, till)
        with pytest.raises(PeerUnreachable, match="hung up"):
            await tls.dial(address, till)
        await first.send(b"still here")
        assert await first.receive() == b"still here"
        await first.aclose()
        nursery.cancel_scope.cancel()


async def test_who_proves_nothing_takes_no_place_of_those_who_are_proven(tmp_path: Path, ours: Company) -> None:
    server = Server()
    till = of_till(tmp_path, ours)
    async with trio.open_nursery() as nursery:
        address = await started(nursery, of_office(tmp_path, ours), server, handshakes_max=2)
        proven = [await tls.dial(address, till) for _ in range(4)]
        for one in proven:
            await one.send(b"here")
            assert await one.receive() == b"here"
        silent = [await trio.open_tcp_stream(address.host, address.port) for _ in range(3)]
        assert await silent[0].receive_some() == b""
        await server.heard.wait()
        (refused,) = server.refused
        assert refused == "more than 2 connections have proven nothing, most of them from there"
        for one in proven:
            await one.send(b"still here")
            assert await one.receive() == b"still here"
        nursery.cancel_scope.cancel()


async def test_a_goodbye_is_told_from_a_connection_that_was_cut(tmp_path: Path, ours: Company) -> None:
    till = of_till(tmp_path, ours)

    async def leave(stream: TlsStream) -> None:
        if (await stream.receive()) == b"cut":
            # The process dies: the socket goes, and TLS says nothing.
            await trio.aclose_forcefully(stream._stream.transport_stream)

    async def run(task_status: trio.TaskStatus[Address]) -> None:
        await tls.serve(LOOPBACK, of_office(tmp_path, ours), leave, task_status=task_status)

    async with trio.open_nursery() as nursery:
        address = await nursery.start(run)
        polite = await tls.dial(address, till)
        await polite.send(b"bye")
        assert await polite.receive() == b""
        cut = await tls.dial(address, till)
        await cut.send(b"cut")
        with pytest.raises(SessionCut):
            await cut.receive()
        nursery.cancel_scope.cancel()


async def test_an_unused_address_is_unreachable(tmp_path: Path, ours: Company) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = Address("127.0.0.1", closed.getsockname()[1])
        with pytest.raises(PeerUnreachable, match="does not answer: Connection refused"):
            await tls.dial(address, of_till(tmp_path, ours))


async def test_a_port_in_use_is_one_sentence(tmp_path: Path, ours: Company) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(CannotListen, match=r"^Cannot listen on .*: another program uses this port already\.$"):
            await tls.serve(address, of_office(tmp_path, ours), Server().echo)


async def test_a_peer_whose_certificate_contradicts_its_chain_is_refused(tmp_path: Path, ours: Company) -> None:
    """OpenSSL lets it pass: path length 0 does not count the last certificate of a chain."""
    from tests.trust.forgery import office_by_office

    rogue = contexts(tmp_path / "rogue", ours.root, key(66), [office_by_office(ours, key(66)), ours.office.der])
    server = Server()
    async with trio.open_nursery() as nursery:
        address = await started(nursery, of_office(tmp_path, ours), server)
        with pytest.raises((PeerRefused, SessionCut)):  # noqa: PT012
            stream = await tls.dial(address, rogue)
            async with closing(stream):
                await stream.receive()
        await server.heard.wait()
        assert "its issuer may not issue it" in server.refused[0]
        assert server.met == []
        nursery.cancel_scope.cancel()


async def test_one_port_serves_every_interface(tmp_path: Path, ours: Company) -> None:
    server, till = Server(), of_till(tmp_path, ours)
    async with trio.open_nursery() as nursery:
        address = await started(nursery, of_office(tmp_path, ours), server, Address("", 0))
        for host in ("127.0.0.1", "::1"):
            stream = await tls.dial(Address(host, address.port), till)
            assert stream.peer.name == "office-a"
            await stream.aclose()
        nursery.cancel_scope.cancel()
