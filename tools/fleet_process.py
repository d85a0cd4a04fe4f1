"""What a process and its children have used, as Linux tells it in /proc; 0 where it does not."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_PARENT, _USER, _SYSTEM = 1, 11, 12
"""Fields of ``stat`` after the name in brackets."""


def cpu_s(process: int) -> float:
    """Processor seconds so far of a process, its threads and its living children."""
    ticks = sum(int(fields[_USER]) + int(fields[_SYSTEM]) for fields in _family(process).values())
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_bytes(process: int) -> int:
    """The most memory that it, and each of its living children, has held so far (VmHWM), added up."""
    total = 0
    for one in _family(process):
        with contextlib.suppress(OSError):
            for line in (_PROC / str(one) / "status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1]) * 1024
    return total


def _family(process: int) -> dict[int, list[str]]:
    stats: dict[int, list[str]] = {}
    if _PROC.is_dir():
        for one in _PROC.iterdir():
            if one.name.isdigit():
                with contextlib.suppress(OSError):
                    stats[int(one.name)] = (one / "stat").read_text().rpartition(") ")[2].split()
    found = {process: stats[process]} if process in stats else {}
    grown = True
    while grown:
        more = {one: fields for one, fields in stats.items() if one not in found and int(fields[_PARENT]) in found}
        found |= more
        grown = bool(more)
    return found
