"""A town of replicas for demonstrations and tests: real folders, real processes, real sockets on this machine.

Every replica has its own folder, key, certificate and log. They find each other by multicast DNS on the loopback interface and
talk TLS. Large towns put several replicas into one process (``processes``), since an interpreter costs more than a replica.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from crdt_pos import catalogue, catalogue_views, enrolment
from crdt_pos.catalogue import Change
from crdt_pos.cli import child_command
from crdt_pos.clock import system_ms
from crdt_pos.company_keys import CompanyKeys
from crdt_pos.folder import Folder, Settings
from crdt_pos.local import LocalClient, NotRunning
from crdt_pos.schema import SCHEMA
from gossip.address import Address
from gossip.log import Arrival
from gossip.log_lmdb import LmdbLog
from peers.roster import StoreRecord

LOOPBACK: Final = "127.0.0.1"
START_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 20.0
POLL_S: Final = 0.05
CHANGES_AT_ONCE: Final = 20_000
RUN_LOG: Final = "run.log"


class TownError(Exception):
    """A replica of the town did not start, or stopped by itself."""


class TookTooLong(TownError):
    """Something that was waited for did not happen in time."""


@dataclass(slots=True)
class Process:
    """One operating-system process that runs some replicas of one role."""

    role: str
    folders: list[Folder]
    running: subprocess.Popen[bytes] | None = None
    command: Sequence[str] | None = None
    """Words in place of ``crdt-pos``."""
    prefix: Sequence[str] = ()
    """Words before the command, such as those that run it somewhere else."""

    def start(self) -> None:
        """Start it; what it says goes to ``run.log`` in its first folder."""
        at = [argument for folder in self.folders for argument in ("--at", str(folder.path))]
        with (self.folders[0].path / RUN_LOG).open("ab") as said:
            self.running = subprocess.Popen(
                [*self.prefix, *(self.command or child_command()), self.role, "run", "--verbose", *at],
                stdout=said,
                stderr=said,
                stdin=subprocess.DEVNULL,
            )

    def check(self) -> None:
        """Raise ``TownError`` if it has stopped."""
        if self.running is not None and self.running.poll() is not None:
            said = (self.folders[0].path / RUN_LOG).read_text(errors="replace").strip().splitlines()
            name = self.folders[0].certificate.name
            raise TownError(
                f"{name} stopped with exit code {self.running.returncode}: {said[-1] if said else 'no word'}"
            )

    def kill(self) -> None:
        """SIGKILL, and wait."""
        if self.running is not None:
            self.running.kill()
            self.running.wait()
            self.running = None

    def stop(self) -> int:
        """SIGTERM, and wait; returns the exit code."""
        if self.running is None:
            return 0
        self.running.send_signal(signal.SIGTERM)
        try:
            code = self.running.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.running.kill()
            code = self.running.wait()
        self.running = None
        return code

    def peak_bytes(self) -> int:
        """The most memory it has held so far (VmHWM); 0 if that cannot be known here."""
        if self.running is None:
            return 0
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.running.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0


@dataclass(slots=True)
class Town:
    """A company's replicas in one folder: ``office`` and ``till-<store>-<till>``."""

    at: Path
    office: Folder
    keys: CompanyKeys
    """The company's; its replicas have neither."""
    tills: dict[tuple[int, int], Folder] = field(default_factory=dict[tuple[int, int], Folder])
    processes: list[Process] = field(default_factory=list[Process])
    _clients: dict[Path, LocalClient] = field(default_factory=dict[Path, LocalClient])

    @classmethod
    def found(cls, at: Path, company: str, records: Iterable[StoreRecord], tills: int, settings: Settings) -> Town:
        """Create a company with these stores and so many tills in each."""
        now_ms, keys = system_ms(), CompanyKeys.generate()
        office = enrolment.create_company(company, at / "office", settings, now_ms, keys)
        town = cls(at, office, keys)
        for record in records:
            enrolment.add_store(office, record, now_ms)
            for till in range(1, tills + 1):
                path = at / f"till-{record.store}-{till}"
                town.tills[record.store, till] = enrolment.enrol_till(
                    office, record.store, till, path, settings, now_ms
                )
        return town

    def write_catalogue(self, changes: Sequence[Change]) -> int:
        """Sign the catalogue at the head office, which must not be running; returns the bytes of its entries."""
        log = LmdbLog.open(self.office.log_path, SCHEMA, self.office.root.company)
        size = 0
        changes = sorted(
            changes, key=lambda change: change.shard
        )  # so that each shard is opened once or twice, not in every part
        try:
            for start in range(0, len(changes), CHANGES_AT_ONCE):
                with log.read() as reader:
                    entries = catalogue.write(
                        reader,
                        self.office.key,
                        self.office.certificate.author,
                        changes[start : start + CHANGES_AT_ONCE],
                        system_ms() << 16,
                    )
                    arrivals = [Arrival(entry) for entry in entries]
                    views = catalogue_views.derive(reader, arrivals)
                log.append(arrivals, views, received_ms=system_ms())
                size += sum(len(entry.raw) for entry in entries)
        finally:
            log.close()
        return size

    def start(self, processes_max: int) -> None:
        """Start the head office, and the tills in at most ``processes_max`` processes."""
        folders = [self.tills[place] for place in sorted(self.tills)]
        count = max(1, min(processes_max, len(folders)))
        self.processes = [Process("office", [self.office])]
        self.processes += [Process("till", folders[number::count]) for number in range(count)]
        for process in self.processes:
            process.start()

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until ``condition`` holds. Raises ``TownError`` if a process stops or time runs out."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            for process in self.processes:
                process.check()
            if time.monotonic() > deadline:
                raise TookTooLong(f"{what} took longer than {timeout_s:g} s")
            time.sleep(POLL_S)

    def is_up(self, folder: Folder) -> bool:
        """Whether the replica answers on its socket."""
        try:
            self.client(folder)
        except NotRunning:
            return False
        return True

    def client(self, folder: Folder) -> LocalClient:
        """The connection to a running replica's local socket. Raises ``NotRunning``."""
        if folder.path not in self._clients:
            self._clients[folder.path] = LocalClient(folder.path)
        return self._clients[folder.path]

    def hang_up(self, folder: Folder) -> None:
        """Forget the connection to a replica that was stopped."""
        client = self._clients.pop(folder.path, None)
        if client is not None:
            client.close()

    def stop(self) -> None:
        """Stop every process; tills first, so that their last words reach the office."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        for process in reversed(self.processes):
            process.stop()

    def peak_bytes(self) -> int:
        """The sum of the processes' peaks."""
        return sum(process.peak_bytes() for process in self.processes)

    @contextlib.contextmanager
    def running(self, processes_max: int) -> Generator[None]:
        """Start, and stop whatever happens."""
        try:
            self.start(processes_max)
            yield
        finally:
            self.stop()


def loopback_settings(wan: str = "live") -> Settings:
    """Any free port on the loopback interface, found by multicast there."""
    return Settings(Address(LOOPBACK, 0), wan=wan, interfaces=(LOOPBACK,))


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
