"""Joining: what a new machine does with a ticket until it is ready to run.

It makes its key, asks to be let in (``crdt_pos.asking_in``), proves that the answer is for this key and by this company, whose
root the ticket names, and then learns the roster and whatever else it may read: from whoever let it in, in an ordinary session,
or, without a network, from the file that the office has made. Only then there is a folder (``crdt_pos.joining_place``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Final

import trio

from crdt_pos import folder as folders
from crdt_pos.asking_in import Candidates, Heard, ask_in, let_in
from crdt_pos.directory import load_directory
from crdt_pos.enrolment import open_log
from crdt_pos.errors import EnrolmentRefused
from crdt_pos.folder import Folder, Settings
from crdt_pos.joining_place import Place, begun, ticket_of
from crdt_pos.replica import RunningReplica
from crdt_pos.tickets import AN_OFFICE, Answer, Outcome, Ticket, decode_answer, decode_seed, encode_seed
from gossip.address import Address
from gossip.dialling import Everyone
from gossip.entry import Entry, decode
from gossip.errors import BadEntry
from gossip.log import Arrival, Log
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.errors import NotCanonical
from peers import certificates
from peers.certificates import Certificate, Root
from peers.errors import CertificateError
from peers.keys import SecretKey
from peers.permissions import Role

WAIT_S: Final = 60.0
"""How long somebody is looked for who lets us in, and a head office waits for the root key."""
QUIET_S: Final = 20.0
"""How long nothing may come before what has been learned must do."""
GOODBYE_S: Final = 1.0
LOOK_S: Final = 0.1
FILE_BYTES_MAX: Final = 64 << 20
"""Of a certificate's file, with the roster in it."""


class Step(Enum):
    """What joining is about, as a person reads it."""

    ASKING = "asking to be let in"
    WAITING = "waiting until somebody admits this head office with the root key"
    LEARNING = "let in; taking in what the others hold"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is."""

    step: Step
    entries: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks for."""

    ticket: Ticket
    path: Path
    """The new folder."""
    settings: Settings
    """Its ``peers`` are asked too; those of the ticket are added to them for good."""
    wait_s: float = WAIT_S


def join(wanted: Wanted, progress: Callable[[Progress], None]) -> Folder:
    """Join over the network; the new replica's folder, which is ready to run.

    Raises ``EnrolmentRefused`` and ``FolderError``. What was begun stays, and is gone on with when this is called again.
    """

    def asking(outcome: Outcome | None, trouble: str) -> None:
        progress(Progress(Step.WAITING if outcome is Outcome.WAITING else Step.ASKING, trouble=trouble))

    with begun(wanted.ticket, wanted.path) as place:
        folder, met = place.replica(), None
        if folder is None:
            ticket, settings = wanted.ticket, wanted.settings
            heard: Heard = trio.run(
                ask_in, ticket, settings, place.request, wanted.wait_s, asking, strict_exception_groups=True
            )
            folder, met = _enrolled(wanted, place, heard.answer), heard.address
        trio.run(_learn, folder, wanted, met, progress, strict_exception_groups=True)
        return place.finished(wanted.path)


def request_file(ticket: Ticket, path: Path) -> bytes:
    """Begin to join at ``path`` without a network: what the office is to be given. Raises as ``join`` does."""
    with begun(ticket, path) as place:
        return place.request


def join_by_file(content: bytes, path: Path, settings: Settings) -> Folder:
    """Go on with what ``request_file`` began, by the file that the office has made. Raises as ``join`` does."""
    ticket = ticket_of(path)
    with begun(ticket, path) as place:
        answer, seed = _opened(content, ticket, place.request)
        folder = place.replica() or _enrolled(Wanted(ticket, path, settings), place, answer)
        giver = certificates.parse(folder.chain[-1]).author
        with folder.held(), open_log(folder) as log:
            log.append([Arrival(entry, giver) for entry in seed])
            if not _knows_itself(folder, log):
                raise EnrolmentRefused(
                    "The roster in this file does not know this replica: let the office admit it again."
                )
        return place.finished(path)


def certificate_file(answer: bytes, entries: Sequence[bytes], secret: bytes, request: bytes) -> bytes:
    """The file that takes an office's answer and the roster to a machine without a network."""
    return canonical.encode([1, answer, encode_seed(entries, secret, request)])


# --- being let in ----------------------------------------------------------------------------------------------------


def _enrolled(wanted: Wanted, place: Place, answer: Answer) -> Folder:
    """Make the folder of an answer that lets us in. Raises ``EnrolmentRefused`` for one that proves nothing."""
    ticket = wanted.ticket
    try:
        root = certificates.parse_root(answer.root)
        issued = certificates.verify_chain(answer.chain, root)
        issuer = certificates.parse(answer.chain[-1])
    except CertificateError as error:
        raise EnrolmentRefused(f"The head office's answer proves nothing: {error.fault}.") from error
    fault = _objection(ticket, place.key, root, issued, issuer)
    if fault:
        raise EnrolmentRefused(f"The head office's answer does not fit this ticket: {fault}.")
    peers = tuple(dict.fromkeys((*wanted.settings.peers, *ticket.addresses)))
    settings = replace(wanted.settings, peers=peers)
    return folders.create_folder(place.replica_at, settings, place.key, answer.chain, root)


def _objection(ticket: Ticket, key: SecretKey, root: Root, issued: Certificate, issuer: Certificate) -> str:
    if root.company != ticket.company:
        return "it belongs to another company"
    if issued.public_key != key.public:
        return "it is for another key"
    if ticket.name == AN_OFFICE:
        return "" if issued.role is Role.OFFICE else f"it is for {issued.name}"
    if issued.name != ticket.name or issuer.author != ticket.office:
        return f"it is for {issued.name}, by {issuer.name}"
    return ""


def _opened(content: bytes, ticket: Ticket, request: bytes) -> tuple[Answer, list[Entry]]:
    """What a certificate's file says. Raises ``EnrolmentRefused``."""
    try:
        value = canonical.decode(content)
    except NotCanonical:
        value = None
    match value:
        case [1, bytes(raw), bytes(box)]:
            answer, seed = decode_answer(raw, ticket.secret, request), decode_seed(box, ticket.secret, request)
        case _:
            raise EnrolmentRefused("This is no certificate's file: the office makes it with 'crdt-pos admit'.")
    if answer is None or seed is None:
        raise EnrolmentRefused("This file was made for another request, or was changed: let the office admit yours.")
    try:
        return let_in(answer), [decode(one) for one in seed]
    except BadEntry as error:
        raise EnrolmentRefused(f"This file holds what is no entry: {error}.") from error


# --- learning --------------------------------------------------------------------------------------------------------


async def _learn(folder: Folder, wanted: Wanted, met: Address | None, progress: Callable[[Progress], None]) -> None:
    """Take in what whoever let us in holds. Raises ``EnrolmentRefused`` if not even the roster came."""
    replica = RunningReplica(folder)
    try:
        with folder.held():
            async with trio.open_nursery() as nursery:
                # Only sessions, with whoever answers: it is announced, and listens, when it runs.
                replica.node.choose(Everyone())
                await nursery.start(replica.node.run, None)
                candidates = Candidates(wanted.ticket, wanted.settings)
                if met is None:
                    nursery.start_soon(candidates.discover)
                await _take_in(replica, lambda: candidates.addresses if met is None else [met], progress)
                replica.stop_sessions()
                with trio.move_on_after(GOODBYE_S):
                    while replica.node.links:
                        await replica.node.change.wait()
                nursery.cancel_scope.cancel()
        if not _knows_itself(folder, replica.log):
            raise EnrolmentRefused(
                f"{folder.certificate.name} was let in, and has not learned the roster yet: repeat this command when the "
                "network is better."
            )
    finally:
        replica.close()


async def _take_in(
    replica: RunningReplica, addresses: Callable[[], Sequence[Address]], progress: Callable[[Progress], None]
) -> None:
    """Until a peer has told all it holds and the roster knows this replica, or nothing comes any more."""
    entries, quiet_s = -1, trio.current_time()
    while trio.current_time() < quiet_s + QUIET_S:
        change = replica.node.change
        for address in addresses():
            replica.node.want(address)
        now = _count(replica.log)
        if now != entries:
            entries, quiet_s = now, trio.current_time()
        progress(Progress(Step.LEARNING, entries, next(iter(replica.node.troubles().values()), "")))
        told = any(link.facts.caught_up for link in replica.node.links.values())
        if told and _knows_itself(replica.folder, replica.log):
            return
        with trio.move_on_after(LOOK_S):
            await change.wait()


def _knows_itself(folder: Folder, log: Log) -> bool:
    """Whether the roster here names this replica, and, of a till, on what terms its store sells."""
    own = folder.certificate
    with log.read() as reader:
        directory = load_directory(reader, folder.root)
    return own.author in directory.enrolled and (own.store is None or own.store in directory.stores)


def _count(log: Log) -> int:
    with log.read() as reader:
        return reader.last_arrival()
