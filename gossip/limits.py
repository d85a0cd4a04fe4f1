"""The bounds of one session: nothing that a peer sends or asks for is without one."""

from __future__ import annotations

from merge_rules.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in milliseconds. Those marked † stand in PROTOCOL.md and bind both sides."""

    handshake_ms_max: int = 10_000
    """From the first byte to the peer's CURSOR."""
    quiet_ms_max: int = 15_000
    """After so long without a word from the peer: PING."""
    silence_ms_max: int = 45_000
    """After so long: the end."""
    crawl_bytes_min: int = 1 << 16
    """Of a message that takes longer than ``silence_ms_max`` so much must come in that time: else it crawls on purpose."""
    pings_max: int = 64
    """PINGs that are answered within ``silence_ms_max``: an honest peer sends three."""
    compared_max: int = 1 << 18
    """Feeds looked at for the peer's comparisons within ``compare_ms_max``, besides eight times those that are shared. A look
    takes about 10 µs, which the other sessions wait for."""
    compare_ms_max: int = 60_000
    window_bytes_max: int = 1 << 20
    """† A batch may begin while fewer bytes than this are unacknowledged; apart for answers to WANT."""
    window_batches_max: int = 64
    """† Unacknowledged batches; apart for answers to WANT."""
    batch_bytes_max: int = 1 << 18
    """Entries in a batch, unless a single one is larger."""
    rebuilt_bytes_max: int = 32 << 20
    """† Entries of one batch, patches rebuilt."""
    wants_max: int = 8
    """† WANTs that are not answered yet."""
    want_feeds_max: int = 256
    """Feeds in one WANT."""
    questions_max: int = 64
    """† ASKs that are not answered yet."""
    held_bytes_max: int = 4 << 20
    """Entries remembered as bases of patches, by what they take in memory: seven thousand of a day with three products."""
