"""Whom a replica believes: the roster in its log, its own certificates, and chains that peers have shown.

A till learns the tills of other stores only when their entries reach it (a member's balance does); the chain that a peer shows
then is kept as a view, so that after a restart nobody has to be asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, cast

from crdt_pos.folder import Folder
from crdt_pos.guardians import vault_scopes
from crdt_pos.roster_reading import RosterReading
from gossip.document import Document, Scope
from gossip.ingest import AuthorRecord
from gossip.log import Log, View
from gossip.reasons import Reason
from merge_rules import canonical
from merge_rules.lattice import Author
from peers.certificates import Certificate, verify_chain
from peers.permissions import readable_scopes
from peers.roster import Directory

_SHOWN: Final = b"roster/shown/"
REMEMBERED_AT_ONCE: Final = 512
"""Rows of one transaction: LMDB never gives back the memory of its largest."""


class RosterTrust:
    """Implements ``gossip.intake.Trust``. ``follow`` after roster entries were appended, ``reload`` after the log was mended."""

    def __init__(self, folder: Folder, log: Log) -> None:
        self._folder = folder
        self._log = log
        self._records: dict[Author, AuthorRecord] = {}
        self.directory: Directory
        with log.read() as reader:
            self._shown = [tuple(cast("list[bytes]", canonical.decode(chain))) for _, chain in reader.views(_SHOWN)]
        self.roster = self._begun()
        self.reload()

    def reload(self) -> None:
        """Read the roster again, from its beginning."""
        self.roster = self._begun()
        self.follow()

    def _begun(self) -> RosterReading:
        roster = RosterReading(self._folder.root)
        for chain in (self._folder.chain, *self._shown):
            roster.show(chain)
        return roster

    def follow(self, documents: Iterable[Document] | None = None) -> None:
        """Read on, in all of the roster or in those of its ``documents`` that have grown."""
        with self._log.read() as reader:
            self._know(self.roster.follow(reader, documents))

    def remember(self) -> None:
        """Keep what was proven, if it is worth a write. Raises ``LogFull``."""
        views = self.roster.unsaved()
        while some := list(islice(views, REMEMBERED_AT_ONCE)):
            self._log.append((), some)

    def _know(self, directory: Directory) -> None:
        self.directory, self._records = directory, {}

    def record(self, author: Author) -> AuthorRecord | None:
        """What the certificate of ``author`` says."""
        records = self._records
        record = records.get(author)
        if record is None and (certificate := self.directory.certificate(author)) is not None:
            record = records[author] = AuthorRecord(certificate.public_key, certificate.role, certificate.store)
        return record

    def objection(self, peer: Certificate) -> Reason | None:
        """``REVOKED`` for one that the roster has withdrawn."""
        return None if self.directory.takes_part(peer.author) else Reason.REVOKED

    def said_against(self, peer: Certificate) -> str:
        """Why, by the roster."""
        for one in self.directory.revocations.get(peer.author, ()):
            note = f" ({one.note})" if one.note else ""
            return f"{peer.name} {peer.incarnation} was revoked as {one.why.name.lower()}{note}"
        return f"{peer.name} {peer.incarnation} takes part no more"

    def readable(self, peer: Certificate) -> frozenset[Scope]:
        """The scopes that ``peer`` may read."""
        stores = frozenset(self.directory.stores)
        scopes = readable_scopes(peer.role, peer.store, stores) | vault_scopes(peer.role, peer.store, self.directory)
        return frozenset(map(Scope, scopes))

    def chain(self, author: Author) -> Sequence[bytes] | None:
        """The certificates that prove ``author``, its own first."""
        found = self.directory.chains.get(author)
        return None if found is None else [certificate.der for certificate in found]

    def learn(self, chain: Sequence[bytes]) -> Sequence[View]:
        """Prove and remember a chain. Raises ``CertificateError``."""
        author = verify_chain(chain, self._folder.root).author
        if author in self.directory.chains:
            return []
        # Remembered here too: the roster may be read again before the view is on the disk.
        self._shown.append(tuple(chain))
        self.roster.show(chain)
        self.follow(())
        return [(_SHOWN + author, canonical.encode(list(chain)))]
