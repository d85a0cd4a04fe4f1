"""Admitting: what a running replica does with somebody who has no certificate yet and asks to join.

The office that issued the ticket answers; every other replica passes the request on towards it, as a question under the topic
``join`` with the names of all who have it already: to that office, to other offices and relays, to neighbours that say they reach
one. A carrier can read neither request nor answer, and can change neither; all it can do is to be silent.

Whoever asks is a stranger, so what is done for one source in a minute is bounded: a source is an address, or the peer that passes
on. What is turned away here (``BUSY``) is not written down; what reaches the book is.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Final, Protocol, TypeVar, cast

from crdt_pos.folder import Folder
from crdt_pos.ticket_book import TicketBook
from crdt_pos.tickets import Outcome, Request, is_locked, open_answer, outcome_of
from gossip.doorbell import ANSWER_BYTES_MAX, QUESTION_BYTES_MAX
from gossip.errors import LogFull
from gossip.log import Log
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.errors import NotCanonical
from merge_rules.lattice import AUTHOR_BYTES, Author
from peers.certificates import Certificate
from peers.permissions import Role

TOPIC: Final = "join"
CARRIERS_MAX: Final = 8
"""Through so many hands a request goes."""
PASS_TIMEOUT_MS: Final = 5_000
"""For the answer of one peer."""
REQUESTS_A_MINUTE: Final = 30
"""From one source."""
REQUESTS_A_MINUTE_ALL: Final = 300
"""From all who ring, since addresses cost nothing."""
SOURCES_MAX: Final = 256
"""Whose requests are counted; of more, the one that was heard of longest ago is forgotten."""
_MINUTE_MS: Final = 60_000
_OPEN_WORST_FIRST: Final = (Outcome.OTHER_COMPANY, Outcome.UNREACHABLE, Outcome.BUSY, Outcome.UNKNOWN)
"""Of several open answers, which anybody may have made up, the one that most likely comes from the office."""

T = TypeVar("T")


class Asking(Protocol):
    """A session over which a question can be asked."""

    @property
    def peer(self) -> Certificate: ...

    def ask(self, topic: str, content: bytes, timeout_ms: int) -> Awaitable[bytes | None]:
        """The answer; ``None`` for none in time."""
        ...


class Surroundings(Protocol):
    """What admitting needs of the replica around it."""

    folder: Folder
    log: Log
    system_ms: Callable[[], int]

    def linked(self) -> Mapping[Author, Asking]:
        """Whom a question can be asked now."""
        ...

    def towards_office(self) -> Collection[Author]:
        """Neighbours that say they reach a head office, best first."""
        ...

    async def write(self, act: Callable[[], T]) -> T:
        """Run an act that may append."""
        ...

    def roster_changed(self) -> None:
        """Follow the roster, which has grown."""
        ...


class Pace:
    """How much is done for each source in a minute. A value that moves with the clock it is given."""

    def __init__(self, in_a_minute: int) -> None:
        self._in_a_minute = in_a_minute
        self._heard: dict[str, deque[int]] = {}

    def allows(self, source: str, now_ms: int) -> bool:
        """Whether one more of ``source`` is heard now; if so, it counts."""
        times = self._heard.pop(source, None) or deque[int]()
        self._heard[source] = times
        while len(self._heard) > SOURCES_MAX:
            del self._heard[next(iter(self._heard))]
        while times and not 0 <= now_ms - times[0] < _MINUTE_MS:
            times.popleft()
        if len(times) >= self._in_a_minute:
            return False
        times.append(now_ms)
        return True


@dataclass(frozen=True, slots=True)
class _Passed:
    """A request on its way to its office."""

    request: bytes
    carriers: frozenset[Author]
    """Who has it already."""

    def encode(self) -> bytes:
        return canonical.encode([self.request, sorted(self.carriers)])

    @classmethod
    def decode(cls, content: bytes) -> _Passed | None:
        try:
            value = canonical.decode(content)
        except NotCanonical:
            return None
        match value:
            case [bytes(request), object() as said] if 0 < len(request) <= QUESTION_BYTES_MAX:
                items = cast("list[object]", said) if isinstance(said, list) else []
                authors = [Author(one) for one in items if isinstance(one, bytes) and len(one) == AUTHOR_BYTES]
                return cls(request, frozenset(authors)) if 0 < len(authors) == len(items) <= CARRIERS_MAX else None
            case _:
                return None


class Admitting:
    """Answers those who ask to join, or passes them on."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._me = around.folder.certificate
        self._pace = Pace(REQUESTS_A_MINUTE)
        self._pace_all = Pace(REQUESTS_A_MINUTE_ALL)
        self._brought: dict[bytes, Counter[Author]] = {}
        """By request: who brought an answer, how often. Of ``SOURCES_MAX``, the newest."""

    async def rung(self, came_from: str, raw: bytes) -> bytes:
        """The answer to somebody who rang."""
        now_ms = self._around.system_ms()
        if not self._pace.allows(came_from, now_ms) or not self._pace_all.allows("", now_ms):
            return open_answer(Outcome.BUSY)
        return await self._answer(raw, came_from, frozenset())

    async def asked(self, peer: Certificate, content: bytes) -> bytes | None:
        """The answer to what a peer passes on; ``None`` for what is no request."""
        passed = _Passed.decode(content)
        if passed is None:
            return None
        if not self._pace.allows(peer.author.hex(), self._around.system_ms()):
            return open_answer(Outcome.BUSY)
        return await self._answer(passed.request, peer.name, passed.carriers)

    async def _answer(self, raw: bytes, via: str, carriers: frozenset[Author]) -> bytes:
        request = Request.decode(raw)
        if request is None:
            return open_answer(Outcome.UNKNOWN)
        ours = request.company == self._me.company
        if self._me.role is Role.OFFICE and (not ours or request.office == self._me.author):
            return await self._redeemed(raw, via)
        if not ours:
            return open_answer(Outcome.OTHER_COMPANY)
        return await self._passed_on(request, carriers)

    async def _redeemed(self, raw: bytes, via: str) -> bytes:
        around = self._around

        book = TicketBook(around.folder, around.log, around.system_ms())
        try:
            answer = await around.write(partial(book.answer, raw, via))
        except LogFull:
            return open_answer(Outcome.BUSY)
        if book.enrolled:
            around.roster_changed()
        return answer

    async def _passed_on(self, request: Request, carriers: frozenset[Author]) -> bytes:
        """The first locked answer; if nobody has one, the best open one, which anybody can make up.

        Who asks again could not unlock it, so whoever brought it is asked after the others then.
        """
        carriers |= {self._me.author}
        best = Outcome.UNREACHABLE
        brought = self._brought.get(request.raw, Counter[Author]())
        for author in sorted(self._nearer(request.office, carriers), key=lambda one: brought[one]):
            link = self._around.linked().get(author)
            if link is None or len(carriers) >= CARRIERS_MAX:
                continue
            content = _Passed(request.raw, carriers).encode()
            answer = await link.ask(TOPIC, content, PASS_TIMEOUT_MS)
            carriers |= {author}
            if answer is None or len(answer) > ANSWER_BYTES_MAX:
                continue
            if is_locked(answer):
                self._note(request.raw, author)
                return answer
            best = max(best, outcome_of(answer) or best, key=_OPEN_WORST_FIRST.index)
        return open_answer(best)

    def _note(self, request: bytes, author: Author) -> None:
        brought = self._brought.pop(request, Counter[Author]())
        brought[author] += 1
        self._brought[request] = brought
        while len(self._brought) > SOURCES_MAX:
            del self._brought[next(iter(self._brought))]

    def _nearer(self, office: Author, carriers: Collection[Author]) -> list[Author]:
        """Whom to pass it on to, best first."""
        links = {author: link for author, link in self._around.linked().items() if author not in carriers}
        if office in links:
            return [office]
        higher = [author for author, link in links.items() if link.peer.role in (Role.OFFICE, Role.RELAY)]
        return [*higher, *(till for till in self._around.towards_office() if till in links)]
