"""The doorbell: one question of somebody who has no certificate yet, and its answer, on the port where sessions are listened to.

TLS begins with the byte 22; whoever begins with ``JOIN`` rings instead: it asks one question and gets one answer. What is asked
and answered is sealed by those who make it; here only bytes, time and numbers are bounded, since anybody may ring.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from gossip.address import Address
from gossip.errors import PeerUnreachable
from gossip.tls import unreachable
from gossip.unproven import Unproven

WORD: Final = b"JOIN"
QUESTION_BYTES_MAX: Final = 1024
ANSWER_BYTES_MAX: Final = 1 << 16
QUESTION_TIMEOUT_S: Final = 5.0
"""Until the whole question is here."""
ANSWER_TIMEOUT_S: Final = 20.0
"""Until the answer is there, which another replica may have to be asked for."""
CLOSE_TIMEOUT_S: Final = 2.0
VISITORS_MAX: Final = 8
"""At once; for a further one another is sent away: ``Unproven``."""
VISITORS_OF_ONE_HOST_MAX: Final = 2
_LENGTH_BYTES: Final = 4

Answer = Callable[[str, bytes], Awaitable[bytes]]
"""Where it comes from and what is asked → the answer; bounds what it does for one place."""


class Doorbell:
    """Answers those who ring, so many at once and no more."""

    def __init__(self, answer: Answer, question_timeout_s: float = QUESTION_TIMEOUT_S) -> None:
        self._answer = answer
        self._question_timeout_s = question_timeout_s
        self._visitors = Unproven(VISITORS_MAX, VISITORS_OF_ONE_HOST_MAX)

    async def rung(self, stream: trio.SocketStream, came_from: Address) -> str:
        """Answer one visitor; why not, in a sentence's end, or nothing. The caller closes the stream."""
        with trio.CancelScope() as turn:
            place = self._visitors.enter(came_from.host, turn.cancel)
            try:
                return await self._converse(stream, came_from)
            except trio.BrokenResourceError:
                return "it hung up while it asked to join"
            finally:
                self._visitors.leave(came_from.host, place)
        return "others asked to join after it, and there is no room for more"

    async def _converse(self, stream: trio.SocketStream, came_from: Address) -> str:
        question: bytes | None = None
        with trio.move_on_after(self._question_timeout_s) as patience:
            if await _exactly(stream, len(WORD)) != WORD:
                return "it speaks neither TLS nor the word of those who join"
            question = await _framed(stream, QUESTION_BYTES_MAX)
        if patience.cancelled_caught:
            return f"it did not say within {self._question_timeout_s:g} s what it wants"
        if question is None:
            return "its question to join is cut short or too long"
        with trio.move_on_after(ANSWER_TIMEOUT_S) as patience:
            await stream.send_all(_frame(await self._answer(came_from.host, question)))
            await stream.send_eof()
        if patience.cancelled_caught:
            return f"its question to join was not answered within {ANSWER_TIMEOUT_S:g} s"
        with trio.move_on_after(CLOSE_TIMEOUT_S):
            await stream.receive_some(1)  # closing before it has read might take the answer away
        return ""


async def ring(address: Address, question: bytes, timeout_s: float) -> bytes:
    """Ask whoever listens at ``address``. Raises ``PeerUnreachable``, also for an answer that is none."""
    with trio.move_on_after(timeout_s):
        try:
            stream = await trio.open_tcp_stream(address.host, address.port)
        except OSError as error:
            raise PeerUnreachable(unreachable(address, error)) from error
        async with stream:
            try:
                await stream.send_all(WORD + _frame(question))
                answer = await _framed(stream, ANSWER_BYTES_MAX)
            except trio.BrokenResourceError:
                answer = None
        if answer is None:
            raise PeerUnreachable(f"{address} hung up instead of answering")
        return answer
    raise PeerUnreachable(f"{address} does not answer within {timeout_s:g} s")


def _frame(content: bytes) -> bytes:
    return len(content).to_bytes(_LENGTH_BYTES, "big") + content


async def _framed(stream: trio.SocketStream, bytes_max: int) -> bytes | None:
    head = await _exactly(stream, _LENGTH_BYTES)
    length = int.from_bytes(head, "big")
    if len(head) < _LENGTH_BYTES or length > bytes_max:
        return None
    content = await _exactly(stream, length)
    return content if len(content) == length else None


async def _exactly(stream: trio.SocketStream, count: int) -> bytes:
    received = bytearray()
    while len(received) < count and (more := await stream.receive_some(count - len(received))):
        received += more
    return bytes(received)
