"""The local socket: how a screen, a script or a test speaks to the replica that runs beside it.

A Unix socket ``local.sock`` in the replica's folder, for its owner only (mode 0600). Both sides send lines of JSON, UTF-8, at
most ``LINE_BYTES_MAX`` each; answers come in the order of the requests. Numbers are integers: money in minor units, dates as
``2026-11-22``, accounts in hexadecimal.

    → {"version": 1, "do": "lookup", "text": "milk"}
    ← {"version": 1, "ok": true, "products": [...]}
    ← {"version": 1, "ok": false, "error": "No product has this code.", "kind": "UnknownProduct"}

A request may carry an ``id``, which its answer repeats. A bad line is answered like a refused request; only a line that is
too long ends its connection. ``docs/local-socket.md`` lists every request with its fields and its answer.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import stat
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, cast

from crdt_pos.cli import Refused, sentence

if TYPE_CHECKING:
    import trio

VERSION: Final = 1
SOCKET_NAME: Final = "local.sock"
RUNNING: Final = "running"
"""Held by the process that runs the replica, with its id in it; see ``crdt_pos.folder``."""
LINE_BYTES_MAX: Final = 1 << 20
CONNECTIONS_MAX: Final = 64
CALL_TIMEOUT_S: Final = 30
STARTING_PATIENCE_S: Final = 3.0
"""How long a process that holds the folder may take until it answers."""
_LOOK_AGAIN_S: Final = 0.05
_PATH_BYTES_MAX: Final = 100  # sun_path has 108 bytes on Linux, 104 elsewhere
_READ_BYTES: Final = 1 << 16

Message = dict[str, Any]
"""A JSON object: what a line holds."""

Command = Callable[[Message], Awaitable[Message]]
"""Answers one request: returns the fields of the answer, or raises an error that ``sentence`` knows."""


class TaskStatus(Protocol):
    """What ``trio.Nursery.start`` hands to the task that it waits for."""

    def started(self) -> None:
        """The task is ready."""
        ...


_log = logging.getLogger(__name__)


class LocalRefused(Refused):
    """The replica answered no. ``answer`` holds all fields of its answer, ``kind`` the name of the reason."""

    def __init__(self, answer: Message) -> None:
        super().__init__(str(answer.get("error") or "The replica refused without saying why."))
        self.answer = answer
        self.kind = str(answer.get("kind", ""))


class NotRunning(Refused):
    """No replica runs in this folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"No till is running in {folder}. Start it with: crdt-pos till run --at {folder}")


class ConnectionLost(Refused):
    """The replica stopped before it answered. A sale that was on its way may be in the journal: look before repeating it."""


class AlreadyServed(Refused):
    """Another process answers on this folder's socket."""


class Declined(Refused):
    """Raised by a command: the reason in one sentence, and further fields of the answer."""

    def __init__(self, reason: str, kind: str = "Declined", **fields: object) -> None:
        super().__init__(reason)
        self.kind = kind
        self.fields = fields


# --- lines -----------------------------------------------------------------------------------------------------------


def encode_line(message: Message) -> bytes:
    """One line, with its end."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def decode_line(line: bytes) -> Message:
    """The object of one line. Raises ``Declined``."""
    try:
        message: object = json.loads(line.decode(), parse_float=_no_float, parse_constant=_no_float)
        if b"\\u" in line:
            encode_line(cast("Message", message))  # refuses a surrogate alone, half a character: no answer could say it
    except (ValueError, RecursionError) as error:
        raise Declined("The line is not JSON with integers.", "BadRequest") from error
    if not isinstance(message, dict):
        raise Declined("The line is not a JSON object.", "BadRequest")
    return cast("Message", message)


def _no_float(number: str) -> NoReturn:
    raise ValueError(number)


@contextlib.contextmanager
def short_path(path: Path) -> Generator[str]:
    """What a socket can be addressed by that stands at ``path``, for the moment of connecting."""
    # Longer paths than a socket address can hold are reached through a link in a short folder.
    if len(bytes(path.absolute())) <= _PATH_BYTES_MAX:
        yield str(path.absolute())
        return
    with tempfile.TemporaryDirectory(prefix="pos-") as short:
        link = Path(short, "f")
        link.symlink_to(path.absolute().parent, target_is_directory=True)
        yield str(link / path.name)


# --- the replica's side ----------------------------------------------------------------------------------------------


async def serve(folder: Path, commands: Mapping[str, Command], task_status: TaskStatus | None = None) -> NoReturn:
    """Answer requests on the folder's socket until cancelled; then take the socket away.

    Connections are served at the same time, the requests of one connection one after the other. A command that has begun is
    finished even if its client has gone. Raises ``AlreadyServed``, ``OSError``.
    """
    import trio  # clients start faster without it

    path = folder / SOCKET_NAME
    listener = _listen(path)
    ours = path.stat()
    places = trio.CapacityLimiter(CONNECTIONS_MAX)
    try:
        stream = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        if task_status is not None:
            task_status.started()
        await trio.serve_listeners(partial(_converse, commands, places), [stream])
    finally:
        with contextlib.suppress(OSError):
            if path.stat().st_ino == ours.st_ino:
                path.unlink()
    raise AssertionError("serve_listeners does not return")


def _listen(path: Path) -> socket.socket:
    with short_path(path) as address:
        if _answers(address):
            raise AlreadyServed(f"Another process is already running the replica in {path.parent}.")
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(address)
            path.chmod(0o600)  # before listen, so that nobody else can have connected
            listener.listen(CONNECTIONS_MAX)
        except OSError:
            listener.close()
            raise
    return listener


def _answers(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(address)
        except OSError:
            return False
    return True


async def _converse(commands: Mapping[str, Command], places: trio.CapacityLimiter, stream: trio.SocketStream) -> None:
    import trio

    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async with stream:
            try:
                places.acquire_nowait()
            except trio.WouldBlock:
                await stream.send_all(_refusal("Too many programs speak to this replica at once.", "Busy"))
                return
            try:
                await _answer_lines(commands, stream)
            finally:
                places.release()


async def _answer_lines(commands: Mapping[str, Command], stream: trio.SocketStream) -> None:
    waiting = bytearray()
    while True:
        received = await stream.receive_some(_READ_BYTES)
        if not received:
            return
        searched = len(waiting)
        waiting += received
        while (end := waiting.find(b"\n", searched)) >= 0:
            line, searched = bytes(waiting[:end]), 0
            del waiting[: end + 1]
            if line.strip():
                await stream.send_all(await _answer(commands, line))
        if len(waiting) > LINE_BYTES_MAX:
            await stream.send_all(_refusal(f"A request has at most {LINE_BYTES_MAX} bytes.", "TooLong"))
            return


async def _answer(commands: Mapping[str, Command], line: bytes) -> bytes:
    echo: Message = {}
    try:
        if len(line) > LINE_BYTES_MAX:
            raise Declined(f"A request has at most {LINE_BYTES_MAX} bytes.", "TooLong")
        request = decode_line(line)
        version, name = request.pop("version", VERSION), request.pop("do", None)
        if "id" in request:
            echo = {"id": request.pop("id")}
        if version != VERSION:
            raise Declined(f"This replica speaks version {VERSION} of the local protocol.", "OtherVersion")
        command = commands.get(name) if isinstance(name, str) else None
        if command is None:
            raise Declined(f"This replica knows: {', '.join(sorted(commands))}.", "UnknownCommand")
        return encode_line({"version": VERSION, "ok": True, **await command(request), **echo})
    except Declined as no:
        return _refusal(no.message, no.kind, **no.fields, **echo)
    except Exception as error:  # noqa: BLE001  one bad request ends neither the connection nor the replica
        known = sentence(error)
        if not known:
            _log.exception("A local request failed, and the mistake is ours", extra={"event": "request_failed"})
        known = known or "Something went wrong inside the replica; its log says what."
        return _refusal(known, type(error).__name__, **echo)


def _refusal(reason: str, kind: str, **fields: object) -> bytes:
    return encode_line({"version": VERSION, "ok": False, "error": reason, "kind": kind, **fields})


# --- the other side --------------------------------------------------------------------------------------------------


def request_line(do: str, fields: Message) -> bytes:
    """The line of one request."""
    return encode_line({"version": VERSION, "do": do, **fields})


def answered(line: bytes) -> Message:
    """The fields of the answer in ``line``. Raises ``ConnectionLost``, ``LocalRefused``, ``Declined``."""
    if not line.endswith(b"\n"):
        raise ConnectionLost("The replica stopped before it answered; look at the last receipt before you repeat this.")
    answer = decode_line(line)
    if answer.get("ok") is not True:
        raise LocalRefused(answer)
    return answer


def _connected(folder: Path, timeout_s: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        with short_path(folder / SOCKET_NAME) as address:
            connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _is_starting(folder: Path) -> bool:
    # By the process that holds the folder. Trying the lock itself could keep that very process from getting it.
    try:
        holder = int((folder / RUNNING).read_text("ascii"))
        os.kill(holder, 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return holder != os.getpid()


class LocalClient:
    """Speaks to the replica of a folder from ordinary code. Not to be shared between threads.

    A replica that has only begun to start is waited for, ``STARTING_PATIENCE_S``.

    Raises ``NotRunning`` when made, ``LocalRefused`` and ``ConnectionLost`` when called.
    """

    def __init__(self, folder: Path, timeout_s: float = CALL_TIMEOUT_S) -> None:
        patience_ends = time.monotonic() + STARTING_PATIENCE_S
        while True:
            try:
                self._socket = _connected(folder, timeout_s)
                break
            except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
                if time.monotonic() >= patience_ends or not _is_starting(folder):
                    raise NotRunning(folder) from error
            time.sleep(_LOOK_AGAIN_S)
        self._lines = self._socket.makefile("rb")

    def call(self, do: str, /, **fields: object) -> Message:
        """Send one request and return the fields of its answer."""
        try:
            self._socket.sendall(request_line(do, fields))
            line = self._lines.readline(LINE_BYTES_MAX)
        except (TimeoutError, ConnectionError):
            line = b""
        return answered(line)

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> LocalClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
