"""An entry: COSE_Sign1 (RFC 9052) over deterministic CBOR, signed with Ed25519.

    entry     = [protected: bstr, unprotected: {}, payload: bstr, signature: bstr .size 64]
    protected = {1: -8, 4: author}                       ; EdDSA; key id = the author's 8 bytes
    payload   = [kind, day, [*keys], feed, scope, seq, stamp, body]                       in latest feeds, first in whole
              / [kind, day, [*keys], feed, scope, seq, stamp, body, previous: bstr .size 32]   in whole feeds, seq > 1

There is one encoding of every entry, so the outer array is taken apart by position and only the payload is decoded. The
hash of an entry is SHA-256 over all its bytes. Sans-I/O.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple, NewType, NoReturn, cast

from gossip.document import NAME_BYTES_MAX, Document, FeedType, Key, ScopeClass, order_key
from gossip.errors import BadEntry
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.errors import NotCanonical
from merge_rules.lattice import AUTHOR_BYTES, Author
from peers.keys import SIGNATURE_BYTES, PublicKey, SecretKey, Signature, verify_signed

Hash = NewType("Hash", bytes)
"""SHA-256 of an entry's bytes."""

HASH_BYTES: Final = 32
ENTRY_BYTES_MAX: Final = 1 << 20
SEQ_MAX: Final = 2**40
STAMP_MAX: Final = 2**64 - 1

_ALGORITHM: Final = b"\xa2\x01\x27\x04\x48"
_BEFORE_AUTHOR: Final = b"\x84\x4d" + _ALGORITHM
_AFTER_AUTHOR: Final = b"\xa0"
_SIGNATURE_HEAD: Final = b"\x58\x40"
_PAYLOAD_AT: Final = len(_BEFORE_AUTHOR) + AUTHOR_BYTES + len(_AFTER_AUTHOR)
_FEEDS: Final = tuple(FeedType)
_SCOPES: Final = tuple(ScopeClass)
_BODY: Final = 7
_TAIL_BYTES: Final = len(_SIGNATURE_HEAD) + SIGNATURE_BYTES


class FeedId(NamedTuple):
    """One author's entries in one document."""

    document: Document
    author: Author


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of a feed, or one of several where the author contradicts itself."""

    seq: int
    hash: Hash


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A signed contribution of one author to one document. Equal entries have equal bytes."""

    document: Document
    feed: FeedType
    scope: ScopeClass
    author: Author
    seq: int
    """From 1, without gaps in ``whole`` feeds."""
    stamp: int
    """Hybrid logical clock: milliseconds since 1970 shifted left by 16, or-ed with a counter."""
    body: object
    previous: Hash | None
    """Hash of the entry before, in ``whole`` feeds from seq 2 on."""
    raw: bytes
    """The COSE_Sign1 bytes: what is hashed, stored and sent."""
    hash: Hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def feed_id(self) -> FeedId:
        """The feed that this entry belongs to."""
        return FeedId(self.document, self.author)

    @property
    def head(self) -> Head:
        """Sequence number and hash."""
        return Head(self.seq, self.hash)

    @property
    def signature(self) -> Signature:
        """The 64 bytes at the end."""
        return Signature(self.raw[-SIGNATURE_BYTES:])

    @property
    def signed(self) -> bytes:
        """The signature with what it is over behind it."""
        return self.raw[-SIGNATURE_BYTES:] + _signed_bytes(self.author, _payload_bytes(self.raw))

    @property
    def memory_bytes(self) -> int:
        """About what it takes in memory, decoded, with what its rule makes of it: eight to seventeen times its bytes."""
        return 12 * len(self.raw)

    def verify(self, public: PublicKey) -> bool:
        """Whether the signature is by ``public``. Costs one Ed25519 verification; may run on any thread."""
        return verify_signed(public, self.signed)


def sign(
    key: SecretKey,
    author: Author,
    document: Document,
    feed: FeedType,
    scope: ScopeClass,
    seq: int,
    stamp: int,
    body: object,
    previous: Hash | None = None,
) -> Entry:
    """Make and sign an entry. Raises ``NotCanonical`` for a body outside the subset of CBOR that entries use."""
    document = _own_name(document, scope)
    number, at, before = _order(feed, seq, stamp, previous)
    payload = _payload(document, feed, scope, number, at, body, before)
    raw = _raw(author, payload, key.sign(_signed_bytes(author, payload)))
    # Decoded again, so that the body is what everyone else sees and nobody else's to change.
    fields = cast("list[object]", canonical.decode_own(payload[_byte_string_head_bytes(payload) :]))
    return Entry(document, feed, scope, author, number, at, fields[_BODY], before, raw, _hash(raw))


def assemble(
    author: Author,
    document: Document,
    feed: FeedType,
    scope: ScopeClass,
    seq: object,
    stamp: object,
    body: object,
    previous: object,
    signature: Signature,
) -> Entry:
    """The entry that ``author`` signed with these fields; whether the signature is over them, ``verify`` tells.

    ``document``, ``feed`` and ``scope`` are those of an entry that was checked; ``body`` is as ``canonical.decode`` returns it,
    and nobody changes it any more. Raises ``NotCanonical`` or ``BadEntry`` where the others are not those of an entry.
    """
    number, at, before = _order(feed, seq, stamp, previous)
    raw = _raw(author, _payload(document, feed, scope, number, at, body, before), signature)
    return Entry(document, feed, scope, author, number, at, body, before, raw, _hash(raw))


def successor(old: Entry, seq: object, stamp: object, body: object, previous: object, signature: Signature) -> Entry:
    """``assemble`` for another entry of the feed of ``old``."""
    return assemble(old.author, old.document, old.feed, old.scope, seq, stamp, body, previous, signature)


def _payload(
    document: Document, feed: FeedType, scope: ScopeClass, seq: int, stamp: int, body: object, previous: Hash | None
) -> bytes:
    fields: list[object] = [document.kind, document.day, list(document.keys), int(feed), int(scope), seq, stamp, body]
    if previous is not None:
        fields.append(previous)
    return _byte_string(canonical.encode(fields))


def _raw(author: Author, payload: bytes, signature: Signature) -> bytes:
    raw = _BEFORE_AUTHOR + author + _AFTER_AUTHOR + payload + _SIGNATURE_HEAD + signature
    if len(raw) > ENTRY_BYTES_MAX:
        _refuse(f"longer than {ENTRY_BYTES_MAX} bytes")
    return raw


def decode(raw: bytes) -> Entry:
    """Take an entry apart. Raises ``BadEntry``; does not verify the signature."""
    return _decoded(raw, canonical.decode)


def decode_held(raw: bytes) -> Entry:
    """The same for bytes that ``decode`` has accepted before, and that have been in our own log since: that there is one
    encoding of what is in them is not checked again, which is most of the work."""
    return _decoded(raw, canonical.decode_own)


def _decoded(raw: bytes, decoder: Callable[[bytes], object]) -> Entry:
    if len(raw) > ENTRY_BYTES_MAX:
        _refuse(f"longer than {ENTRY_BYTES_MAX} bytes")
    author = Author(raw[len(_BEFORE_AUTHOR) : len(_BEFORE_AUTHOR) + AUTHOR_BYTES])
    if raw[: len(_BEFORE_AUTHOR)] != _BEFORE_AUTHOR or raw[_PAYLOAD_AT - 1 : _PAYLOAD_AT] != _AFTER_AUTHOR:
        _refuse("not a COSE_Sign1 with the headers of an entry")
    if raw[-_TAIL_BYTES:-SIGNATURE_BYTES] != _SIGNATURE_HEAD:
        _refuse("no signature of 64 bytes at the end")
    payload = _payload_bytes(raw)
    head_bytes = _byte_string_head_bytes(payload)
    content = payload[head_bytes:]
    if _byte_string(content) != payload:
        _refuse("the payload is not one byte string with the shortest head")
    try:
        fields = decoder(content)
    except NotCanonical as error:
        raise BadEntry(str(error)) from error
    return _entry(fields, author, raw)


def beginning() -> bytes:
    """What every entry begins with."""
    return _BEFORE_AUTHOR


def length(first: bytes) -> int:
    """How many bytes an entry has, by its first ones; 0 if they do not say."""
    head = first[_PAYLOAD_AT:]
    if not head or head[0] >> 5 != 2:
        return 0
    head_bytes = _byte_string_head_bytes(head)
    size = int.from_bytes(head[1:head_bytes], "big") if head_bytes > 1 else head[0] & 0x1F
    return _PAYLOAD_AT + head_bytes + size + _TAIL_BYTES


def _entry(content: object, author: Author, raw: bytes) -> Entry:
    if not isinstance(content, list):
        _refuse("the payload is not an array")
    fields = cast("list[object]", content)
    if len(fields) not in (8, 9):
        _refuse("the payload has not 8 or 9 fields")
    kind, day, keys, feed, scope, seq, stamp, body = fields[:8]
    previous = fields[8] if len(fields) == 9 else None
    if not isinstance(keys, list):
        _refuse("the keys are not an array")
    scope_class = _SCOPES[_integer("scope", scope, 0, len(_SCOPES) - 1)]
    document = _named(kind, day, cast("list[object]", keys), scope_class)
    feed_type = _FEEDS[_integer("feed type", feed, 0, len(_FEEDS) - 1)]
    number, at, before = _order(feed_type, seq, stamp, previous)
    return Entry(document, feed_type, scope_class, author, number, at, body, before, raw, _hash(raw))


def _named(kind: object, day: object, keys: list[object] | tuple[Key, ...], scope: ScopeClass) -> Document:
    if not isinstance(kind, str) or not kind or "/" in kind:
        _refuse("the kind is no name")
    day = _integer("day", day, 0, 2**16 - 1)
    names: list[Key] = []
    for key in keys:
        if isinstance(key, bool) or not isinstance(key, int | str | bytes):
            _refuse("a key is neither integer, text nor bytes")
        names.append(key)
    document = Document(kind, day, tuple(names))
    if len(order_key(document)) > NAME_BYTES_MAX:
        _refuse(f"a name longer than {NAME_BYTES_MAX} bytes")
    if scope is not ScopeClass.COMPANY and not names:
        _refuse("a scope without a key")
    return document


@functools.lru_cache(maxsize=4096)
def _own_name(document: Document, scope: ScopeClass) -> Document:
    return _named(document.kind, document.day, document.keys, scope)


def _order(feed: FeedType, seq: object, stamp: object, previous: object) -> tuple[int, int, Hash | None]:
    number = _integer("sequence number", seq, 1, SEQ_MAX)
    at = _integer("stamp", stamp, 0, STAMP_MAX)
    if (previous is not None) is not (feed is FeedType.WHOLE and number > 1):
        _refuse("a previous hash stands in whole feeds from number 2 on, and nowhere else")
    if previous is not None and not (isinstance(previous, bytes) and len(previous) == HASH_BYTES):
        _refuse("the previous hash has not 32 bytes")
    return number, at, None if previous is None else Hash(previous)


def _hash(raw: bytes) -> Hash:
    return Hash(hashlib.sha256(raw).digest())


def _integer(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        _refuse(f"the {name} is not an integer from {least} to {most}")
    return value


def _payload_bytes(raw: bytes) -> bytes:
    return raw[_PAYLOAD_AT:-_TAIL_BYTES]


def _signed_bytes(author: Author, payload: bytes) -> bytes:
    # Sig_structure of RFC 9052 §4.4: ["Signature1", protected, external_aad = '', payload]
    return b"\x84\x6aSignature1\x4d" + _ALGORITHM + author + b"\x40" + payload


def _byte_string(content: bytes) -> bytes:
    size = len(content)
    if size < 24:
        return bytes([0x40 | size]) + content
    if size < 0x100:
        return b"\x58" + size.to_bytes(1, "big") + content
    if size < 0x10000:
        return b"\x59" + size.to_bytes(2, "big") + content
    return b"\x5a" + size.to_bytes(4, "big") + content


def _byte_string_head_bytes(encoded: bytes) -> int:
    return {0x58: 2, 0x59: 3, 0x5A: 5}.get(encoded[0] if encoded else 0, 1)


def _refuse(why: str) -> NoReturn:
    raise BadEntry(why)
