"""Why a session ended: the codes of BYE in PROTOCOL.md. A code keeps its meaning for ever."""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """The reason code of BYE."""

    DONE = 0
    """Nothing is wrong: the replica stops, or wants no more."""
    MALFORMED = 1
    """Bytes that are not a message: not deterministic CBOR, unknown type, a field out of bounds."""
    UNEXPECTED = 2
    """A message that is not legal in this state."""
    TOO_LARGE = 3
    """A frame longer than ``frame_bytes_max``."""
    TOO_MUCH = 4
    """More outstanding than a limit allows: batches, wants, questions, ranges."""
    VERSION = 5
    """No common protocol version."""
    COMPANY = 6
    """The peer belongs to another company."""
    IDENTITY = 7
    """The author in HELLO is not the one in the certificate of the TLS session."""
    NOT_ENROLLED = 8
    """The certificate is not of this company, or the roster does not know it."""
    REVOKED = 9
    """The roster has revoked the peer."""
    SELF = 10
    """The peer is this replica, or a copy of its disk."""
    SCOPE = 11
    """An entry or a range of a scope that is not shared."""
    TIMEOUT = 12
    """The handshake took too long, or nothing was heard."""
    BAD_ENTRY = 13
    """An entry that does not decode, or whose signature is not its author's."""
    DUPLICATE = 14
    """There is another session with this peer already."""
    OTHER = 254
    """A code that this version does not know. Never sent."""
    LOST = 255
    """The connection went away without BYE. Never sent."""

    @classmethod
    def of(cls, code: int) -> Reason:
        """The reason of a received code; ``OTHER`` for one that this version does not know."""
        try:
            reason = cls(code)
        except ValueError:
            return cls.OTHER
        return cls.OTHER if reason is cls.LOST else reason
