"""State in the signature, delta on the wire: an entry as its difference from an older one of the same feed.

    patch   = [base: bstr .size 16, seq, stamp, signature: bstr .size 64, changes, previous: bstr .size 32 / null]
    changes = {0: removed, 1: set, 2: nested}           ; empty parts left out; the body of both is a map
            / [body]                                    ; the whole body, where either is no map
    removed = [* key]                                   ; ascending as in the body
    set     = {* key => value}                          ; new keys and values that are no maps
    nested  = {* key => changes}                        ; maps on both sides

``base`` begins the hash of the older entry. The receiver rebuilds the whole entry, which is deterministic, so the signature
that came along verifies over exactly the bytes that were signed. Sans-I/O.
"""

from __future__ import annotations

from typing import Final, NamedTuple, NoReturn, cast

from gossip.entry import Entry, successor
from gossip.errors import BadEntry
from merge_rules import canonical
from merge_rules.errors import NotCanonical
from peers.keys import SIGNATURE_BYTES, Signature

BASE_BYTES: Final = 16

_REMOVED, _SET, _NESTED = 0, 1, 2

Map = dict[object, object]


def diff(old: Entry, new: Entry) -> bytes | None:
    """The patch that makes ``new`` of ``old``; ``None`` if they are not of one feed or the whole entry is not longer."""
    if (old.feed_id, old.feed, old.scope) != (new.feed_id, new.feed, new.scope):
        return None
    changes = _changes(old.body, new.body)
    fields = [
        old.hash[:BASE_BYTES],
        new.seq,
        new.stamp,
        new.signature,
        [new.body] if changes is None else changes,
        new.previous,
    ]
    try:
        patch = canonical.encode(fields)
    except NotCanonical:  # changes nest deeper than the body that they change
        return None
    return patch if len(patch) < len(new.raw) else None


class Change(NamedTuple):
    """A patch taken apart."""

    base: bytes
    """The first ``BASE_BYTES`` bytes of the hash of the entry that it is for."""
    seq: object
    stamp: object
    signature: Signature
    changes: object
    previous: object


def decode(patch: bytes) -> Change:
    """Take a patch apart. Raises ``BadEntry``."""
    try:
        parts = canonical.decode(patch)
    except NotCanonical as error:
        raise BadEntry(f"a patch: {error}") from error
    if not isinstance(parts, list) or len(cast("list[object]", parts)) != len(Change._fields):
        _refuse(f"it has not {len(Change._fields)} fields")
    before, seq, stamp, signature, changes, previous = cast("list[object]", parts)
    if not (isinstance(before, bytes) and len(before) == BASE_BYTES):
        _refuse(f"its base has not {BASE_BYTES} bytes")
    if not (isinstance(signature, bytes) and len(signature) == SIGNATURE_BYTES):
        _refuse(f"its signature has not {SIGNATURE_BYTES} bytes")
    return Change(before, seq, stamp, Signature(signature), changes, previous)


def apply(old: Entry, change: Change) -> Entry:
    """The entry that a patch makes of ``old``: its signature is not verified. Raises ``BadEntry``.

    ``apply(old, decode(diff(old, new))) == new``.
    """
    if change.base != old.hash[:BASE_BYTES]:
        _refuse("it is for another entry")
    try:
        body = _changed(old.body, change.changes)
        return successor(old, change.seq, change.stamp, body, change.previous, change.signature)
    except NotCanonical as error:
        raise BadEntry(f"a patch: {error}") from error


def _changes(old: object, new: object) -> Map | None:
    """What to change in ``old``; ``None`` unless both are maps whose keys are of one type."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return None
    before, after = cast("Map", old), cast("Map", new)
    if len({type(key) for key in (*before, *after)}) > 1:
        return None
    placed: Map = {}
    nested: Map = {}
    for key, value in after.items():
        if key not in before:
            placed[key] = value
        elif not _same(before[key], value):
            inner = _changes(before[key], value)
            if inner is None:
                placed[key] = value
            else:
                nested[key] = inner
    removed = [key for key in before if key not in after]
    return {name: part for name, part in ((_REMOVED, removed), (_SET, placed), (_NESTED, nested)) if part}


def _same(one: object, other: object) -> bool:
    # In Python True == 1, in CBOR it is not.
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        before, after = cast("Map", one), cast("Map", other)
        return before.keys() == after.keys() and all(_same(value, after[key]) for key, value in before.items())
    if isinstance(one, list):
        first, second = cast("list[object]", one), cast("list[object]", other)
        return len(first) == len(second) and all(map(_same, first, second))
    return one == other


def _changed(old: object, changes: object) -> object:
    if isinstance(changes, list):
        whole = cast("list[object]", changes)
        if len(whole) != 1:
            _refuse("a whole body is one")
        return whole[0]
    if not isinstance(changes, dict) or not isinstance(old, dict):
        _refuse("its changes are for maps")
    parts = cast("Map", changes)
    body = dict(cast("Map", old))
    removed, placed, nested = parts.get(_REMOVED, []), parts.get(_SET, {}), parts.get(_NESTED, {})
    if not (parts.keys() <= {_REMOVED, _SET, _NESTED} and isinstance(removed, list)):
        _refuse("its changes have unknown parts")
    if not isinstance(placed, dict) or not isinstance(nested, dict):
        _refuse("its changes are no maps")
    for key in cast("list[object]", removed):
        if isinstance(key, list | dict) or key not in body:
            _refuse("it removes what is not there")
        del body[key]
    body.update(cast("Map", placed))
    for key, inner in cast("Map", nested).items():
        if key not in body or isinstance(inner, list):
            _refuse("it changes what is not there")
        body[key] = _changed(body[key], inner)
    return body


def _refuse(why: str) -> NoReturn:
    raise BadEntry(f"a patch: {why}")
