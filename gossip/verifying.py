"""Signatures verified by a process beside this one: ``peers.verifying_worker`` says why.

For replicas that many others send to, where there is a second core. The process is started with the first batch that is worth
it; if it cannot be, goes away, or answers anything but what it was asked, the replica verifies by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

from merge_rules.dataclass import dataclass
from peers import verifying_worker
from peers.keys import PublicKey
from peers.verifying_worker import HEAD, VERDICTS, encode_request

# -P, and the folder where this process's own packages are: one in the current folder must not say whose signatures are good.
_BEGIN: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from peers import verifying_worker; verifying_worker.main()"
)
_COMMAND: Final = (sys.executable, "-P", "-c", _BEGIN, str(Path(verifying_worker.__file__).resolve().parents[1]))
PATIENCE_S: Final = 60.0
"""For one answer; a thousand signatures take 0.1 s."""
PIPE_BYTES: Final = 1 << 20
_log = logging.getLogger("crdt_pos.verifying")


@dataclass(slots=True)
class _Request:
    process: trio.Process
    number: int
    count: int
    done: trio.Event
    verdicts: bytes | None = None


class Verifying:
    """``run`` it, then ask. Requests are answered in turn; any number may wait."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._nursery: trio.Nursery | None = None
        self.process: trio.Process | None = None
        """``None`` until it is needed, and once it is gone."""
        self._broken = False
        self._starting = trio.Lock()
        self._sending = trio.Lock()
        self._asked = 0
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

    async def verify(self, items: Sequence[tuple[PublicKey, bytes]]) -> bytes | None:
        """For each pair of a public key and a signature with its message behind it, 1 if the one is by the other.

        ``None`` if the process is not there: then somebody else must tell.
        """
        if not items:
            return b""
        if self.process is None:
            async with self._starting:
                await self._start()
        request = await self._ask(items)
        if request is None:
            return None
        with trio.move_on_after(self._patience_s) as patience:
            await request.done.wait()
        if patience.cancelled_caught:
            self._give_up(request.process)
        return request.verdicts

    async def _ask(self, items: Sequence[tuple[PublicKey, bytes]]) -> _Request | None:
        # Not cut off in the middle of a request: the next would be read as the rest of it.
        with trio.CancelScope(shield=True):
            async with self._sending:
                process = self.process  # it may have gone while others were sending
                if process is None:
                    return None
                assert process.stdin is not None
                self._asked += 1
                request = _Request(process, self._asked, len(items), trio.Event())
                self._waiting.append(request)
                with trio.move_on_after(self._patience_s) as patience:
                    try:
                        await process.stdin.send_all(encode_request(request.number, items))
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        self._give_up(process)
                if patience.cancelled_caught:
                    self._give_up(process)
                return request
        return None

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
        self._nursery.start_soon(self._attend, self.process)
        _widen(self.process)

    async def _attend(self, process: trio.Process) -> None:
        """Hear the process's answers, and see it to its end."""
        try:
            await self._hear(process)
        finally:
            self._give_up(process)
            with trio.CancelScope(shield=True):
                await process.wait()
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        await pipe.aclose()

    async def _hear(self, process: trio.Process) -> None:
        """Returns once it has ended, or answers what it was not asked."""
        assert process.stdout is not None
        came = b""
        async for part in process.stdout:
            came += part
            while len(came) >= HEAD.size:
                number, count = HEAD.unpack_from(came)
                if not self._waiting or (number, count) != (self._waiting[0].number, self._waiting[0].count):
                    return
                if len(came) < HEAD.size + count:
                    break
                verdicts, came = came[HEAD.size : HEAD.size + count], came[HEAD.size + count :]
                if not VERDICTS.issuperset(verdicts):
                    return
                request = self._waiting.popleft()
                request.verdicts = verdicts
                request.done.set()

    def _give_up(self, process: trio.Process) -> None:
        process.kill()  # also frees whoever waits for it to take more
        self.process = None
        if not self._broken and self._nursery is not None:
            self._broken = True
            told = {"event": "verifying_here"}
            _log.warning("The process that verifies signatures is gone: they are verified in this one", extra=told)
        while self._waiting:
            self._waiting.popleft().done.set()


def _widen(process: trio.Process) -> None:
    # So that it has work while this process is at its log; where that is not to be had, it waits now and then.
    if isinstance(process.stdin, trio.lowlevel.FdStream) and hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(process.stdin.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
