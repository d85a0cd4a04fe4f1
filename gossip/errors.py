"""What gossip may raise.

GossipError
├── BadEntry          bytes that are not an entry: not COSE_Sign1, not canonical, a field out of bounds (the peer's fault)
├── LogError          the disk or the log's file
│   ├── LogCorrupt    the file is not an LMDB environment of ours, or a page cannot be read
│   ├── LogForeign    the log belongs to another company or another version
│   └── LogFull       no space left on the disk or in the map; nothing of the transaction was kept
└── ProtocolError     a peer broke PROTOCOL.md; carries the reason code; ends that session and nothing else
"""


class GossipError(Exception):
    """Root of everything that ``gossip`` raises."""


class BadEntry(GossipError):
    """The bytes are not an entry; says why."""


class LogError(GossipError):
    """The log cannot do what was asked."""


class LogCorrupt(LogError):
    """The log's file is damaged. Restore it from a peer: nothing acknowledged elsewhere is lost."""


class LogForeign(LogError):
    """The log was written by another company or an unknown version."""


class LogFull(LogError):
    """No space left; nothing of this transaction was kept."""
