"""Whether the disk of a replica has room for what may come: looked at once a minute, said once.

A log that is written anew, as after an erasure, needs as much room again as it has: less than that, and a reserve, is low.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

from crdt_pos.folder import Folder

EVERY_S: Final = 60.0
RESERVE_BYTES: Final = 256_000_000
_MB: Final = 1_000_000
_BLOCK_BYTES: Final = 512
_log = logging.getLogger("crdt_pos.disk")


def free_bytes(path: Path) -> int:
    """What a process without privileges can still write on the disk of ``path``."""
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize


def used_bytes(path: Path) -> int:
    """What the files in ``path`` take of the disk: a log's file has holes."""
    return sum(one.stat().st_blocks * _BLOCK_BYTES for one in path.iterdir() if one.is_file())


class DiskRoom:
    """Of the disk that a replica's folder lies on."""

    def __init__(self, folder: Folder, reserve_bytes: int = RESERVE_BYTES) -> None:
        self._folder = folder
        self._reserve_bytes = reserve_bytes
        self.trouble = ""
        """In a sentence; empty while there is room."""

    def look(self) -> None:
        """Look once. A disk that cannot be asked says nothing."""
        try:
            free, wanted = free_bytes(self._folder.path), used_bytes(self._folder.log_path) + self._reserve_bytes
        except OSError:
            return
        before, self.trouble = self.trouble, ""
        if free < wanted:
            self.trouble = (
                f"The disk is low: {free // _MB} MB are free, and {wanted // _MB} MB should be. "
                "It sells until none are left; make room."
            )
        told = {"free_bytes": free, "wanted_bytes": wanted}
        if self.trouble and not before:
            _log.warning("%s", self.trouble, extra={"event": "disk_low", **told})
        elif before and not self.trouble:
            _log.warning("the disk has room again", extra={"event": "disk_has_room", **told})
