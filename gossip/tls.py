"""Sessions' bytes over TLS 1.3 on TCP: the trio adapter between ``session`` and the network.

A peer is compared by its certificate, never by host name or address. In TLS 1.3 the dialling side has finished its handshake
before the other side has looked at its certificate: it learns of a refusal only when it first receives. So a finished
``dial`` admits nobody; the answer to HELLO does.

Bytes are counted beneath TLS, as they go over the network.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, TypeGuard, cast

import trio

from gossip.address import Address
from gossip.errors import CannotListen, PeerRefused, PeerUnreachable, SessionCut
from gossip.unproven import Unproven
from peers.certificates import Certificate, TlsContexts, peer_certificate
from peers.errors import CertificateError

HANDSHAKE_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 2.0
ACCEPTED_PER_S: Final = 250
"""Connections of anybody, on average; more than a head office can shake hands with."""
ACCEPTED_AHEAD_S: Final = 0.02
BACKLOG: Final = 1024
"""So many more wait with the operating system: four seconds' worth."""
HANDSHAKES_MAX: Final = 256
"""Accepted connections at once whose other end has proven nothing yet; for a further one another is closed: ``Unproven``."""
CONNECTIONS_MAX: Final = 4096
"""Accepted connections at once, all told: two for every store of a large chain."""
RECEIVE_BYTES_MAX: Final = 1 << 16
_HANDSHAKE_RECORD: Final = b"\x16"
"""RFC 8446 §5.1."""

_DEAD_AFTER: Final = {"TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 7_000}
"""When a line that is dead without a word is given up, as far as the system can be told: seven seconds after the last word in
either direction that was answered (``TCP_USER_TIMEOUT`` in milliseconds, else in seconds). A pulled cable says nothing; another
gateway is to take over within ten seconds. An idle line costs about a hundred bytes every four seconds."""

_REASONS: Final = (
    ("self-signed certificate in certificate chain", "it belongs to another company"),
    ("unable to get local issuer certificate", "it belongs to another company"),
    ("UNKNOWN_CA", "to it, we belong to another company"),
    ("self-signed certificate", "its certificate vouches for itself"),
    ("certificate signature failure", "its certificate is forged"),
    ("unsuitable certificate purpose", "its certificate may not be used for sessions in both directions"),
    ("invalid CA certificate", "its certificate was issued by a replica that may not issue any"),
    ("path length constraint exceeded", "its chain of certificates is too long"),
    ("CERTIFICATE_REQUIRED", "to it, we showed no certificate"),
    ("did not return a certificate", "it showed no certificate"),
    ("UNSUPPORTED_PROTOCOL", "it does not speak TLS 1.3"),
    ("PROTOCOL_VERSION", "it does not speak TLS 1.3"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS"),
    ("HTTP_REQUEST", "it does not speak TLS"),
)
"""What OpenSSL says, and what a person reads. The first that is found counts."""


class _CountedStream(trio.abc.HalfCloseableStream):
    """A TCP stream that counts what passes."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.bytes_sent = 0
        self.bytes_received = 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)
        self.bytes_sent += len(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        received = await self._stream.receive_some(max_bytes)
        self.bytes_received += len(received)
        return received

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class TlsStream:
    """An encrypted stream to one proven replica. One task sends while another receives; not more than one each."""

    def __init__(self, stream: trio.SSLStream[_CountedStream], peer: Certificate, address: Address) -> None:
        self._stream = stream
        self.peer = peer
        self.address = address

    @property
    def bytes_sent(self) -> int:
        """Bytes given to TCP so far, TLS records and handshake included."""
        return self._stream.transport_stream.bytes_sent

    @property
    def bytes_received(self) -> int:
        """Bytes taken from TCP so far, TLS records and handshake included."""
        return self._stream.transport_stream.bytes_received

    async def send(self, content: bytes) -> None:
        """Send all of ``content``. Raises ``PeerRefused`` if the peer has refused us, ``SessionCut`` if the network broke."""
        try:
            await self._stream.send_all(content)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise _cut(error) from error

    async def receive(self, bytes_max: int = RECEIVE_BYTES_MAX) -> bytes:
        """What has come, at most ``bytes_max``; waits for at least one byte, returns ``b""`` when the peer has closed.

        Raises ``PeerRefused`` if the peer refuses our certificate, ``SessionCut`` if the network broke.
        """
        try:
            return bytes(await self._stream.receive_some(bytes_max))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise _cut(error) from error

    async def aclose(self) -> None:
        """Say goodbye and close; a peer that does not take the goodbye is not waited for. Never raises ``GossipError``."""
        with trio.move_on_after(CLOSE_TIMEOUT_S):
            try:
                await self._stream.aclose()
            except (trio.BrokenResourceError, trio.BusyResourceError):
                pass
        await trio.aclose_forcefully(self._stream)


async def dial(address: Address, contexts: TlsContexts, timeout_s: float = HANDSHAKE_TIMEOUT_S) -> TlsStream:
    """Connect, shake hands and prove the peer's certificate.

    Raises ``PeerUnreachable`` if nothing answers in time, ``PeerRefused`` with a reason for a peer that is not of our company.
    """
    with trio.move_on_after(timeout_s):
        try:
            stream = await trio.open_tcp_stream(address.host, address.port)
        except OSError as error:
            raise PeerUnreachable(unreachable(address, error)) from error
        return await _shake_hands(stream, contexts, address, server_side=False)
    raise PeerUnreachable(f"{address} does not answer within {timeout_s:g} s")


async def serve(
    address: Address,
    contexts: TlsContexts,
    on_stream: Callable[[TlsStream], Awaitable[None]],
    on_refused: Callable[[Address, str], None] = lambda _address, _reason: None,
    *,
    on_visitor: Callable[[trio.SocketStream, Address], Awaitable[str]] | None = None,
    rest_s: Callable[[str], float] = lambda _host: 0.0,
    connections_max: int = CONNECTIONS_MAX,
    handshakes_max: int = HANDSHAKES_MAX,
    handshake_timeout_s: float = HANDSHAKE_TIMEOUT_S,
    task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listen until cancelled; run ``on_stream`` for every proven peer, and close the stream when it returns.

    An empty host listens on every interface; port 0 lets the system choose. ``nursery.start`` returns the address in use.
    ``on_refused`` hears where a refused connection came from, and why. ``on_visitor`` is given connections that do not begin as
    TLS does, from their first byte on, and returns why one is refused, or nothing. ``rest_s`` says how long to wait before the
    handshake with somebody at a host. Raises ``CannotListen``.
    """
    try:
        listeners = await _listeners(address)
    except OSError as error:
        raise CannotListen(f"Cannot listen on {address}: {_why(error)}.") from error
    opened = 0
    unproven = Unproven(handshakes_max)

    async def accepted(stream: trio.SocketStream) -> None:
        nonlocal opened
        came_from = _came_from(stream)
        if opened >= connections_max:
            await trio.aclose_forcefully(stream)
            on_refused(came_from, f"{opened} connections are open already")
            return
        opened += 1
        try:
            await _welcome(stream, came_from)
        finally:
            opened -= 1

    async def _welcome(stream: trio.SocketStream, came_from: Address) -> None:
        tls: TlsStream | None = None
        with trio.CancelScope() as turn:
            ticket = unproven.enter(came_from.host, turn.cancel)
            try:
                tls = await _proven(stream, came_from)
            finally:
                unproven.leave(came_from.host, ticket)
        if tls is None:
            if turn.cancelled_caught:
                await trio.aclose_forcefully(stream)
                on_refused(
                    came_from, f"more than {handshakes_max} connections have proven nothing, most of them from there"
                )
            return
        try:
            await on_stream(tls)
        finally:
            with trio.CancelScope(shield=True):
                await tls.aclose()

    async def _proven(stream: trio.SocketStream, came_from: Address) -> TlsStream | None:
        visitor = False
        with trio.move_on_after(handshake_timeout_s) as patience:
            try:
                if on_visitor is not None and not await _begins_tls(stream):
                    visitor = True
                else:
                    await trio.sleep(rest_s(came_from.host))
                    return await _shake_hands(stream, contexts, came_from, server_side=True)
            except (PeerRefused, PeerUnreachable) as error:
                on_refused(came_from, str(error))
                return None
        if visitor and on_visitor is not None:
            async with stream:
                if why := await on_visitor(stream, came_from):
                    on_refused(came_from, why)
        elif patience.cancelled_caught:
            on_refused(came_from, f"no handshake within {handshake_timeout_s:g} s")
        return None

    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, accepted, [_Paced(listener) for listener in listeners])
        task_status.started(Address(address.host, port))


class _Paced(trio.abc.Listener[trio.SocketStream]):
    """Takes at most ``ACCEPTED_PER_S`` connections: others wait with the operating system, and cost the event loop nothing."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self._paid_until_s = 0.0

    async def accept(self) -> trio.SocketStream:
        now_s = trio.current_time()
        self._paid_until_s = max(self._paid_until_s, now_s) + 1 / ACCEPTED_PER_S
        if self._paid_until_s - now_s > ACCEPTED_AHEAD_S:
            await trio.sleep_until(self._paid_until_s)
        return await self._listener.accept()

    async def aclose(self) -> None:
        await self._listener.aclose()


async def _begins_tls(stream: trio.SocketStream) -> bool:
    """Whether the first byte is that of a handshake record; one that hangs up before it is the handshake's to refuse."""
    try:
        first = await stream.socket.recv(1, socket.MSG_PEEK)
    except OSError:
        return True
    return first in (b"", _HANDSHAKE_RECORD)


async def _listeners(address: Address) -> list[trio.SocketListener]:
    if address.host:
        return list(await trio.open_tcp_listeners(address.port, host=address.host, backlog=BACKLOG))
    listeners = list(await trio.open_tcp_listeners(address.port, host="0.0.0.0", backlog=BACKLOG))  # noqa: S104  every interface is meant
    port: int = listeners[0].socket.getsockname()[1]
    # The same port for IPv6, where the machine has it: only one is announced.
    with contextlib.suppress(OSError):
        listeners += await trio.open_tcp_listeners(port, host="::", backlog=BACKLOG)
    return listeners


async def _shake_hands(
    stream: trio.SocketStream, contexts: TlsContexts, address: Address, *, server_side: bool
) -> TlsStream:
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _DEAD_AFTER.items():
        if hasattr(socket, name):
            stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    # Not https_compatible: the end of a session is said (close_notify), so that one cut short is told from one closed.
    tls = trio.SSLStream(
        _CountedStream(stream),
        contexts.server if server_side else contexts.client,
        server_side=server_side,
        https_compatible=False,
    )
    # Whoever is told of a refused connection is told its address beside the reason.
    refused = "" if server_side else f"{address} is refused: "
    finished = False
    try:
        await tls.do_handshake()
        peer = peer_certificate(cast("bytes | None", tls.getpeercert(binary_form=True)), contexts.company)
        finished = True
    except trio.BrokenResourceError as error:
        cause = error.__cause__
        if not _peer_said(cause):
            raise PeerUnreachable(f"{'it' if server_side else address} hung up during the handshake") from error
        await _say_why(tls)
        raise PeerRefused(f"{refused}{_reason(cause)}") from error
    except CertificateError as error:
        raise PeerRefused(f"{refused}{error.fault}") from error
    finally:
        if not finished:
            await trio.aclose_forcefully(stream)
    return TlsStream(tls, peer, address)


async def _say_why(tls: trio.SSLStream[_CountedStream]) -> None:
    # trio leaves OpenSSL's alert unsent, and the peer would only see us hang up. Closing with bytes unread would reset the
    # connection and might overtake the alert, so what still comes is taken and dropped.
    alert = tls._outgoing.read()  # pyright: ignore[reportPrivateUsage]
    with trio.move_on_after(CLOSE_TIMEOUT_S):
        try:
            await tls.transport_stream.send_all(alert)
            await tls.transport_stream.send_eof()
            while await tls.transport_stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass


def _cut(error: trio.BrokenResourceError | trio.ClosedResourceError) -> PeerRefused | SessionCut:
    cause = error.__cause__
    if _peer_said(cause):
        return PeerRefused(f"the peer refuses us: {_reason(cause)}")
    return SessionCut("the connection broke")


def _peer_said(cause: BaseException | None) -> TypeGuard[ssl.SSLError]:
    # An end without goodbye is no word of the peer's. Python before 3.11.3 tells it by the reason only.
    cut = isinstance(cause, ssl.SSLEOFError) or getattr(cause, "reason", "") == "UNEXPECTED_EOF_WHILE_READING"
    return isinstance(cause, ssl.SSLError) and not cut


def _reason(error: ssl.SSLError) -> str:
    said = str(error)
    for found, reason in _REASONS:
        if found in said:
            return reason
    return f"the handshake failed ({error.reason or said})"


def unreachable(address: Address, error: OSError) -> str:
    """Why nothing answers at ``address``, in a sentence's words."""
    return f"{address} does not answer: {_why(error)}"


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program uses this port already"
    if isinstance(error, socket.gaierror):
        return "the host name is not known"
    # trio gives one reason for each address that it tried, in the cause; its own text repeats the address.
    attempts = [error] if error.errno else _attempts(error.__cause__)
    return ", ".join(sorted({os.strerror(one.errno) if one.errno else str(one) for one in attempts})) or str(error)


def _attempts(cause: BaseException | None) -> list[OSError]:
    if isinstance(cause, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", cause).exceptions
        return [attempt for one in inner for attempt in _attempts(one)]
    return [cause] if isinstance(cause, OSError) else []


def _came_from(stream: trio.SocketStream) -> Address:
    try:
        name = stream.socket.getpeername()
    except OSError:
        return Address("an unknown address", 0)
    return Address(str(name[0]), int(name[1]))
