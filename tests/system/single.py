"""One replica in a process of its own, started in an unusual way: under another clock, without a network, with another body."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from crdt_pos.cli import child_command
from crdt_pos.folder import Folder
from crdt_pos.local import LocalClient, NotRunning
from tests.system.shops import PATIENCE_S


@dataclass
class Single:
    """A running replica."""

    folder: Folder
    process: subprocess.Popen[bytes]
    client: LocalClient

    def call(self, do: str, /, **fields: object) -> dict[str, Any]:
        """Ask it."""
        return self.client.call(do, **fields)

    def sell(self, cents: int = 119, **fields: object) -> dict[str, Any]:
        """Sell something for so much, in cash; the receipt."""
        return self.call("sell", lines=[{"product": 1, "unit_price_minor": cents}], **fields)["receipt"]

    def said(self) -> str:
        """What it has written to its log so far."""
        return (self.folder.path / "run.log").read_text()


@contextmanager
def single(
    folder: Folder,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] | None = None,
    options: Sequence[str] = (),
) -> Iterator[Single]:
    """Start it and wait until it answers; stop it in the end, which it must do with exit code 0."""
    role = str(folder.certificate.role)
    words = [*prefix, *(command or child_command()), role, "run", "-v", *options, "--at", str(folder.path)]
    with (folder.path / "run.log").open("ab") as said:
        process = subprocess.Popen(words, stdout=said, stderr=said, env={**os.environ, **(environment or {})})
    try:
        client = _connected(folder, process)
        try:
            yield Single(folder, process, client)
        finally:
            client.close()
        process.terminate()
        assert process.wait(PATIENCE_S) == 0, (folder.path / "run.log").read_text()
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain: {what}"
        time.sleep(0.02)


def _connected(folder: Folder, process: subprocess.Popen[bytes]) -> LocalClient:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return LocalClient(folder.path)
        except NotRunning:
            assert process.poll() is None, (folder.path / "run.log").read_text()
            assert time.monotonic() < deadline, "the replica does not answer"
            time.sleep(0.02)
