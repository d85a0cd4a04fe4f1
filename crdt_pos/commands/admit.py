"""``crdt-pos admit``: let somebody join who asks by a file, or a head office that waits for the root key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from crdt_pos.asking_in import let_in
from crdt_pos.cli import Refused
from crdt_pos.clock import system_ms
from crdt_pos.columns import listing
from crdt_pos.commands.key_options import KeySource, key_options
from crdt_pos.commands.replica_options import FOLDER
from crdt_pos.directory import COMPANY_ROSTER, store_roster
from crdt_pos.errors import EnrolmentRefused
from crdt_pos.folder import Folder, open_folder
from crdt_pos.looking import look
from crdt_pos.registrar import check_office
from crdt_pos.schema import ROSTER_STORE
from crdt_pos.ticket_book import Issued, find, waiting
from crdt_pos.ticket_desk import at_desk
from crdt_pos.tickets import Answer, Outcome, Request, decode_answer, outcome_of
from gossip.doorbell import QUESTION_BYTES_MAX
from gossip.log import Reader, entries_of
from peers import certificates
from peers.keys import PublicKey

VIA: Final = "file"


@click.command(epilog="Example: crdt-pos admit till-12-3.request --at office --out till-12-3.certificate")
@click.argument("request_file", metavar="[FILE]", type=click.Path(path_type=Path), required=False)
@click.option("--at", "path", type=FOLDER, required=True, help="The folder of the head office; it may run meanwhile.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where to write the file that goes back to the new machine."
)
@click.option("--ticket", metavar="ID", help="Which head office to admit, if several wait: the id of its ticket.")
@key_options
def admit(request_file: Path | None, path: Path, out: Path | None, ticket: str | None, keys: KeySource) -> None:
    """Admit whoever made FILE with 'crdt-pos join TICKET --request FILE', and write the file that it needs.

    Without FILE: admit the head office that has shown its ticket over the network and waits. Head offices need the company's root
    key: its kit, or the passphrase.
    """
    office = open_folder(path)
    check_office(office)
    if request_file is None:
        _admit_waiting(office, ticket, keys)
        return
    if out is None:
        raise Refused("Say with --out where to write the file for the new machine.")
    if out.exists():
        raise Refused(f"{out} is there already: choose another name.")
    raw = _read(request_file)
    request = Request.decode(raw)
    if request is None:
        raise Refused(f"{request_file} is no request: it is made with 'crdt-pos join TICKET --request FILE'.")
    if request.company == office.root.company and request.office != office.certificate.author:
        raise EnrolmentRefused(_of_another_office(path, request))
    answer, issued, said = _asked(office, raw)
    if issued is not None and said.outcome is Outcome.WAITING:
        _sign(office, issued, keys)
        answer, issued, said = _asked(office, raw)
    let_in(said, f"{path} ({office.root.name})")
    assert issued is not None, "what lets in names a ticket of the book"
    from crdt_pos.joining import certificate_file

    certificate = certificates.parse(said.chain[0])
    with look(path) as looked, looked.log.read() as reader:
        entries = _roster(reader, certificate.store)
    _write(out, certificate_file(answer, entries, issued.secret, raw))
    click.echo(f"Admitted {certificate.name}, life {certificate.incarnation}. Carry {out} to its machine.")
    click.echo(f"Next, there: crdt-pos join --certificate {out.name} --at DIR")


def _admit_waiting(office: Folder, ticket: str | None, keys: KeySource) -> None:
    with look(office.path) as looked, looked.log.read() as reader:
        found = [one for one in waiting(reader, system_ms()) if ticket in (None, one.id.hex())]
    if not found:
        raise Refused("No head office waits here: it shows its ticket first, with 'crdt-pos join TICKET --at DIR'.")
    if len(found) > 1:
        known = listing([one.id.hex() for one in found])
        raise Refused(
            f"{len(found)} head offices wait, with the tickets {known}: say with --ticket which one you mean."
        )
    _sign(office, found[0], keys)


def _sign(office: Folder, issued: Issued, keys: KeySource) -> None:
    """Make the certificate of a head office that waits, with the root key, which no other process sees."""
    with look(office.path) as looked, looked.log.read() as reader:
        issued = find(reader, issued.id) or issued
        sealed = looked.directory.sealed_keys
    root_key = keys.root_key(office.root, sealed)
    with at_desk(office, system_ms()) as desk:
        letter = desk.next_letter()
        made = certificates.issue_office(office.root, root_key, PublicKey(issued.public), letter)
        desk.admit_office(issued.id, [made.der])
    click.echo(f"Admitted head office {made.name}, whose key begins with {issued.public[:8].hex()}.")


def _asked(office: Folder, raw: bytes) -> tuple[bytes, Issued | None, Answer]:
    """The office's answer to a request, by which ticket it was asked for, and what it says."""
    with at_desk(office, system_ms()) as desk:
        answer = desk.answer(raw, VIA)
    request = Request.decode(raw)
    with look(office.path) as looked, looked.log.read() as reader:
        issued = None if request is None else find(reader, request.ticket)
    said = None if issued is None else decode_answer(answer, issued.secret, raw)
    return answer, issued, said or Answer(outcome_of(answer) or Outcome.UNKNOWN)


def _of_another_office(path: Path, request: Request) -> str:
    with look(path) as looked:
        issuer = looked.directory.certificate(request.office)
    name = "another head office" if issuer is None else issuer.name
    return f"This ticket was issued by {name}, which alone can redeem it: admit the request there."


def _roster(reader: Reader, store: int | None) -> list[bytes]:
    """What a new replica begins with: the company's roster, and its store's; of one of no store, every store's."""
    stores = [store_roster(store)] if store is not None else [*reader.documents(ROSTER_STORE)]
    return [stored.entry.raw for document in (COMPANY_ROSTER, *stores) for stored in entries_of(reader, document)]


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(QUESTION_BYTES_MAX + 1)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error


def _write(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}.") from error
