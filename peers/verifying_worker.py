"""A process that does nothing but verify signatures, for a replica that is sent many.

libsodium lets go of the interpreter's lock while it computes, but takes it again after each signature, and waits for it while
another thread has work: two threads together are hardly faster than one. A process has a lock of its own.

    request = number: u64 ‖ count: u32 ‖ {public key: 32 bytes ‖ length: u32 ‖ signature: 64 bytes ‖ message} × count  ; stdin
    answer  = number: u64 ‖ count: u32 ‖ one byte for each, 1 if the signature is by the key, else 0                   ; stdout

Numbers are big-endian. It ends when stdin does, so it never outlives the replica.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from collections.abc import Sequence
from typing import BinaryIO, Final

from peers.keys import PublicKey, verify_signed

HEAD: Final = struct.Struct(">QI")
"""Number and count. An answer has those of its request."""
VERDICTS: Final = frozenset((0, 1))
_ITEM: Final = struct.Struct(">32sI")


def encode_request(number: int, items: Sequence[tuple[PublicKey, bytes]]) -> bytes:
    """The request for pairs of a public key and a signature with its message behind it."""
    parts = [HEAD.pack(number, len(items))]
    for public, signed in items:
        parts += (_ITEM.pack(public, len(signed)), signed)
    return b"".join(parts)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until they end."""
    while head := requests.read(HEAD.size):
        _, count = HEAD.unpack(head)
        answer = bytearray(head)
        for _ in range(count):
            public, length = _ITEM.unpack(requests.read(_ITEM.size))
            answer.append(verify_signed(PublicKey(public), requests.read(length)))
        answers.write(answer)
        answers.flush()


def main() -> None:
    """Serve on stdin and stdout. Whatever else would write to stdout writes to stderr instead."""
    # Ctrl-C in a terminal reaches the whole group: the replica decides when this ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)
