"""Frames: the messages of PROTOCOL.md as bytes.

A frame is a 4-byte big-endian length and a deterministic CBOR array ``[type, field, …]``. Everything is bounded; bytes that
break a bound raise ``ProtocolError`` with the reason code that the session then ends with. Sans-I/O.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NoReturn, cast

from gossip.document import Scope, month_of
from gossip.entry import ENTRY_BYTES_MAX, HASH_BYTES, SEQ_MAX, Hash, Head
from gossip.errors import ProtocolError
from gossip.log import Fingerprint
from gossip.messages import (
    CERTIFICATE_BYTES_MAX,
    CHAIN_MAX,
    CODES,
    COMPANY_BYTES_MAX,
    CONTENT_BYTES_MAX,
    DATABASE_BYTES,
    FEATURES_MAX,
    FEED_KEY_BYTES_MAX,
    FRAME_BYTES_MAX,
    HEADS_MAX,
    ITEMS_MAX,
    LENGTH_BYTES,
    NUMBER_MAX,
    RANGE_PARTS_MAX,
    RANGE_RUNS_MAX,
    SCOPE_BYTES_MAX,
    SCOPES_MAX,
    TEXT_BYTES_MAX,
    TOPIC_BYTES_MAX,
    VERSION_MAX,
    Admitted,
    Announce,
    Announcement,
    Answer,
    Ask,
    Bye,
    Cursor,
    Durable,
    Entries,
    Fingerprints,
    Hello,
    Listed,
    Message,
    Named,
    Part,
    Patch,
    Ping,
    Pong,
    Ranges,
    Refused,
    Run,
    Sampled,
    Sketched,
    Want,
    Wanted,
)
from gossip.reasons import Reason
from gossip.sketch import CELL_BYTES, CELLS_MAX, CHOICES, ID_BYTES, SALT_BYTES, STRATA_BYTES
from merge_rules import canonical
from merge_rules.errors import NotCanonical
from merge_rules.lattice import AUTHOR_BYTES, Author

NAME_FIELDS_MAX: Final = 64
IDS_BYTES_MAX: Final = ID_BYTES * CELLS_MAX
_SAMPLED, _SKETCHED = 0, 1


def encode(message: Message) -> bytes:
    """The frame of a message, length included."""
    content = canonical.encode([CODES[type(message)], *_fields(message)])
    assert len(content) <= FRAME_BYTES_MAX, "our own message is too large"
    return len(content).to_bytes(LENGTH_BYTES, "big") + content


class Frames:
    """Cuts a stream of bytes into messages. Holds at most one frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def empty(self) -> bool:
        """Whether no message has begun and is not here yet."""
        return not self._buffer

    def feed(self, received: bytes) -> Iterator[tuple[Message, int]]:
        """Add bytes and yield the messages that are complete, each with the bytes of its frame.

        Raises ``ProtocolError``; then the stream is of no use.
        """
        size = len(received) - LENGTH_BYTES
        if not self._buffer and 0 < size <= FRAME_BYTES_MAX and int.from_bytes(received[:LENGTH_BYTES], "big") == size:
            yield decode(bytes(received[LENGTH_BYTES:])), len(received)  # one message and no more: nothing is kept
            return
        self._buffer += received
        at = 0
        try:
            while len(self._buffer) - at >= LENGTH_BYTES:
                size = int.from_bytes(self._buffer[at : at + LENGTH_BYTES], "big")
                if size > FRAME_BYTES_MAX:
                    raise ProtocolError(Reason.TOO_LARGE, f"a frame of {size} bytes")
                end = at + LENGTH_BYTES + size
                if len(self._buffer) < end:
                    break
                content = bytes(self._buffer[at + LENGTH_BYTES : end])
                at = end
                yield decode(content), LENGTH_BYTES + size
        finally:
            del self._buffer[:at]


def decode(content: bytes) -> Message:
    """The message in a frame's content (without its length). Raises ``ProtocolError``."""
    try:
        value = canonical.decode(content)
    except NotCanonical as error:
        raise ProtocolError(Reason.MALFORMED, str(error)) from error
    fields = _array("message", value, 1, 64)
    code = _integer("type", fields[0], 0, len(_DECODERS) - 1)
    least, most, decoder = _DECODERS[code]
    if len(fields) - 1 < least or len(fields) - 1 > most:
        _refuse(f"message {code} with {len(fields) - 1} fields")
    return decoder(fields[1:])


# Encoding


def _fields(message: Message) -> Sequence[object]:
    match message:
        case Bye(reason, text):
            return [reason, text]
        case Hello():
            return [
                message.version_min,
                message.version_max,
                message.company,
                message.author,
                message.database,
                message.last_arrival,
                sorted(message.scopes),
                sorted(message.features),
                list(message.chain),
            ]
        case Admitted(scopes):
            return [sorted(scopes)]
        case Cursor(database, arrival):
            return [database, arrival]
        case Entries(batch, upto, answers, items):
            return [batch, upto, answers, [_item(item) for item in items]]
        case Announce(batch, upto, announcements):
            return [batch, upto, [[item.feed_key, item.head.seq, item.head.hash] for item in announcements]]
        case Want(number, feeds):
            return [number, [[feed.feed_key, feed.after_seq] for feed in feeds]]
        case Durable(batch, refused):
            return [batch, [[item.hash, item.why] for item in refused]]
        case Fingerprints(fingerprints):
            return [[_fingerprint_fields(fingerprint) for fingerprint in fingerprints]]
        case Ranges(runs):
            return [[[run.scope, run.low, [_part_fields(part) for part in run.parts]] for run in runs]]
        case Ask(id_, topic, content):
            return [id_, topic, content]
        case Answer(id_, answer):
            return [id_, answer]
        case Ping(number) | Pong(number):
            return [number]


def _item(item: bytes | Patch) -> object:
    return [item.feed_key, item.changes] if isinstance(item, Patch) else item


def _fingerprint_fields(fingerprint: Fingerprint) -> list[object]:
    return [fingerprint.value.to_bytes(32, "big"), fingerprint.feeds]


def _part_fields(part: Part) -> list[object]:
    match part.content:
        case Fingerprint():
            return [part.high, *_fingerprint_fields(part.content)]
        case Sampled(fingerprint, strata):
            return [part.high, *_fingerprint_fields(fingerprint), _SAMPLED, strata]
        case Sketched(fingerprint, cells):
            return [part.high, *_fingerprint_fields(fingerprint), _SKETCHED, cells]
        case Named(salt, ids):
            return [part.high, salt, b"".join(id_.to_bytes(ID_BYTES, "big") for id_ in ids)]
        case listed:
            return [part.high, [[feed.feed_key, [[head.seq, head.hash] for head in feed.heads]] for feed in listed]]


# Decoding


def _bye(fields: list[object]) -> Bye:
    return Bye(_integer("reason", fields[0], 0, 2**16 - 1), _text("text", fields[1], TEXT_BYTES_MAX))


def _hello(fields: list[object]) -> Hello:
    low = _integer("version", fields[0], 1, VERSION_MAX)
    return Hello(
        low,
        _integer("version", fields[1], low, VERSION_MAX),
        _bytes("company", fields[2], 1, COMPANY_BYTES_MAX),
        Author(_bytes("author", fields[3], AUTHOR_BYTES, AUTHOR_BYTES)),
        _bytes("database", fields[4], DATABASE_BYTES, DATABASE_BYTES),
        _number("arrival", fields[5]),
        _scopes(fields[6]),
        frozenset(_names("features", fields[7], FEATURES_MAX)),
        tuple(
            _bytes("certificate", certificate, 1, CERTIFICATE_BYTES_MAX)
            for certificate in _array("chain", fields[8], 0, CHAIN_MAX)
        ),
    )


def _admitted(fields: list[object]) -> Admitted:
    return Admitted(_scopes(fields[0]))


def _cursor(fields: list[object]) -> Cursor:
    return Cursor(_bytes("database", fields[0], DATABASE_BYTES, DATABASE_BYTES), _number("arrival", fields[1]))


def _entries(fields: list[object]) -> Entries:
    return Entries(
        _number("batch", fields[0]),
        _number("arrival", fields[1]),
        _number("want", fields[2]),
        tuple(_entry_item(item) for item in _array("entries", fields[3], 0, ITEMS_MAX)),
    )


def _entry_item(item: object) -> bytes | Patch:
    if isinstance(item, bytes):
        return _bytes("entry", item, 1, ENTRY_BYTES_MAX)
    key, changes = _array("patch", item, 2, 2)
    return Patch(_key(key), _bytes("patch", changes, 1, ENTRY_BYTES_MAX))


def _announce(fields: list[object]) -> Announce:
    items: list[Announcement] = []
    for item in _array("announcements", fields[2], 0, ITEMS_MAX):
        key, seq, hash_ = _array("announcement", item, 3, 3)
        items.append(Announcement(_key(key), _head([seq, hash_])))
    return Announce(_number("batch", fields[0]), _number("arrival", fields[1]), tuple(items))


def _want(fields: list[object]) -> Want:
    feeds: list[Wanted] = []
    for item in _array("feeds", fields[1], 1, ITEMS_MAX):
        key, seq = _array("feed", item, 2, 2)
        feeds.append(Wanted(_key(key), _integer("sequence number", seq, 0, SEQ_MAX)))
    return Want(_number("want", fields[0]), tuple(feeds))


def _durable(fields: list[object]) -> Durable:
    refused: list[Refused] = []
    for item in _array("refused", fields[1], 0, ITEMS_MAX):
        hash_, why = _array("refused", item, 2, 2)
        refused.append(Refused(_hash(hash_), _text("why", why, TEXT_BYTES_MAX)))
    return Durable(_number("batch", fields[0]), tuple(refused))


def _fingerprints(fields: list[object]) -> Fingerprints:
    return Fingerprints(
        tuple(_fingerprint(_array("fingerprint", item, 2, 2)) for item in _array("scopes", fields[0], 0, SCOPES_MAX))
    )


def _ranges(fields: list[object]) -> Ranges:
    runs: list[Run] = []
    for item in _array("runs", fields[0], 0, RANGE_RUNS_MAX):
        scope, low, parts = _array("run", item, 3, 3)
        low = _bytes("bound", low, 0, FEED_KEY_BYTES_MAX)
        runs.append(Run(_integer("scope", scope, 0, SCOPES_MAX - 1), low, _parts(low, parts)))
    return Ranges(tuple(runs))


def _parts(low: bytes, value: object) -> tuple[Part, ...]:
    parts: list[Part] = []
    bound: bytes | None = low
    for item in _array("parts", value, 1, RANGE_PARTS_MAX):
        fields = _array("part", item, 2, 5)
        high = None if fields[0] is None else _bytes("bound", fields[0], 0, FEED_KEY_BYTES_MAX)
        if bound is None or (high is not None and high <= bound):
            _refuse("ranges out of order")
        match len(fields):
            case 2:
                parts.append(Part(high, _listed(bound, high, fields[1])))
            case 3 if isinstance(fields[2], bytes):
                parts.append(Part(high, _named(fields[1:])))
            case 3:
                parts.append(Part(high, _fingerprint(fields[1:])))
            case 5:
                parts.append(Part(high, _coded(fields[1:])))
            case _:
                _refuse("a part of 4 fields")
        bound = high
    return tuple(parts)


def _named(fields: list[object]) -> Named:
    salt, ids = _bytes("salt", fields[0], SALT_BYTES, SALT_BYTES), _bytes("ids", fields[1], ID_BYTES, IDS_BYTES_MAX)
    if len(ids) % ID_BYTES:
        _refuse("ids that are not whole")
    return Named(salt, tuple(int.from_bytes(ids[at : at + ID_BYTES], "big") for at in range(0, len(ids), ID_BYTES)))


def _coded(fields: list[object]) -> Sampled | Sketched:
    fingerprint = _fingerprint(fields[:2])
    if _integer("coding", fields[2], _SAMPLED, _SKETCHED) == _SAMPLED:
        return Sampled(fingerprint, _bytes("strata", fields[3], STRATA_BYTES, STRATA_BYTES))
    cells = _bytes("cells", fields[3], CHOICES * CELL_BYTES, CELLS_MAX * CELL_BYTES)
    if len(cells) % (CHOICES * CELL_BYTES):
        _refuse("cells that are not whole")
    return Sketched(fingerprint, cells)


def _listed(low: bytes, high: bytes | None, value: object) -> tuple[Listed, ...]:
    listed: list[Listed] = []
    for item in _array("feeds", value, 0, ITEMS_MAX):
        key, heads = _array("feed", item, 2, 2)
        key = _key(key)
        if key < low or (high is not None and key >= high) or (listed and key <= listed[-1].feed_key):
            _refuse("a list of feeds out of order or outside its range")
        listed.append(Listed(key, tuple(_head(head) for head in _array("heads", heads, 1, HEADS_MAX))))
    return tuple(listed)


def _ask(fields: list[object]) -> Ask:
    topic = _text("topic", fields[1], TOPIC_BYTES_MAX)
    return Ask(_number("question", fields[0]), topic, _bytes("content", fields[2], 0, CONTENT_BYTES_MAX))


def _answer(fields: list[object]) -> Answer:
    content = None if fields[1] is None else _bytes("content", fields[1], 0, CONTENT_BYTES_MAX)
    return Answer(_number("question", fields[0]), content)


def _ping(fields: list[object]) -> Ping:
    return Ping(_number("ping", fields[0]))


def _pong(fields: list[object]) -> Pong:
    return Pong(_number("ping", fields[0]))


_DECODERS: Final[tuple[tuple[int, int, Callable[[list[object]], Message]], ...]] = (
    # Fields at least and at most. Later versions may append fields to BYE and HELLO, which every version must understand.
    (2, 63, _bye),
    (9, 63, _hello),
    (1, 1, _admitted),
    (2, 2, _cursor),
    (4, 4, _entries),
    (3, 3, _announce),
    (2, 2, _want),
    (2, 2, _durable),
    (1, 1, _fingerprints),
    (1, 1, _ranges),
    (3, 3, _ask),
    (2, 2, _answer),
    (1, 1, _ping),
    (1, 1, _pong),
)


def _array(name: str, value: object, least: int, most: int) -> list[object]:
    if not isinstance(value, list):
        _refuse(f"{name} is not an array")
    items = cast("list[object]", value)
    if not least <= len(items) <= most:
        _refuse(f"{name} is an array of {len(items)}, not {least} to {most}")
    return items


def _integer(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        _refuse(f"{name} is not an integer from {least} to {most}")
    return value


def _number(name: str, value: object) -> int:
    return _integer(name, value, 0, NUMBER_MAX)


def _bytes(name: str, value: object, least: int, most: int) -> bytes:
    if not isinstance(value, bytes) or not least <= len(value) <= most:
        _refuse(f"{name} is not a byte string of {least} to {most}")
    return value


def _text(name: str, value: object, most: int) -> str:
    if not isinstance(value, str) or len(value.encode()) > most:
        _refuse(f"{name} is not text of at most {most} bytes")
    return value


def _names(name: str, value: object, most: int) -> list[str]:
    names = [_text(name, item, SCOPE_BYTES_MAX) for item in _array(name, value, 0, most)]
    if any(later <= earlier for earlier, later in itertools.pairwise(names)):
        _refuse(f"{name} are not in ascending order")
    return names


def _scopes(value: object) -> frozenset[Scope]:
    return frozenset(Scope(name) for name in _names("scopes", value, SCOPES_MAX))


def _key(value: object) -> bytes:
    key = _bytes("feed key", value, AUTHOR_BYTES, FEED_KEY_BYTES_MAX)
    if why := _fault_of_name(key[:-AUTHOR_BYTES]):
        _refuse(why)
    return key


@functools.lru_cache(maxsize=4096)
def _fault_of_name(named: bytes) -> str:
    """What is wrong with a document's order key; empty if nothing is. The same documents stand in key after key."""
    try:
        name = canonical.decode(named[2:])
    except NotCanonical:
        return "a feed key that names no document"
    fields = cast("list[object]", name) if isinstance(name, list) else []
    if not 2 <= len(fields) <= NAME_FIELDS_MAX:
        return "a feed key that names no document"
    day, kind, *keys = fields
    if not isinstance(kind, str) or any(
        isinstance(key, bool) or not isinstance(key, int | str | bytes) for key in keys
    ):
        return "a feed key that names no document"
    if isinstance(day, bool) or not isinstance(day, int) or not 0 <= day < 2**16:
        return "a feed key whose day is none"
    return "" if named[:2] == month_of(day).to_bytes(2, "big") else "a feed key whose month is not its day's"


def _hash(value: object) -> Hash:
    return Hash(_bytes("hash", value, HASH_BYTES, HASH_BYTES))


def _head(value: object) -> Head:
    seq, hash_ = _array("head", value, 2, 2)
    return Head(_integer("sequence number", seq, 1, SEQ_MAX), _hash(hash_))


def _fingerprint(fields: list[object]) -> Fingerprint:
    value = _bytes("fingerprint", fields[0], 32, 32)
    return Fingerprint(int.from_bytes(value, "big"), _number("feeds", fields[1]))


def _refuse(why: str) -> NoReturn:
    raise ProtocolError(Reason.MALFORMED, why)
