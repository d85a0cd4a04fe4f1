"""Lending: a replica's answers to questions for rights, and the way of its own questions to whoever holds some.

First those who hold rights and with whom there is a session, most first; then, with the names of all who have the question
already, whoever is nearer to the others: a head office, a neighbour that reaches one, a till of the holder's store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Protocol, TypeVar

from crdt_pos.balance import Balance, balance_document
from crdt_pos.rights import ASKED_MAX, TOPIC, RightsQuestion, decode_granted, donors, encode_granted
from crdt_pos.rights_batch import Throttle, Wish, decode_wishes, encode_grants
from crdt_pos.till import Till
from crdt_pos.trust import RosterTrust
from gossip.errors import LogFull
from gossip.log import Reader
from merge_rules.lattice import Author
from peers.certificates import Certificate
from peers.permissions import Role

ASK_TIMEOUT_MS: Final = 1_000
"""For one peer's answer to a question that is passed on."""

T = TypeVar("T")


class Asking(Protocol):
    """A session over which a question can be asked."""

    @property
    def peer(self) -> Certificate: ...

    def ask(self, topic: str, content: bytes, timeout_ms: int) -> Awaitable[bytes | None]:
        """The answer; ``None`` for none in time."""
        ...


class Surroundings(Protocol):
    """What lending needs of the replica around it."""

    certificate: Certificate
    till: Till | None
    trust: RosterTrust

    def linked(self) -> Mapping[Author, Asking]:
        """Whom a question can be asked now."""
        ...

    def towards_office(self) -> Collection[Author]:
        """Neighbours that say they reach a head office, best first."""
        ...

    def grant_all(self, wishes: Sequence[Wish], to: Author) -> list[int]:
        """Grant own rights in one transaction, in the writers' turn: how much of each."""
        ...

    async def write(self, act: Callable[[], T]) -> T:
        """Run an act that may append."""
        ...

    async def look(self, read: Callable[[Reader], T]) -> T:
        """Run a read on a snapshot."""
        ...


class Lending:
    """Asks for rights, and answers those who ask."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._me = around.certificate
        self._throttle = Throttle()

    async def asked(self, peer: Certificate, content: bytes) -> bytes | None:
        """The answer to a peer's question; ``None`` for one that it may not ask, or that is none."""
        question = RightsQuestion.decode(content)
        if question is None or not self._may_ask(peer, question):
            return None
        granted = 0
        till = self._around.till
        wish = Wish(question.programme, question.account, question.amount)
        try:
            if till is not None or await self._around.look(partial(self._holds, wish)):
                granted = (await self._around.write(partial(self._around.grant_all, [wish], question.taker)))[0]
        except LogFull:
            return None
        if granted < question.amount and (question.asked or till is None):
            rest = replace(question, amount=question.amount - granted, asked=question.asked | {peer.author})
            # Offices have it all when one has it: those that asked one another would send a question round for ever.
            offices = [one for one, link in self._around.linked().items() if link.peer.role is Role.OFFICE]
            granted += await self.ask_around(rest, offices if peer.role is Role.OFFICE else (), ASK_TIMEOUT_MS)
        return encode_granted(granted)

    def _holds(self, wish: Wish, reader: Reader) -> bool:
        return Balance.read(reader, wish.programme, wish.account).redeemable(self._me.author).here > 0

    async def asked_many(self, peer: Certificate, content: bytes, now_ms: int) -> bytes | None:
        """The same of a peer that fetches in advance, for itself; ``None`` also if it asks too often."""
        wishes = decode_wishes(content)
        if not wishes or peer.role is not Role.TILL or not self._throttle.allows(peer.author, now_ms):
            return None
        try:
            return encode_grants(await self._around.write(partial(self._around.grant_all, wishes, peer.author)))
        except LogFull:
            return None

    def _may_ask(self, peer: Certificate, question: RightsQuestion) -> bool:
        """Whether ``peer`` may say who takes: itself, or whoever it passes the question on for."""
        if peer.author == question.taker or peer.role is Role.OFFICE:
            return True
        record = self._around.trust.record(question.taker)
        of_one_store = record is not None and record.store == peer.store
        passed_on = bool(question.asked) and peer.role is Role.TILL
        return passed_on and (peer.store == self._me.store or of_one_store)

    async def ask_around(self, question: RightsQuestion, without: Collection[Author], timeout_ms: int) -> int:
        """Ask peers, but not those ``without``, until enough is granted; how much was."""
        passed = question.asked | frozenset(without)
        sessions = {author: link for author, link in self._around.linked().items() if author not in passed}
        holders, stores = await self._around.look(partial(self._holders, question, frozenset(sessions)))
        granted = 0
        asked = question.asked | {self._me.author}
        own = replace(question, asked=frozenset() if question.taker == self._me.author else asked)
        for author in holders:
            if granted < question.amount:
                granted += await self._ask(sessions[author], own, granted, timeout_ms)
        for author in self._nearer(sessions, stores):
            if granted < question.amount and len(asked) < ASKED_MAX:
                asked |= {author}
                granted += await self._ask(sessions[author], replace(question, asked=asked), granted, timeout_ms)
        return min(granted, question.amount)

    async def _ask(self, session: Asking, question: RightsQuestion, granted: int, timeout_ms: int) -> int:
        rest = replace(question, amount=question.amount - granted)
        return decode_granted(await session.ask(TOPIC, rest.encode(), timeout_ms))

    def _holders(
        self, question: RightsQuestion, among: frozenset[Author], reader: Reader
    ) -> tuple[list[Author], frozenset[int | None]]:
        """Who of ``among`` holds rights, most first; and the stores of further holders."""
        known = frozenset(reader.authors(balance_document(question.programme, question.account)))
        others = known - among - question.asked - {question.taker, self._me.author}
        far = donors(reader, question.programme, question.account, others)
        records = [self._around.trust.record(author) for author in far]
        return (
            donors(reader, question.programme, question.account, among),
            frozenset(record.store for record in records if record is not None and record.role is Role.TILL),
        )

    def _nearer(self, sessions: Mapping[Author, Asking], stores: frozenset[int | None]) -> list[Author]:
        """Whom to ask to pass it on: ``stores`` are those of holders with whom there is no session."""
        offices = [author for author, session in sessions.items() if session.peer.role is Role.OFFICE]
        tills = [author for author, session in sessions.items() if session.peer.role is Role.TILL]
        if self._me.role is Role.OFFICE:
            return [*(till for till in tills if sessions[till].peer.store in stores), *offices]
        gateways = [] if offices else [till for till in self._around.towards_office() if till in sessions]
        inside = [till for till in tills if till not in gateways] if self._me.store in stores else []
        return [*inside, *offices, *gateways]
