"""Revoking and readmitting at a head office, whether it runs or not: one that runs decides in its own process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar, cast

from crdt_pos.clock import system_ms
from crdt_pos.enrolment import at_office
from crdt_pos.folder import Folder
from crdt_pos.goodwill import Goodwill, give
from crdt_pos.local import Declined, Message
from crdt_pos.local_shapes import Asked
from crdt_pos.registrar import Registrar
from crdt_pos.registrar_link import RegistrarLink
from crdt_pos.revoking import HASHES_MAX, readmit, revoke
from gossip.entry import HASH_BYTES, Hash
from peers.roster import Why

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica

T = TypeVar("T")

WHYS: Final[Mapping[str, Why]] = {why.name.lower(): why for why in Why}


def revoke_at(office: Folder, who: str, why: str, note: str, life: str) -> Message:
    """State it: name, life, author, and how many newest entries and journals still count. Raises ``EnrolmentRefused``."""
    with at_office(office, system_ms()) as registrar:
        if isinstance(registrar, RegistrarLink):
            return registrar.call("revoke", who=who, why=why, note=note, life=life)
        return _revoke(registrar, who, why, note, life)


def readmit_at(office: Folder, hashes: Sequence[str], who: str, note: str, life: str) -> int:
    """State it; how many entries count again. Raises ``EnrolmentRefused``."""
    with at_office(office, system_ms()) as registrar:
        if isinstance(registrar, RegistrarLink):
            return int(registrar.call("readmit", hashes=list(hashes), who=who, note=note, life=life)["entries"])
        return readmit(registrar, [Hash(bytes.fromhex(one)) for one in hashes], who, note, life)


def goodwill_at(office: Folder, goodwill: Goodwill) -> Message:
    """Credit it: what the account has then. Raises ``EnrolmentRefused``."""
    with at_office(office, system_ms()) as registrar:
        if isinstance(registrar, RegistrarLink):
            return registrar.call("goodwill", **goodwill.plain())
        return {"balance": give(registrar.log, office, goodwill, system_ms())}


def _revoke(registrar: Registrar, who: str, why: str, note: str, life: str) -> Message:
    stated = revoke(registrar, who, WHYS[why], note, life)
    found = stated.certificate
    return {
        "replica": found.name,
        "life": found.incarnation,
        "author": found.author.hex(),
        "entries": stated.entries,
        "journals": stated.journals,
    }


class RevokingCommands:
    """The requests of a running head office."""

    def __init__(self, replica: RunningReplica) -> None:
        self._replica = replica

    def answers(self) -> dict[str, Callable[[Asked], Awaitable[Message]]]:
        """Name → answer."""
        return {"revoke": self._revoke, "readmit": self._readmit, "goodwill": self._goodwill}

    async def _revoke(self, asked: Asked) -> Message:
        who, why, note, life = asked.text("who"), asked.text("why"), asked.text("note"), asked.text("life")
        asked.end()
        if why not in WHYS:
            raise Declined(f"'{why}' is none of {', '.join(WHYS)}.", "BadRequest")
        return await self._decide(lambda registrar: _revoke(registrar, who, why, note, life))

    async def _readmit(self, asked: Asked) -> Message:
        hashes, who = _hashes(asked.anything("hashes")), asked.text("who")
        note, life = asked.text("note"), asked.text("life")
        asked.end()
        return {"entries": await self._decide(lambda registrar: readmit(registrar, hashes, who, note, life))}

    async def _goodwill(self, asked: Asked) -> Message:
        goodwill = Goodwill.asked(asked)
        replica = self._replica
        return {"balance": await replica.act(lambda: give(replica.log, replica.folder, goodwill, system_ms()))}

    async def _decide(self, decide: Callable[[Registrar], T]) -> T:
        replica = self._replica
        roster = replica.trust.roster
        return await replica.state(lambda: decide(Registrar(replica.folder, replica.log, system_ms(), roster)))


def _hashes(value: object) -> list[Hash]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    try:
        hashes = [Hash(bytes.fromhex(item)) for item in items if isinstance(item, str)]
    except ValueError:
        hashes = []
    if not 1 <= len(hashes) <= HASHES_MAX or len(hashes) != len(items) or any(len(one) != HASH_BYTES for one in hashes):
        raise Declined(f"'hashes' is not a list of 1 to {HASHES_MAX} hashes of 64 hexadecimal digits.", "BadRequest")
    return hashes
