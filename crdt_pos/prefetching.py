"""Prefetching: rights that a till may need are on their way before anybody asks at its counter; at the close it gives them up.

What to ask whom, ``crdt_pos.prefetch`` says. Every question has a deadline, one to each peer at a time; whoever is asked too
often lets it lapse, and is asked again in a later round. A sale waits for none of this.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, Protocol, TypeVar

from crdt_pos import prefetch
from crdt_pos.lending import ASK_TIMEOUT_MS, Asking
from crdt_pos.rights_batch import TOPIC, WISHES_MAX, Wish, decode_grants, encode_wishes
from crdt_pos.till import Till
from gossip.log import Reader
from merge_rules.lattice import Author
from peers.certificates import Certificate
from peers.permissions import Role

WAITING_MAX: Final = 1024
"""Accounts that are looked at again in the next round."""

T = TypeVar("T")


class Surroundings(Protocol):
    """What prefetching needs of the replica around it."""

    certificate: Certificate
    till: Till | None

    def linked(self) -> Mapping[Author, Asking]:
        """Whom a question can be asked now."""
        ...

    def may_act(self) -> bool:
        """Whether this replica may sign anything now."""
        ...

    async def write(self, act: Callable[[], T]) -> T:
        """Run an act that may append."""
        ...

    def look(self, read: Callable[[Reader], T]) -> Awaitable[T]:
        """Run a read on a snapshot."""
        ...


class Prefetching:
    """A till's rounds."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._me = around.certificate
        self._open = False
        self._looked = 0
        self._met: frozenset[Author] = frozenset()
        self._waiting: set[tuple[str, bytes]] = set()
        self.fetched = 0
        """Rights that were granted to this till in advance since it started."""

    async def round(self) -> bool:
        """Look at the next accounts and ask for what is low; whether there are more to look at now.

        While no date is open nothing is asked for; once one was closed, everything is given away.
        """
        tills, offices = self._peers()
        till = self._around.till
        if till is None or not self._around.may_act() or not (tills or offices):
            return False
        is_open, was_open = await self._around.look(lambda _: till.open_on is not None), self._open
        if not is_open:
            if was_open:
                await self.part()
            self._open = False
            return False
        self._open = True
        if not was_open or not self._met >= {*tills, *offices}:
            self._looked = 0  # whoever has come may hold what was looked for before
        self._met = frozenset({*tills, *offices})
        fresh, reached = await self._around.look(partial(prefetch.changed, after=self._looked))
        more, self._looked = reached > self._looked, reached
        wanted = fresh | self._waiting
        asked = await self._around.look(
            partial(prefetch.wishes, accounts=wanted, me=self._me.author, tills=tills, others=offices)
        )
        self._waiting = set()
        for donor, wishes in asked.items():
            granted = await self._ask(donor, wishes)
            self.fetched += granted
            if not granted and len(self._waiting) < WAITING_MAX:
                self._waiting |= {(wish.programme, wish.account) for wish in wishes}
        return more

    async def _ask(self, donor: Author, wishes: list[Wish]) -> int:
        session = self._around.linked().get(donor)
        answer = None if session is None else await session.ask(TOPIC, encode_wishes(wishes), ASK_TIMEOUT_MS)
        return decode_grants(answer, wishes)

    async def part(self) -> int:
        """Grant every right away, to the tills that hold the accounts then, else to a head office; how many there were."""
        till = self._around.till
        if till is None:
            return 0
        tills, offices = self._peers()
        given = await self._around.look(partial(prefetch.parted, me=self._me.author, tills=tills, offices=offices))
        total = 0
        for to, wishes in given.items():
            for start in range(0, len(wishes), WISHES_MAX):
                some = [(wish.programme, wish.account, wish.amount) for wish in wishes[start : start + WISHES_MAX]]
                total += sum(await self._around.write(partial(till.grant_all, some, to)))
        return total

    def _peers(self) -> tuple[frozenset[Author], frozenset[Author]]:
        linked = self._around.linked()
        tills = frozenset(
            author
            for author, link in linked.items()
            if link.peer.role is Role.TILL and link.peer.store == self._me.store
        )
        return tills, frozenset(author for author, link in linked.items() if link.peer.role is Role.OFFICE)
