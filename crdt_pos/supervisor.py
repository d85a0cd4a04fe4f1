"""systemd, or whoever else started this process and listens: told that it is ready, still alive, and about to stop.

The protocol of sd_notify(3): datagrams of ``NAME=value`` lines to the socket that the environment names. Without one nothing is
said. Whoever asked for a sign of life within ``WATCHDOG_USEC`` is given one at half of that.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final

NOTIFY_SOCKET: Final = "NOTIFY_SOCKET"
_WATCHDOG_USEC: Final = "WATCHDOG_USEC"
_WATCHDOG_PID: Final = "WATCHDOG_PID"


class Supervisor:
    """Who started this process; ``environment`` says where it listens, if it does."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get(NOTIFY_SOCKET, "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]  # a name of its own, not a file
        usec, pid = environment.get(_WATCHDOG_USEC, ""), environment.get(_WATCHDOG_PID, "")
        ours = not pid or pid == str(os.getpid())
        self.beat_s = int(usec) / 2_000_000 if ours and usec.isascii() and usec.isdigit() and int(usec) else None
        """How often it wants a sign of life, in seconds; ``None``: it does not."""

    def ready(self, status: str) -> None:
        """Everything that this process is for works now."""
        self._say("READY=1", f"STATUS={status}")

    def alive(self, status: str) -> None:
        """A sign of life."""
        self._say("WATCHDOG=1", f"STATUS={status}")

    def stopping(self) -> None:
        """It was told to stop, and does."""
        self._say("STOPPING=1")

    def _say(self, *lines: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(0)  # a listener that is busy is not waited for
            sender.sendto("\n".join(" ".join(line.splitlines()) for line in lines).encode(), self._address)


def is_journal(environment: Mapping[str, str], descriptor: int) -> bool:
    """Whether ``descriptor`` leads to systemd's journal: ``JOURNAL_STREAM`` names its device and inode."""
    named = environment.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return named == f"{status.st_dev}:{status.st_ino}"
