"""What a running replica gives back of the memory that it no longer uses."""

from __future__ import annotations

import subprocess
import sys

import pytest

FREED_BYTES = 20 << 20
# As after a search: much is freed, and something small that came later is kept.
_SHOW = """
import resource, sys, threading
from crdt_pos.allocator import PIECE_BYTES, keep_little

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

def search():
    pieces = [b"x" * (2 * PIECE_BYTES) for _ in range(int(sys.argv[1]) // (2 * PIECE_BYTES))]
    kept.append(b"x" * (PIECE_BYTES // 8))
    rose.append(resident() - before)

keep_little()
kept, rose = [], []
before = resident()
thread = threading.Thread(target=search)
thread.start()
thread.join()
print(rose[0], resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own manners")
def test_what_a_thread_has_freed_goes_back_to_the_system_though_something_later_is_kept() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SHOW, str(FREED_BYTES)], capture_output=True, text=True, check=True, timeout=60
    )
    rose, left = map(int, done.stdout.split())
    assert rose > FREED_BYTES // 2
    assert left < FREED_BYTES // 4
