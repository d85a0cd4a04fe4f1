"""The local socket from asyncio, for a screen: a module of its own, since no replica and no other client needs asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from crdt_pos.local import (
    CALL_TIMEOUT_S,
    LINE_BYTES_MAX,
    SOCKET_NAME,
    Message,
    NotRunning,
    answered,
    decode_line,
    request_line,
    short_path,
)


class AsyncLocalClient:
    """Speaks to the replica of a folder from asyncio. Calls from several tasks wait for each other; a call may be cancelled."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()
        self._last = 0

    @classmethod
    async def connect(cls, folder: Path) -> AsyncLocalClient:
        """Connect to the replica of a folder. Raises ``NotRunning``."""
        try:
            with short_path(folder / SOCKET_NAME) as address:
                return cls(*await asyncio.open_unix_connection(address, limit=LINE_BYTES_MAX))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
            raise NotRunning(folder) from error

    async def call(self, do: str, /, **fields: object) -> Message:
        """Send one request and return the fields of its answer. Raises ``LocalRefused``, ``ConnectionLost``."""
        async with self._turn:
            self._last += 1
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    self._writer.write(request_line(do, {**fields, "id": self._last}))
                    await self._writer.drain()
                    line = await self._reader.readline()
                    while line and decode_line(line).get("id") != self._last:  # the answer to a call that was cancelled
                        line = await self._reader.readline()
            except (TimeoutError, ConnectionError, ValueError):
                line = b""
        return answered(line)

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
