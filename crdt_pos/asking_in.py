"""Asking to be let in: whom a machine with a ticket asks, and what it makes of their answers.

It asks the addresses in the ticket, those that a person named, and every replica of the ticket's company that announces itself
on this network, each a little after the one before, so that a line that is dead without a word costs a second. Whoever is not the
office passes the request on. An answer that only the office can have made decides. Anybody can say that it does not know the
ticket: before the time is over that is believed only if every place that is known says so twice, and the ticket or a person named
one of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import trio

from crdt_pos.errors import EnrolmentRefused
from crdt_pos.folder import Settings
from crdt_pos.tickets import Answer, Outcome, Ticket, decode_answer
from gossip import doorbell
from gossip.address import Address
from gossip.errors import PeerUnreachable
from gossip.session import VERSION_MAX
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers.announcement import PeerAddress
from peers.discovery import Discovery
from peers.errors import DiscoveryUnavailable

RING_TIMEOUT_S: Final = 25.0
"""For one answer, which may come through others."""
HEAD_START_S: Final = 1.0
AGAIN_S: Final = 2.0
ROUNDS_MIN: Final = 2
"""In a row, before those are believed who all say no: the right one may not have been found yet."""
CANDIDATES_MAX: Final = 32

_TRY_OTHERS: Final = (Outcome.OTHER_COMPANY, Outcome.BUSY, Outcome.UNREACHABLE, Outcome.UNKNOWN)
"""Answers that anybody can make, and who knows better later; the least telling first."""
_NO: Final = (Outcome.OTHER_COMPANY, Outcome.UNKNOWN)
"""Those that will not change, if they are true."""
_REFUSALS: Final = {
    Outcome.USED: "This ticket was used already, by another machine: ask for a new one.",
    Outcome.EXPIRED: "This ticket has expired: ask for a new one.",
    Outcome.WITHDRAWN: "This ticket was withdrawn: ask for a new one.",
    Outcome.OTHER_COMPANY: "The replica at {whom} belongs to another company than this ticket: name one of the ticket's with "
    "--peer.",
    Outcome.UNKNOWN: "The head office does not know this ticket: ask for a new one.",
    Outcome.UNREACHABLE: "The head office of this ticket cannot be reached, neither from here nor from {whom}: try again later, "
    "or join with files (--request).",
    Outcome.BUSY: "Too many ask {whom} to join: try again in a minute.",
}
_NOT_ADMITTED: Final = (
    "This head office waits to be admitted with the root key, by 'crdt-pos admit' at the office that issued the ticket: do that, "
    "and repeat this command."
)


@dataclass(frozen=True, slots=True)
class Heard:
    """Who answered what."""

    address: Address
    answer: Answer


class Candidates:
    """Whom to ask, best first."""

    def __init__(self, ticket: Ticket, settings: Settings) -> None:
        self.addresses = list(dict.fromkeys((*ticket.addresses, *settings.peers)))
        self.named = bool(self.addresses)
        """Whether the ticket or a person named any of them; others only say of themselves that they are there."""
        self.trouble = ""
        """The last thing that did not work, in a sentence's words."""
        self.news = trio.Event()
        self._ticket = ticket
        self._settings = settings

    async def discover(self) -> None:
        """Add those that announce themselves on this network, until cancelled; those that are known are asked first."""
        if not self._settings.multicast:
            return
        await trio.sleep(HEAD_START_S if self.addresses else 0.0)
        token = trio.lowlevel.current_trio_token()
        me = PeerAddress(self._ticket.company, "joining", None, Author(bytes(8)), VERSION_MAX, (), 0)

        def tell(peer: PeerAddress) -> None:
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(self._add, peer)

        listen = partial(Discovery, me, tell, interfaces=self._settings.interfaces, announce=False)
        try:
            discovery = await trio.to_thread.run_sync(listen)
        except DiscoveryUnavailable as error:
            self.trouble = str(error).rstrip(".")
            return
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(discovery.close)

    def _add(self, peer: PeerAddress) -> None:
        for host in peer.hosts:
            address = Address(host, peer.port)
            if address not in self.addresses and len(self.addresses) < CANDIDATES_MAX:
                self.addresses.append(address)
        self.news.set()
        self.news = trio.Event()


async def ask_in(
    ticket: Ticket, settings: Settings, request: bytes, wait_s: float, progress: Callable[[Outcome | None, str], None]
) -> Heard:
    """Ask until the office of the ticket has let us in; who brought its answer. Raises ``EnrolmentRefused``.

    ``progress`` hears ``WAITING`` or nothing, and what does not work.
    """
    candidates = Candidates(ticket, settings)
    result: Heard | str
    async with trio.open_nursery() as nursery:
        nursery.start_soon(candidates.discover)
        result = await _ask_until(ticket, request, candidates, wait_s, progress)
        nursery.cancel_scope.cancel()
    if isinstance(result, str):
        raise EnrolmentRefused(result)
    return result


def let_in(answer: Answer, whom: Address | str = "") -> Answer:
    """An answer that lets us in. Raises ``EnrolmentRefused`` for any other."""
    if answer.outcome is Outcome.ADMITTED:
        return answer
    if answer.outcome is Outcome.WAITING:
        raise EnrolmentRefused(_NOT_ADMITTED)
    raise EnrolmentRefused(answer.text or _REFUSALS[answer.outcome].format(whom=whom))


async def _ask_until(
    ticket: Ticket,
    request: bytes,
    candidates: Candidates,
    wait_s: float,
    progress: Callable[[Outcome | None, str], None],
) -> Heard | str:
    """The answer that decides, or why there is none."""
    ends_s = trio.current_time() + wait_s
    rounds_of_no = 0
    while True:
        answers = await _ask_all(ticket, request, candidates, ends_s)
        final = next((one for one in answers if one.answer.outcome not in _TRY_OTHERS), None)
        waits = final is not None and final.answer.outcome is Outcome.WAITING
        if final is not None and not waits:
            return _decided(final)
        say_no = {one.address for one in answers if one.answer.outcome in _NO}
        rounds_of_no = rounds_of_no + 1 if candidates.named and say_no.issuperset(candidates.addresses) else 0
        if rounds_of_no >= ROUNDS_MIN or trio.current_time() + AGAIN_S > ends_s:
            best = max(answers, key=lambda one: _rank(one.answer.outcome), default=None)
            if best is None:
                return f"Nobody of this ticket's company was reached: {candidates.trouble or 'nobody was found'}."
            return str(_decided(best))
        progress(Outcome.WAITING if waits else None, candidates.trouble)
        with trio.move_on_after(AGAIN_S):
            await candidates.news.wait()


def _decided(heard: Heard) -> Heard | str:
    try:
        let_in(heard.answer, heard.address)
    except EnrolmentRefused as no:
        return str(no)
    return heard


def _rank(outcome: Outcome) -> int:
    return _TRY_OTHERS.index(outcome) if outcome in _TRY_OTHERS else len(_TRY_OTHERS)


async def _ask_all(ticket: Ticket, request: bytes, candidates: Candidates, ends_s: float) -> Sequence[Heard]:
    """Ask every address that is known; what was answered until one answer decided."""
    heard: list[Heard] = []
    addresses = tuple(candidates.addresses)
    finished = [trio.Event() for _ in addresses]

    async def ask(number: int, nursery: trio.Nursery) -> None:
        address = addresses[number]
        if number:
            with trio.move_on_after(HEAD_START_S):
                await finished[number - 1].wait()
        try:
            raw = await doorbell.ring(address, request, min(RING_TIMEOUT_S, max(1.0, ends_s - trio.current_time())))
        except PeerUnreachable as error:
            candidates.trouble = str(error)
        else:
            answer = decode_answer(raw, ticket.secret, request)
            if answer is None:
                candidates.trouble = f"the answer of {address} is not by the office of this ticket"
            else:
                heard.append(Heard(address, answer))
                if answer.outcome not in _TRY_OTHERS:
                    nursery.cancel_scope.cancel()
        finished[number].set()

    async with trio.open_nursery() as nursery:
        for number in range(len(addresses)):
            nursery.start_soon(ask, number, nursery)
    return heard
