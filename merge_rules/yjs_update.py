"""The update format of Yjs (version 1), as far as a flat map of bytes uses it: what an update brings and what it needs.

    update  = count clients, { count structs, client, clock, { struct } }, deletions
    struct  = flags | content, [origin: client, clock] / (parent: 1, "m", key), content
    content = deleted: length / any: 1, 0x74, length, bytes
    deletions = count clients, { client, count ranges, { clock, length } }
    all numbers are LEB128, text is UTF-8 with its length in front

Everything else that Yjs can express (nested types, sequences, subdocuments, skips) is refused, so that rubbish never reaches
the library behind. Pure; does not know pycrdt.

Reference: https://github.com/yjs/yjs/blob/main/INTERNALS.md; encoding: lib0.
"""

from __future__ import annotations

from typing import Final, NoReturn

from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody

ROOT: Final = "m"
"""The one root map."""

CLIENT_MAX: Final = 2**53 - 1
CLOCK_MAX: Final = 2**31 - 1
KEY_BYTES_MAX: Final = 256

_ORIGIN: Final = 0x80
_KEYED: Final = 0x20
_DELETED: Final = 1
_ANY: Final = 8
_BUFFER: Final = 0x74

Clocks = dict[int, int]
"""Client → how many of its clocks, from 0: a state vector."""


@dataclass(frozen=True, slots=True)
class Update:
    """What one update brings and needs."""

    starts: Clocks
    """Of each client whose structs it brings: the first clock."""
    ends: Clocks
    """Of each client whose structs it brings: one more than the last clock."""
    needs: Clocks
    """What must be there before it can be applied."""

    def ready(self, known: Clocks) -> bool:
        """Whether it can be applied to a document with this state vector."""
        return all(count <= known.get(client, 0) for client, count in self.needs.items())

    def grown(self, known: Clocks) -> Clocks:
        """The state vector of a document of ``known`` to which it was applied."""
        return {**known, **{client: max(end, known.get(client, 0)) for client, end in self.ends.items()}}


def parse(encoded: bytes) -> Update:
    """Take an update apart. Raises ``InvalidBody`` for anything but a well-formed update of the one map."""
    reader = _Reader(encoded)
    try:
        return reader.update()
    except IndexError as error:
        raise InvalidBody("a Yjs update that breaks off") from error


def state_vector(clocks: Clocks) -> bytes:
    """The encoding of a state vector, clients ascending."""
    parts = [_number(len(clocks))]
    for client in sorted(clocks):
        parts += [_number(client), _number(clocks[client])]
    return b"".join(parts)


def _number(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(0x80 | (value & 0x7F))
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class _Reader:
    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded
        self.at = 0
        self.starts: Clocks = {}
        self.ends: Clocks = {}
        self.points: Clocks = {}

    def update(self) -> Update:
        for _ in range(self.number(CLIENT_MAX)):
            self.client()
        for _ in range(self.number(CLIENT_MAX)):
            client = self.number(CLIENT_MAX)
            for _ in range(self.number(CLOCK_MAX)):
                clock, length = self.number(CLOCK_MAX), self.number(CLOCK_MAX)
                if not length:
                    _refuse("a deletion of nothing")
                self.points_to(client, clock + length - 1)
        if self.at != len(self.encoded):
            _refuse("bytes left over")
        needs = {client: start for client, start in self.starts.items() if start}
        needs.update({client: count for client, count in self.points.items() if count > self.ends.get(client, 0)})
        return Update(self.starts, self.ends, needs)

    def client(self) -> None:
        structs = self.number(CLOCK_MAX)
        client, clock = self.number(CLIENT_MAX), self.number(CLOCK_MAX)
        if client in self.starts or not structs:
            _refuse("a client twice, or without a struct")
        self.starts[client] = clock
        for _ in range(structs):
            clock += self.struct(client, clock)
            if clock > CLOCK_MAX:
                _refuse("a clock out of bounds")
        self.ends[client] = clock

    def struct(self, client: int, clock: int) -> int:
        flags = self.byte()
        if flags & _ORIGIN:
            origin, at = self.number(CLIENT_MAX), self.number(CLOCK_MAX)
            if origin == client and at >= clock:
                _refuse("a struct that follows a later one")
            self.points_to(origin, at)
        elif (
            not flags & _KEYED
            or self.number(1) != 1
            or self.text() != ROOT
            or len(self.text().encode()) > KEY_BYTES_MAX
        ):
            _refuse("a struct outside the one map, or a key that is too long")
        content = flags & ~(_ORIGIN | _KEYED)
        if content == _DELETED:
            length = self.number(CLOCK_MAX)
            if not length:
                _refuse("a struct of no length")
            return length
        if content != _ANY or self.number(CLOCK_MAX) != 1 or self.byte() != _BUFFER:
            _refuse("content that is not one byte string")
        self.octets()
        return 1

    def points_to(self, client: int, clock: int) -> None:
        if clock >= CLOCK_MAX:
            _refuse("a clock out of bounds")
        self.points[client] = max(clock + 1, self.points.get(client, 0))

    def byte(self) -> int:
        byte = self.encoded[self.at]
        self.at += 1
        return byte

    def number(self, most: int) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 56:
                _refuse("a number out of bounds")
        if value > most or (shift and not byte):
            _refuse("a number out of bounds, or longer than it need be")
        return value

    def octets(self) -> bytes:
        length = self.number(CLOCK_MAX)
        end = self.at + length
        if end > len(self.encoded):
            _refuse("bytes missing")
        taken, self.at = self.encoded[self.at : end], end
        return taken

    def text(self) -> str:
        try:
            return self.octets().decode()
        except UnicodeDecodeError as error:
            raise InvalidBody("text that is not Unicode") from error


def _refuse(why: str) -> NoReturn:
    raise InvalidBody(f"no Yjs update of a map of bytes: {why}")
