"""What a replica answers about persons, running or not: who a member is, and at a head office that nobody knows it any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from crdt_pos import erasing, persons
from crdt_pos.errors import PersonRefused
from crdt_pos.local import Command, Declined, Message
from crdt_pos.local_shapes import Asked
from crdt_pos.persons import Person, Writer
from crdt_pos.schema import SCHEMA
from crdt_pos.till import Till
from gossip.log import Arrival, Log, Reader
from merge_rules.dataclass import dataclass
from peers.permissions import Role

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica


@dataclass(frozen=True, slots=True)
class Desk:
    """Where persons are written: a log, in whose name, and the till that makes an account a patron."""

    log: Log
    writer: Writer
    role: Role
    now_ms: Callable[[], int]
    till: Till | None = None

    def append(self, said: Callable[[Reader], list[Arrival]]) -> int:
        """Append what is said, with the views that follow; how many entries."""
        with self.log.read() as reader:
            arrivals = said(reader)
            views = list(persons.derive(reader, arrivals))
        if arrivals:
            self.log.append(arrivals, views, received_ms=self.now_ms())
        return len(arrivals)

    def found(self, who: str, *, unknown: bool = False) -> list[bytes]:
        """The accounts that are meant. Raises ``PersonRefused``."""
        with self.log.read() as reader:
            return erasing.find(reader, self.writer.company, who, unknown=unknown)


Answer = Callable[[Desk, Asked], Message]


def _set(desk: Desk, asked: Asked) -> Message:
    account = asked.account("account")
    given = {name: asked.text(name) for name in ("name", "phone", "address", "email")}
    asked.end()
    if not account:
        raise Declined("Say which account: 16 hexadecimal digits.", "BadRequest")
    if given["phone"]:
        given["phone"] = persons.phone_number(given["phone"])
    if desk.till is not None:
        desk.till.welcome(account)

    def said(reader: Reader) -> list[Arrival]:
        known = persons.read(reader, account) or Person()
        person = Person(
            given["name"] or known.name,
            given["phone"] or known.phone,
            given["address"] or known.address,
            given["email"] or known.email,
            known.extra,
        )
        return persons.write(reader, desk.writer, account, person, desk.now_ms())

    return {"account": account.hex(), "entries": desk.append(said)}


def _shown(desk: Desk, asked: Asked) -> Message:
    who = asked.text("who")
    asked.end()
    accounts = desk.found(who)
    with desk.log.read() as reader:
        erased = erasing.is_erased(reader, accounts[0])
        known = next((found for one in accounts if (found := persons.read(reader, one)) is not None), None)
    if known is None and not erased:
        raise PersonRefused(f"Nothing is known here of who {accounts[0].hex()} is.")
    known = known or Person()
    return {
        "account": accounts[0].hex(),
        "accounts": [one.hex() for one in accounts],
        "erased": erased,
        "name": known.name,
        "phone": known.phone,
        "address": known.address,
        "email": known.email,
    }


def _erase(desk: Desk, asked: Asked) -> Message:
    who, unknown = asked.text("who"), asked.flag("unknown")
    asked.end()
    if desk.role is not Role.OFFICE:
        raise PersonRefused("A person is erased at a head office: give its folder with --at.")
    accounts = desk.found(who, unknown=unknown)
    with desk.log.read() as reader:
        if not unknown and not all(erasing.is_known(reader, one) for one in accounts):
            raise PersonRefused(
                f"Nothing is known here of the account {accounts[0].hex()}: look whether it is right; "
                "to erase it all the same, which cannot be taken back, add --unknown."
            )
    written = sum(desk.append(partial(_erased, desk, account)) for account in accounts)
    return {"accounts": [one.hex() for one in accounts], "entries": written}


def _erased(desk: Desk, account: bytes, reader: Reader) -> list[Arrival]:
    return erasing.erase(reader, desk.writer, account, desk.now_ms())


ANSWERS: Final[Mapping[str, Answer]] = {"person_set": _set, "person": _shown, "erase": _erase}


def writer_of(replica: RunningReplica) -> Writer:
    """Who signs at a running replica."""
    return Writer(replica.folder.key, replica.certificate.author, replica.folder.root.company, SCHEMA)


class PersonCommands:
    """The requests about persons of a running replica."""

    def __init__(self, replica: RunningReplica) -> None:
        self._replica = replica
        me = replica.certificate
        self._desk = Desk(replica.log, writer_of(replica), me.role, replica.system_ms, replica.till)

    def commands(self) -> dict[str, Command]:
        """Name → command."""
        return {name: self._command(answer) for name, answer in ANSWERS.items()}

    def _command(self, answer: Answer) -> Command:
        async def command(request: Message) -> Message:
            answered = await self._replica.act(lambda: answer(self._desk, Asked(request)))
            self._replica.people.erased_something()
            self._replica.after_commit()
            return answered

        return command
