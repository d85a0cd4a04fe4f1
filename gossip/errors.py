"""What gossip may raise.

GossipError
├── BadEntry          bytes that are not an entry: not COSE_Sign1, not canonical, a field out of bounds (the peer's fault)
├── LogError          the disk or the log's file
│   ├── LogCorrupt    the file is not an LMDB environment of ours, or a page cannot be read
│   │   └── EntryLost an entry of our own that must be known before the next is signed was damaged, and is not back yet
│   ├── LogForeign    the log belongs to another company or another version
│   └── LogFull       no space left on the disk or in the map; nothing of the transaction was kept
├── TransportError    the network, or who is at its other end; ends that session and nothing else
│   ├── CannotListen  the address or port cannot be had (a person's fault)
│   ├── PeerUnreachable   nothing answers there, or not in time
│   ├── PeerRefused   the handshake failed: another company, no certificate, not TLS 1.3; the text says which
│   └── SessionCut    the connection broke without a goodbye
└── ProtocolError     a peer broke PROTOCOL.md; carries the reason code; ends that session and nothing else
"""

from gossip.reasons import Reason


class GossipError(Exception):
    """Root of everything that ``gossip`` raises."""


class BadEntry(GossipError):
    """The bytes are not an entry; says why."""


class LogError(GossipError):
    """The log cannot do what was asked."""


class LogCorrupt(LogError):
    """The log's file is damaged. Restore it from a peer: nothing acknowledged elsewhere is lost."""

    def __str__(self) -> str:
        return f"{super().__str__()}; nothing in it was changed, and what peers hold comes back to a newly enrolled replica"


class EntryLost(LogCorrupt):
    """An entry of this replica's own is damaged on the disk here, and no peer has brought it back yet. Wait until one has."""

    def __str__(self) -> str:
        return str(self.args[0])


class LogForeign(LogError):
    """The log was written by another company or an unknown version."""


class LogFull(LogError):
    """No space left; nothing of this transaction was kept."""


class TransportError(GossipError):
    """The network, or who is at its other end; says what happened."""


class CannotListen(TransportError):
    """The address or port cannot be had; says why."""


class PeerUnreachable(TransportError):
    """Nothing answers there, or not in time; try again later."""


class PeerRefused(TransportError):
    """One side does not take the other's certificate; the text says why. Trying again does not help."""


class SessionCut(TransportError):
    """The connection broke without a goodbye; try again."""


class ProtocolError(GossipError):
    """A peer broke PROTOCOL.md: its session ends with ``reason``, all others go on."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(f"{reason.name}: {why}")
        self.reason = reason
        self.why = why
