"""Intake: from what a session has received to the log, and only then its acknowledgement and the cursor.

The order is everything: checked, then in one synced transaction with what follows from it, then said to the peer. This file knows
no event loop: its ``Floor`` checks, asks and writes, which the node does on trio and threads. Sans-I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final, Protocol, TypeVar, cast

from gossip.document import Scope
from gossip.entry import Entry, FeedId, Hash
from gossip.errors import LogFull
from gossip.events import CursorMoved, EntriesReceived, Position
from gossip.ingest import AuthorRecord, Checked, same_order
from gossip.log import NOT_HERE, Appended, Arrival, Log, Outcome, Reader, View
from gossip.messages import Refused
from gossip.reasons import Reason
from gossip.session import Session
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.errors import NotCanonical
from merge_rules.lattice import Author
from peers.certificates import Certificate
from peers.errors import CertificateError

CERTIFICATE_TOPIC: Final = "certificate"
CERTIFICATE_TIMEOUT_MS: Final = 5_000
STRANGERS_MAX: Final = 64
"""Authors that are asked for because of one batch; entries of more are refused, and come again with a later session."""


class Trust(Protocol):
    """Whom this replica believes: the roster as far as it is here, and certificates that peers have shown."""

    def record(self, author: Author) -> AuthorRecord | None:
        """What the certificate of ``author`` says; ``None`` if it is not here."""
        ...

    def objection(self, peer: Certificate) -> Reason | None:
        """Why a replica with a valid certificate is not admitted all the same."""
        ...

    def said_against(self, peer: Certificate) -> str:
        """What such a replica is told: a sentence for whoever works at it."""
        ...

    def readable(self, peer: Certificate) -> frozenset[Scope]:
        """The scopes that ``peer`` may read."""
        ...

    def chain(self, author: Author) -> Sequence[bytes] | None:
        """The certificates that prove ``author``, its own first."""
        ...

    def learn(self, chain: Sequence[bytes]) -> Sequence[View]:
        """Prove and remember a chain; returns what to keep of it. Raises ``CertificateError``."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """What was appended in one transaction, and what became of each."""

    arrivals: tuple[Arrival, ...]
    outcomes: tuple[Appended, ...]

    @property
    def grew(self) -> bool:
        """Whether there is anything to pass on."""
        return any(outcome.outcome in (Outcome.NEW, Outcome.FORK, Outcome.BACK) for outcome in self.outcomes)


@dataclass(frozen=True, slots=True)
class Derived:
    """What a replica writes of its own accord when entries come in."""

    views: Sequence[View] = ()
    arrivals: Sequence[Arrival] = ()
    """Entries of its own."""


Derive = Callable[[Reader, Sequence[Arrival]], Derived]
"""What follows from received entries that count; written in the same transaction."""


@dataclass(slots=True)
class Commit:
    """A session's checked entries on their way to the disk."""

    arrivals: Sequence[Arrival]
    cursors: Sequence[Position]
    views: Sequence[View]
    outcomes: Sequence[Appended] | None = None
    """``None``: the log has not taken them."""


CommitOfAny = TypeVar("CommitOfAny", bound=Commit)


class Receiver(Protocol):
    """The session that has received, on its stream."""

    @property
    def peer(self) -> Certificate: ...

    @property
    def session(self) -> Session: ...

    def appended(self, batch: int, refused: Sequence[Refused], gaps: Collection[FeedId]) -> None:
        """The entries of a batch are on the disk, but for these: acknowledge it."""
        ...

    def end(self, reason: Reason, why: str = "") -> None:
        """End the session with a reason; the peer is told."""
        ...


class Floor(Protocol):
    """Who checks, asks and writes."""

    async def check(self, entries: Sequence[Entry], received_from: Author) -> Checked:
        """``gossip.ingest.check``."""
        ...

    async def ask_certificates(self, authors: Sequence[Author]) -> None:
        """Ask the peer for certificates, and keep those that prove themselves: ``learned``."""
        ...

    async def commit(self, commit: Commit) -> Sequence[Appended] | None:
        """Have it written: ``write_group``. ``None`` if the log could not take it."""
        ...


async def take_in(link: Receiver, items: Sequence[EntriesReceived | CursorMoved], floor: Floor) -> bool:
    """Check what a session has received, append what passes, and acknowledge it; false if the session had to end."""
    entries = [entry for item in items if isinstance(item, EntriesReceived) for entry in item.entries]
    cursors = [item.cursor for item in items if item.cursor is not None]
    refused: dict[Hash, str] = {}
    gaps: set[FeedId] = set()
    asked: set[Author] = set()
    runs = same_order(entries)
    for number, run in enumerate(runs or [[]]):
        checked = await _checked(link, run, refused, asked, floor)
        if checked.forged:
            link.end(Reason.BAD_ENTRY, f"the signature of {checked.forged[0].document} is not its author's")
            return False
        last = number == max(len(runs) - 1, 0)
        # The cursor says that all before it is here, so it goes with the last of the batch and never before, and not if
        # the peer has left before it could show a certificate.
        moves = last and not gaps and not (refused and link.session.ended)
        commit = Commit(checked.arrivals, cursors[-1:] if moves else (), ())
        if commit.arrivals or commit.cursors:
            outcomes = await floor.commit(commit)
            if outcomes is None:
                link.end(Reason.DONE, "the log cannot be written now")
                return False
            for arrival, outcome in zip(commit.arrivals, outcomes, strict=True):
                if outcome.outcome is Outcome.TOO_MANY:
                    link.end(Reason.TOO_MUCH, f"you contradict yourself too often in {arrival.entry.document}")
                    return False
                if outcome.outcome is Outcome.GAP:
                    gaps.add(arrival.entry.feed_id)
    for item in items:
        if isinstance(item, EntriesReceived):
            said = [Refused(entry.hash, refused[entry.hash]) for entry in item.entries if entry.hash in refused]
            missing = {entry.feed_id for entry in item.entries} & gaps if gaps else gaps
            link.appended(item.batch, said, missing)
    return True


async def _checked(
    link: Receiver, entries: Sequence[Entry], refused: dict[Hash, str], asked: set[Author], floor: Floor
) -> Checked:
    checked = await floor.check(entries, link.peer.author)
    if checked.unknown:
        strangers = [one for one in dict.fromkeys(entry.author for entry in checked.unknown) if one not in asked]
        strangers = strangers[: STRANGERS_MAX - len(asked)]
        asked.update(strangers)
        await floor.ask_certificates(strangers)
        again = await floor.check(checked.unknown, link.peer.author)
        for entry in again.unknown:
            refused[entry.hash] = "nobody has shown the certificate of its author"
        checked = Checked(checked.arrivals + again.arrivals, (), checked.forged + again.forged)
    return checked


def write_group(log: Log, group: Sequence[Commit], derive: Derive, now_ms: int) -> Batch:
    """Write what several sessions have received in one synced transaction, and tell each commit what became of it.

    A cursor stays where it is if anything of its own commit is missing. Raises ``LogFull``; then nothing is written.
    """
    arrivals = [arrival for commit in group for arrival in commit.arrivals]
    counting = [arrival for arrival in arrivals if arrival.quarantine is None]
    with log.read() as reader:
        derived = derive(reader, counting) if counting else Derived()
    views = [*(view for commit in group for view in commit.views), *derived.views]
    cursors = [cursor for commit in group for cursor in commit.cursors]
    outcomes = log.append([*arrivals, *derived.arrivals], views, cursors, now_ms)[: len(arrivals)]
    if any(outcome.outcome in NOT_HERE for outcome in outcomes):
        with suppress(LogFull):  # the entries are there; a cursor that stays behind says nothing wrong
            log.append((), (), _without_gaps(group, outcomes), now_ms)
    taken = 0
    for commit in group:
        commit.outcomes = outcomes[taken : taken + len(commit.arrivals)]
        taken += len(commit.arrivals)
    return Batch(tuple(arrivals), tuple(outcomes))


def _without_gaps(group: Sequence[Commit], outcomes: Sequence[Appended]) -> list[Position]:
    """The cursors of those commits of a group in which nothing is missing."""
    found: list[Position] = []
    taken = 0
    for commit in group:
        own = outcomes[taken : taken + len(commit.arrivals)]
        taken += len(commit.arrivals)
        if all(outcome.outcome not in NOT_HERE for outcome in own):
            found += commit.cursors
    return found


def shown_chain(trust: Trust, author: Author) -> bytes | None:
    """The answer to a question for a certificate; ``None`` if it is not here."""
    chain = trust.chain(author)
    return None if chain is None else canonical.encode(list(chain))


def learned(trust: Trust, shown: bytes) -> Sequence[View] | str:
    """What to keep of a certificate that a peer has shown, or what is wrong with it."""
    try:
        chain = canonical.decode(shown)
        if not isinstance(chain, list) or not all(isinstance(der, bytes) for der in cast("list[object]", chain)):
            return "no list of certificates"
        return trust.learn(cast("list[bytes]", chain))
    except (NotCanonical, CertificateError) as error:
        return str(error)
