"""What an enrolment proved, kept as a view: a certificate is taken apart and its signatures verified once, not at every start.

    roster/entry/<feed key><number>     what an entry of a roster document was: its hash, and of an enrolment that is proven
                                        the element's digest, what the certificate says, and its bytes
    roster/issuer/<first 8 bytes of SHA-256>   the certificate of an office that issued some of them

A row holds for an entry of its hash and of no other, so rows that do not belong to what the log holds now say nothing; like every
row of the log it carries a sum against flipped bits. Rows are only a memory: what is missing is proven again from the entries.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

from gossip.entry import Hash
from gossip.log import Reader, View
from merge_rules.lattice import Author
from peers.certificates import Certificate, Root, verify_chain
from peers.errors import CertificateError
from peers.keys import PublicKey
from peers.permissions import Role
from peers.roster import Chain

_ENTRY: Final = b"roster/entry/1/"
_ISSUER: Final = b"roster/issuer/"
_NUMBER_BYTES: Final = 6
_ISSUER_BYTES: Final = 8
_HASH_BYTES: Final = 32
_PROVEN: Final = struct.Struct(">32s32s8s32s8s8sIIBBB")
"""Hash, digest of the element, issuer, public key, author, heir, store, till, role, and how long name and incarnation are."""
_ROLES: Final = tuple(Role)


class Remembered(NamedTuple):
    """An entry of a roster document."""

    seq: int
    hash: Hash
    digest: bytes = b""
    """Of the element that it adds, if that is a proven enrolment and all that the entry says."""
    chain: Chain | None = None


class _Issuer(NamedTuple):
    """An office, and its key's identifier."""

    certificate: Certificate
    key_id: bytes


class ProvenViews:
    """The rows of one log, read with one snapshot after the other."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._issuers: dict[bytes, _Issuer] = {}
        self._written: set[bytes] = set()

    def of_feed(self, reader: Reader, feed: bytes) -> Iterator[Remembered]:
        """What is kept of a feed's entries, from number 1 without a gap."""
        prefix = _ENTRY + feed
        for number, (key, value) in enumerate(reader.views(prefix), 1):
            found = self._unpacked(reader, number, value)
            if key[len(prefix) :] != number.to_bytes(_NUMBER_BYTES, "big") or found is None:
                return
            yield found

    def rows(self, feed: bytes, one: Remembered) -> list[View]:
        """What to keep of an entry."""
        key = _ENTRY + feed + one.seq.to_bytes(_NUMBER_BYTES, "big")
        if one.chain is None or len(one.chain) != 2:
            return [(key, bytes(one.hash))]
        leaf, issuer = one.chain
        name, life = leaf.name.encode(), leaf.incarnation.encode()
        known_by = _digest(issuer.der)
        who = leaf.public_key, leaf.author, leaf.heir, leaf.store or 0, leaf.till or 0, _ROLES.index(leaf.role)
        head = _PROVEN.pack(one.hash, one.digest, known_by, *who, len(name), len(life))
        views: list[View] = []
        if known_by not in self._written:  # before who rests on it, since they may be written in pieces
            self._written.add(known_by)
            views.append((_ISSUER + known_by, issuer.der))
        return [*views, (key, head + name + life + leaf.der)]

    def _unpacked(self, reader: Reader, seq: int, value: bytes) -> Remembered | None:
        if len(value) == _HASH_BYTES:
            return Remembered(seq, Hash(value))
        try:
            head: tuple[Hash, bytes, bytes, bytes, Author, Author, int, int, int, int, int] = _PROVEN.unpack_from(value)
            hashed, digest, known_by, public, author, heir, store, till, role, names, lives = head
            issuer, key_id = self._issuers.get(known_by) or self._issuer(reader, known_by)
            name_ends = _PROVEN.size + names
            life_ends = name_ends + lives
            leaf = Certificate(
                issuer.company,
                _ROLES[role],
                value[_PROVEN.size : name_ends].decode(),
                store or None,
                till or None,
                sys.intern(value[name_ends:life_ends].decode()),
                PublicKey(public),
                author,
                issuer.author if heir == issuer.author else heir,
                issuer.name,
                key_id,
                value[life_ends:],
            )
        except (struct.error, ValueError, LookupError, CertificateError):
            return None
        return Remembered(seq, hashed, digest, (leaf, issuer))

    def _issuer(self, reader: Reader, known_by: bytes) -> _Issuer:
        der = reader.view(_ISSUER + known_by)
        if der is None:
            raise LookupError(known_by)
        found = verify_chain((der,), self._root)
        issuer = self._issuers[known_by] = _Issuer(found, found.key_id)
        return issuer


def _digest(der: bytes) -> bytes:
    return hashlib.sha256(der).digest()[:_ISSUER_BYTES]
