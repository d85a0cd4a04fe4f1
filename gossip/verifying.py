"""Signatures verified by a process beside this one: ``peers.verifying_worker`` says why.

For replicas that many others send to, where there is a second core. The process is started with the first batch that is worth
it; if it cannot be, or goes away, the replica verifies by itself.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from typing import Final

import trio

from merge_rules.dataclass import dataclass
from peers.keys import PublicKey
from peers.verifying_worker import encode_request

_COMMAND: Final = (sys.executable, "-m", "peers.verifying_worker")
_log = logging.getLogger("crdt_pos.verifying")


@dataclass(slots=True)
class _Request:
    count: int
    done: trio.Event
    verdicts: bytes | None = None


class Verifying:
    """``run`` it, then ask. Requests are answered in turn; any number may wait."""

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None
        self.process: trio.Process | None = None
        """``None`` until it is needed, and once it is gone."""
        self._broken = False
        self._starting = trio.Lock()
        self._sending = trio.Lock()
        self._waiting: deque[_Request] = deque()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the process until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            if self.process is not None:
                self.process.kill()
                with trio.CancelScope(shield=True):
                    await self.process.wait()

    async def verify(self, items: Sequence[tuple[PublicKey, bytes]]) -> bytes | None:
        """For each pair of a public key and a signature with its message behind it, 1 if the one is by the other.

        ``None`` if the process is not there: then somebody else must tell.
        """
        if not items:
            return b""
        if self.process is None:
            async with self._starting:
                await self._start()
        request = _Request(len(items), trio.Event())
        encoded = encode_request(items)
        # Not cut off in the middle of a request: the next would be read as the rest of it.
        with trio.CancelScope(shield=True):
            async with self._sending:
                process = self.process  # it may have gone while others were sending
                if process is None or process.stdin is None:
                    return None
                self._waiting.append(request)
                try:
                    await process.stdin.send_all(encoded)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self._give_up()
        await request.done.wait()
        return request.verdicts

    async def _start(self) -> None:
        if self.process is not None or self._broken or self._nursery is None:
            return
        try:
            self.process = await trio.lowlevel.open_process(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            self._broken = True
            told = {"event": "verifying_here"}
            _log.warning("Signatures are verified in this process: another cannot be started (%s)", error, extra=told)
            return
        self._nursery.start_soon(self._read, self.process)

    async def _read(self, process: trio.Process) -> None:
        assert process.stdout is not None
        came = b""
        async for part in process.stdout:
            came += part
            while self._waiting and len(came) >= self._waiting[0].count:
                request = self._waiting.popleft()
                request.verdicts, came = came[: request.count], came[request.count :]
                request.done.set()
        self._give_up()

    def _give_up(self) -> None:
        if not self._broken:
            self._broken = True
            told = {"event": "verifying_here"}
            _log.warning("The process that verifies signatures is gone: they are verified in this one", extra=told)
        self.process, gone = None, self.process
        if gone is not None:
            gone.kill()
        while self._waiting:
            self._waiting.popleft().done.set()
