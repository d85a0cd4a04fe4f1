"""A process that does nothing but verify signatures, for a replica that is sent many: ``python -m peers.verifying_worker``.

libsodium lets go of the interpreter's lock while it computes, but takes it again after each signature, and waits for it while
another thread has work: two threads together are hardly faster than one. A process has a lock of its own.

    request = count: u32 ‖ {public key: 32 bytes ‖ length: u32 ‖ signature: 64 bytes ‖ message} × count       ; on stdin
    answer  = one byte for each, 1 if the signature is by the key                                               ; on stdout

Numbers are big-endian. It ends when stdin does, so it never outlives the replica.
"""

from __future__ import annotations

import signal
import struct
import sys
from collections.abc import Sequence
from typing import BinaryIO, Final

from peers.keys import PublicKey, verify_signed

_COUNT: Final = struct.Struct(">I")
_ITEM: Final = struct.Struct(">32sI")


def encode_request(items: Sequence[tuple[PublicKey, bytes]]) -> bytes:
    """The request for pairs of a public key and a signature with its message behind it."""
    parts = [_COUNT.pack(len(items))]
    for public, signed in items:
        parts += (_ITEM.pack(public, len(signed)), signed)
    return b"".join(parts)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until they end."""
    while head := requests.read(_COUNT.size):
        (count,) = _COUNT.unpack(head)
        verdicts = bytearray()
        for _ in range(count):
            public, length = _ITEM.unpack(requests.read(_ITEM.size))
            verdicts.append(verify_signed(PublicKey(public), requests.read(length)))
        answers.write(verdicts)
        answers.flush()


if __name__ == "__main__":
    # Ctrl-C in a terminal reaches the whole group: the replica decides when this ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(sys.stdin.buffer, sys.stdout.buffer)
