"""How much of what was freed the C library keeps for later: little, in a process that runs for months.

glibc gives every thread a heap of its own and keeps what is freed there, so that the heap of each thread that ever read a
catalogue's entries or searched its words stays as large as the largest of these: at a till some twenty megabytes that nothing
used. With one heap for all, and large pieces taken from the system and given back one by one, what is free is free for others.
Python's own small objects are not concerned. Other C libraries keep less by themselves, and are left alone.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

PIECE_BYTES: Final = 16 << 10
"""What is as large as this comes from the system and goes back there."""
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""Of ``malloc.h``."""


def keep_little() -> None:
    """Called once, before a long-running process starts its first thread."""
    if sys.platform != "linux":
        return
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "gnu_get_libc_version"):
        allocator.mallopt(_ARENA_MAX, 1)
        allocator.mallopt(_MMAP_THRESHOLD, PIECE_BYTES)
