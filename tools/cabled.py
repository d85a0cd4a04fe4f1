"""A town whose every path is a cable that can be pulled: processes by name, started, killed, burnt and brought back.

Each replica listens on the loopback interface and only dials, through cables of its own: every till the head offices, and the
tills of its store that stand before it. So any pair can be severed for real, without privileges, and nobody is told.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from crdt_pos import enrolment
from crdt_pos.cli import child_command
from crdt_pos.clock import system_ms
from crdt_pos.folder import ROOT, Folder, Settings, open_folder
from crdt_pos.kit import write_kit
from gossip.address import Address
from peers.permissions import Role
from peers.roster import StoreRecord
from tools.cable import LOOPBACK, Cable
from tools.town import Process, Town, TownError

OFFICE = "office-a"
KIT = "kit.txt"
RECOVERER = "recoverer"
"""Dials those who are left, for somebody who was lost."""
COMMAND_TIMEOUT_S = 120.0
ALONE = ("--listen", f"{LOOPBACK}:0", "--no-multicast")

Ends = tuple[str, str]
"""The names of who dials and of who is dialled."""


@dataclass(slots=True)
class Cabled:
    """The replicas of a town by name (``office-a``, ``12-3``), and the cables between them."""

    town: Town
    folders: dict[str, Folder] = field(default_factory=dict[str, Folder])
    """Where each lives now; whoever was burnt has none."""
    cables: dict[Ends, Cable] = field(default_factory=dict[Ends, Cable])
    cut: set[Ends] = field(default_factory=set[Ends])
    processes: dict[str, Process] = field(default_factory=dict[str, Process])
    lives: int = 0
    post: str = ""
    """The name of the untidy post (``tools.post``), if there is one: a further head office."""
    posted: frozenset[int] = frozenset()
    """The stores whose tills dial the post and no other head office."""
    post_seed: str = "post"
    vault_every_s: int | None = None
    """How often its tills seal what is new."""

    @classmethod
    def found(
        cls,
        at: Path,
        company: str,
        records: Iterable[StoreRecord],
        tills: int,
        wan: str = "live",
        *,
        posted: Iterable[int] = (),
        post_seed: str = "post",
        vault_every_s: int | None = None,
    ) -> Cabled:
        """Create a company with these stores and so many tills in each. Nothing runs.

        ``posted``: stores that reach the head office through an untidy post alone.
        """
        made = cls(Town.found(at, company, [], 0, _settings([], wan)), vault_every_s=vault_every_s)
        made.folders[OFFICE] = made.town.office
        made.safe.mkdir()
        shutil.copy2(made.town.office.path / ROOT, made.safe / ROOT)
        write_kit(made.safe / KIT, made.town.office.root, made.town.keys)
        records = list(records)
        for record in records:
            enrolment.add_store(made.town.office, record, system_ms())
        made.posted, made.post_seed = frozenset(posted), post_seed
        if made.posted:
            made._add_post(wan)
        for record in records:
            for till in range(1, tills + 1):
                made.enrol(record.store, till, wan=wan)
        return made

    # --- who is there ------------------------------------------------------------------------------------------------

    def enrol(self, store: int, till: int, *, again: bool = False, wan: str = "live") -> Folder:
        """Enrol a till (``again``: another life), with a cable to every office and to the tills before it in its store.

        Where the head office runs, by a ticket, as people do it.
        """
        name = f"{store}-{till}"
        return self._enrol(
            name, self.town.at / (f"till-{name}-{self._next()}" if again else f"till-{name}"), again, wan
        )

    def _enrol(self, name: str, path: Path, again: bool, wan: str = "live") -> Folder:
        store, till = _place(name)
        before = [other for other in self.tills(store) if _place(other)[1] < till]
        peers = [self._cable(name, other) for other in (*self._offices(store), *before)]
        settings = _settings(peers, wan, self.vault_every_s)
        issuer = [other for other in self.folders if _is_office(other) and other != self.post][-1]
        office = self.folders[issuer]
        if issuer in self.running():
            seat = ["--store", str(store), "--till", str(till), *(["--again"] if again else [])]
            address = f"{LOOPBACK}:{self.port(issuer)}"
            ticket = _asked("invite", "--at", str(office.path), *seat, "--address", address, "--json")["ticket"]
            words = [word for peer in peers for word in ("--peer", str(peer))]
            words += [] if self.vault_every_s is None else ["--vault-every", str(self.vault_every_s)]
            _told("join", ticket, "--at", str(path), "--wan", wan, *words, *ALONE)
            made = open_folder(path)
        else:
            made = enrolment.enrol_till(office, store, till, path, settings, system_ms(), again=again)
        self.folders[name] = self.town.tills[store, till] = made
        return made

    def recover_store(self, store: int, tills: Iterable[str], sources: Iterable[str]) -> dict[str, Any]:
        """Bring back a store that was burnt: its tills join again, and get what ``sources``, who run, and those whom they know
        hold of it. Nothing is started. Returns what the command printed."""
        place = self.town.at / f"recovered-{self._next()}"
        for name in tills:
            self._enrol(name, place / f"till-{name}", again=True)
        asked = [word for name in sources for word in ("--from", str(self._cable(RECOVERER, name)))]
        told = _asked("recover", "store", str(store), "--at", str(place), *self._kit, *asked, *ALONE, "--json")
        self._take_away(RECOVERER)
        return told

    @property
    def _kit(self) -> list[str]:
        return ["--kit", str(self.safe / KIT)]

    def _take_away(self, dialler: str) -> None:
        for ends in [ends for ends in self.cables if ends[0] == dialler]:
            self.cables.pop(ends).close()

    def _add_post(self, wan: str) -> None:
        settings = _settings([self._cable("post", OFFICE)], wan)
        made = enrolment.add_office(self.town.office, self.town.at / "post", settings, system_ms(), self.town.keys.root)
        self.post = made.certificate.name
        self.folders[self.post] = made
        self.cables[self.post, OFFICE] = self.cables.pop(("post", OFFICE))

    def _offices(self, store: int) -> list[str]:
        """The head offices that a store's tills dial."""
        through_post = store in self.posted
        return [name for name in self.folders if _is_office(name) and (name == self.post) is through_post]

    @property
    def safe(self) -> Path:
        """Where the company's root and its kit are kept, apart from every replica."""
        return self.town.at / "safe"

    def rebuild(self, lost: str = OFFICE, *words: str, sources: Iterable[str] = ()) -> dict[str, Any]:
        """Rebuild a head office that was burnt, by its command, from ``sources`` (none: every till that runs).

        It takes over the cables of the lost one, under its new name, and is not started. Returns what the command printed.
        """
        dialled = [name for name in (*sources,) or self.tills() if name in self.running()]
        asked = [word for name in dialled for word in ("--from", str(self._cable(RECOVERER, name)))]
        at = self.town.at / f"office-{self._next()}"
        root = ["--root", str(self.safe / ROOT), "--lost", lost]
        told = _asked("recover", "office", "--at", str(at), *self._kit, *root, *asked, *ALONE, "--json", *words)
        name = str(told["office"])
        self.folders[name] = self.town.office = open_folder(at)
        for ends in [ends for ends in self.cables if ends[1] == lost]:
            self.cables[ends[0], name] = self.cables.pop(ends)
            if ends in self.cut:
                self.cut.remove(ends)
                self.cut.add((ends[0], name))
        self._take_away(RECOVERER)
        return told

    def tills(self, store: int | None = None) -> list[str]:
        """Names of tills that have a folder, ascending."""
        found = [name for name in self.folders if not _is_office(name)]
        return sorted((name for name in found if store in (None, _store(name))), key=_place)

    def running(self) -> list[str]:
        """Names of those whose process runs."""
        return [name for name, process in self.processes.items() if process.running is not None]

    def _next(self) -> int:
        self.lives += 1
        return self.lives + 1

    # --- processes ---------------------------------------------------------------------------------------------------

    def start(self, *names: str, timeout_s: float = 120.0) -> None:
        """Start these and wait until they answer; their cables are plugged in where they are not cut."""
        for name in names:
            command = [sys.executable, "-P", "-m", "tools.post", self.post_seed] if name == self.post else None
            role = str(self.folders[name].certificate.role)
            process = self.processes[name] = Process(role, [self.folders[name]], command=command)
            process.start()
        self.town.processes = list(self.processes.values())
        for name in names:
            self.town.wait(partial(self.town.is_up, self.folders[name]), f"Starting {name}", timeout_s)
            for ends, cable in self.cables.items():
                if ends[1] == name and ends not in self.cut:
                    cable.plug(self.port(name))

    def stop(self, name: str) -> int:
        """SIGTERM, and wait; the exit code."""
        self.town.hang_up(self.folders[name])
        return self.processes[name].stop()

    def kill(self, name: str) -> None:
        """SIGKILL, and wait."""
        self.town.hang_up(self.folders[name])
        self.processes[name].kill()

    def burn(self, name: str) -> None:
        """SIGKILL, and its folder is gone."""
        if name in self.running():
            self.kill(name)
        shutil.rmtree(self.folders.pop(name).path)
        self.processes.pop(name, None)
        if not _is_office(name):
            self.town.tills.pop(_place(name))
        self.town.processes = list(self.processes.values())

    def close(self) -> None:
        """Stop every process and take the cables away."""
        self.town.processes = list(self.processes.values())
        self.town.stop()
        for cable in self.cables.values():
            cable.close()

    # --- cables ------------------------------------------------------------------------------------------------------

    def sever(self, one: str, other: str) -> None:
        """Pull the cable between two."""
        for ends in self._between(one, other):
            self.cut.add(ends)
            self.cables[ends].pull()

    def mend(self, one: str, other: str) -> None:
        """Plug it in again."""
        for ends in self._between(one, other):
            self.cut.discard(ends)
            if ends[1] in self.running():
                self.cables[ends].plug(self.port(ends[1]))

    def sever_wan(self, store: int) -> None:
        """Cut a store off from every head office."""
        for till, office in self._wan(store):
            self.sever(till, office)

    def mend_wan(self, store: int) -> None:
        """Connect it again."""
        for till, office in self._wan(store):
            self.mend(till, office)

    @staticmethod
    def is_wan(ends: Ends) -> bool:
        """Whether a cable leads to a head office."""
        return any(_is_office(name) for name in ends)

    def _wan(self, store: int) -> list[Ends]:
        return [(till, office) for till in self.tills(store) for office in self._offices(store)]

    def _between(self, one: str, other: str) -> list[Ends]:
        return [ends for ends in ((one, other), (other, one)) if ends in self.cables]

    def _cable(self, dialler: str, dialled: str) -> Address:
        cable = self.cables.setdefault((dialler, dialled), Cable())
        if dialled in self.running() and (dialler, dialled) not in self.cut:
            cable.plug(self.port(dialled))
        return Address(LOOPBACK, cable.port)

    # --- asking ------------------------------------------------------------------------------------------------------

    def call(self, name: str, do: str, /, **fields: object) -> dict[str, Any]:
        """Ask a running replica over its local socket."""
        return self.town.client(self.folders[name]).call(do, **fields)

    def connections(self, name: str) -> dict[str, Any]:
        """What a replica says of its sessions."""
        return self.call(name, "status" if _is_office(name) else "connections")

    def port(self, name: str) -> int:
        """Where it listens."""
        return int(self.connections(name)["listening"].rpartition(":")[2])

    def peers(self, name: str) -> set[str]:
        """With whom it has a session."""
        return {session["peer"] for session in self.connections(name)["sessions"]}

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
        """Wait for a condition. Raises ``TownError`` after ``timeout_s``, or when a process stops by itself."""
        self.town.wait(condition, what, timeout_s)

    def together(self, *names: str) -> None:
        """Wait until each of these (none: every one that runs) has a session wherever a cable is plugged.

        Two tills of a store talk with head offices; for the others it is enough that a neighbour does.
        """
        up = set(names or self.running())
        for ends in self.cables:
            if up.issuperset(ends) and ends not in self.cut:
                self.until(partial(self._meets, *ends), f"Connecting {ends[0]} to {ends[1]}")

    def _meets(self, one: str, other: str) -> bool:
        if other in self.peers(one):
            return True
        said = self.connections(one)
        return _is_office(other) and said["duty"] == "none" and said["reaches_office"]

    def __enter__(self) -> Cabled:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.close()


def _told(*words: str) -> str:
    """What a command of ``crdt-pos`` prints. Raises ``TownError`` with what it says if it refuses."""
    done = subprocess.run([*child_command(), *words], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S)
    if done.returncode:
        raise TownError(done.stderr.strip())
    return done.stdout


def _asked(*words: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(_told(*words))
    return told


def _settings(peers: list[Address], wan: str, vault_every_s: int | None = None) -> Settings:
    return Settings(Address(LOOPBACK, 0), tuple(peers), wan, multicast=False, vault_every_s=vault_every_s)


def _is_office(name: str) -> bool:
    return name.startswith(str(Role.OFFICE))


def _place(name: str) -> tuple[int, int]:
    store, _, till = name.partition("-")
    return int(store), int(till)


def _store(name: str) -> int:
    return _place(name)[0]
