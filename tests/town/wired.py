"""A company whose replicas each live on a machine of their own, in a network of real cables.

    1-1 ─┐                                    ┌─ 2-1
    1-2 ─┼─ switch-1 ─┐          ┌─ switch-2 ─┼─ 2-2
    1-3 ─┘            └─ world ──┘            └─ 2-3
                      │   │   │
                 office second relay

Each is a place of ``Wires``: the tills of a store share a switch and find each other by multicast, as they do anywhere; the
world is a router that every store's uplink and the lines of the ``CENTRE`` end at: of a head office, and, in a town that has
them, of a second one and of a relay, which dial those before them. Store 3's till 2 is 10.12.3.2, the head office 10.12.0.1;
tills know nobody's addresses but theirs.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crdt_pos import catalogue, cli, enrolment
from crdt_pos.cli import child_command
from crdt_pos.clock import system_ms
from crdt_pos.folder import OFFICE_PORT, ROOT, Folder, Settings, open_folder
from crdt_pos.kit import write_kit
from crdt_pos.local import SOCKET_NAME
from crdt_pos.looking import Looked, look
from crdt_pos.products import Price, Product
from gossip.address import Address
from gossip.log import Reader
from peers.roster import StoreRecord
from tests.town.wires import Wires
from tools.town import Process, Town

OFFICE = "office"
"""Where the head office is, whatever its letter."""
SECOND = "second"
"""The second head office."""
RELAY = "relay"
KIT = "kit.txt"
WORLD = "world"
CARD = "eth0"
"""The network card of every till and office."""
UP = "up"
"""A switch's port of the store's uplink."""
CENTRE = {OFFICE: "10.12.0.1", SECOND: "10.14.0.1", RELAY: "10.15.0.1"}
"""Replicas of no store, and where they are: each has a network of its own."""
PRICES = {1: 119, 2: 250, 3: 1999}
POLL_S = 0.05
PATIENCE_S = 120.0
"""Long enough for a busy machine, on which ten processes start at once: only what is broken waits for it."""


class TownFailed(AssertionError):
    """Something did not come about in time; the text says what, and what was there instead."""


def host(store: int, till: int) -> str:
    return f"10.12.{store}.{till}"


def settings(centre: Iterable[str] = (OFFICE,), **fields: Any) -> Settings:
    """A till's as a shopkeeper leaves them: any free port, the addresses of the centre, multicast."""
    peers = tuple(Address(CENTRE[name], OFFICE_PORT) for name in centre)
    return Settings(**{"listen": Address("", 0), "peers": peers, **fields})


@dataclass
class Wired:
    """The replicas by name (``office``, whatever its letter; ``1-3``), their processes, and what of their network is cut.

    Whoever else is there, such as a till that has gone wrong, has a machine and a process here, and no folder.
    """

    wires: Wires
    town: Town
    folders: dict[str, Folder] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    centre: tuple[str, ...] = (OFFICE,)
    """Whom of the centre there are."""
    cut: set[str] = field(default_factory=set)
    """Tills, and replicas of the centre, whose cable is pulled."""
    cut_off: set[int] = field(default_factory=set)
    """Stores whose uplink is pulled."""
    lives: int = 0

    @classmethod
    def found(
        cls,
        wires: Wires,
        at: Path,
        stores: int,
        tills: int,
        company: str = "Corner Shops",
        centre: tuple[str, ...] = (OFFICE,),
    ) -> Wired:
        """Stores 1, 2, … with so many tills each, and a ``centre``, whose first is the head office. Nothing runs."""
        town = Town.found(at, company, [], 0, Settings(Address("", OFFICE_PORT)))
        made = cls(wires, town, {OFFICE: town.office}, centre=centre)
        made.safe.mkdir()
        shutil.copy(town.office.path / ROOT, made.safe)
        write_kit(made.safe / KIT, town.office.root, town.keys)
        wires.router(WORLD)
        wires.do(WORLD, "ip route add unreachable default table 100")
        for name in centre:
            made.machine(name, (WORLD, name), CENTRE[name])
            wires.do(WORLD, f"ip address add {_network(CENTRE[name])}.254/24 dev {name}", made._way(name))
        changes = [catalogue.tax_change(1, 70_000)]
        for number, cents in PRICES.items():
            product = Product(number, f"Product {number}", prices=(Price(cents),), tax_code=1)
            changes += catalogue.product_changes(product)
        town.write_catalogue(changes)
        for store in range(1, stores + 1):
            record = StoreRecord(store, legal_entity="Corner Shops Ltd", currency="EUR")
            enrolment.add_store(town.office, record, system_ms())
            wires.bridge(switch(store))
            wires.cable((WORLD, f"store-{store}"), (switch(store), UP))
            made.line(f"store-{store}", host(store, 254))
            for till in range(1, tills + 1):
                made.enrol(store, till)
        for number, name in enumerate(centre[1:], 1):
            made._enrol_at_centre(name, settings(centre[:number], listen=Address("", OFFICE_PORT)))
        return made

    def _enrol_at_centre(self, name: str, its_settings: Settings) -> None:
        path, office = self.town.at / name, self.folders[OFFICE]
        if name == RELAY:
            self.folders[name] = enrolment.enrol_relay(office, 1, path, its_settings, system_ms())
        else:
            self.folders[name] = enrolment.add_office(office, path, its_settings, system_ms(), self.town.keys.root)

    def line(self, interface: str, its_host: str) -> None:
        """Let the router have this address at an interface; from there the centre can be reached, and no other shop, as
        behind the routers that shops have."""
        self.wires.do(WORLD, f"ip address add {its_host}/24 dev {interface}", f"ip rule add iif {interface} lookup 100")

    def enrol(self, store: int, till: int, at: int | None = None, **fields: Any) -> None:
        """A new till, on a machine at its store's switch, or ``at`` another store's; ``fields`` of its settings."""
        name, path, lan = f"{store}-{till}", self.town.at / f"till-{store}-{till}", at or store
        its_settings = settings(self.centre, **fields)
        made = enrolment.enrol_till(self.town.office, store, till, path, its_settings, system_ms())
        self.folders[name] = made
        # At another's switch there is a till with this number already.
        self.machine(name, (switch(lan), name), host(lan, till if lan == store else 100 + till))

    def enrol_again(self, name: str, office: str = OFFICE) -> None:
        """Give a till another life, as its shopkeeper does: by the command, at a head office."""
        self.lives += 1
        store, till = name.split("-")
        path = self.town.at / f"till-{name}-life-{self.lives + 1}"
        words = ["till", "enrol", "--again", "--office", self.folders[office].path, "--store", store, "--till", till]
        words += ["--at", path, *(word for peer in settings(self.centre).peers for word in ("--peer", peer))]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = cli.run([str(word) for word in words])
        if code:
            raise TownFailed(f"{name} is not enrolled again: {said.getvalue()}")
        self.folders[name] = open_folder(path)

    def rebuild_office(self, meanwhile: Callable[[], object]) -> None:
        """Give the company another head office, whose folder is gone, from the stores alone. Nothing runs afterwards."""
        self.lives += 1
        path = self.town.at / f"office-{self.lives + 1}"
        words = ["recover", "office", "--kit", self.safe / KIT, "--root", self.safe / ROOT]
        words += ["--lost", self.folders[OFFICE].certificate.name, "--listen", f":{OFFICE_PORT}", "--at", path]
        command = [*self.wires.at(OFFICE), *child_command(), *map(str, words)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            while process.poll() is None:
                meanwhile()
            said = process.stdout.read() if process.stdout else ""
        if process.returncode:
            raise TownFailed("\n".join(["The head office is not rebuilt:", said, *self.state()]))
        self.folders[OFFICE] = open_folder(path)

    @property
    def safe(self) -> Path:
        """Where the company keeps its kit, away from every replica."""
        return self.town.at / "safe"

    def machine(self, name: str, port: tuple[str, str], its_host: str) -> None:
        """A new machine, with a cable to a port of a switch or of the router."""
        self.wires.place(name)
        self.wires.cable(port, (name, CARD))
        self.address(name, its_host)

    def address(self, name: str, its_host: str) -> None:
        """Give a machine this address, and no other; its way into the world is its network's .254."""
        gate = _network(its_host) + ".254"
        self.wires.do(
            name,
            f"ip address flush dev {CARD}",
            f"ip address add {its_host}/24 dev {CARD}",
            f"ip route add default via {gate} dev {CARD}",
        )

    def tills(self, store: int | None = None) -> list[str]:
        """Names of the tills, ascending."""
        return sorted(name for name in self.folders if name not in CENTRE and store in (None, store_of(name)))

    def offices(self) -> list[str]:
        """Names of the head offices."""
        return [name for name in self.centre if name != RELAY]

    # --- processes ---------------------------------------------------------------------------------------------------

    def start(self, *names: str) -> None:
        """Start these; nobody waits for them."""
        for name in names:
            role = str(self.folders[name].certificate.role)
            process = Process(role, [self.folders[name]], prefix=self.wires.at(name))
            process.start()
            self.processes[name] = process
        self.town.processes = list(self.processes.values())

    def runs(self, name: str) -> bool:
        """Whether its process has been started and not stopped."""
        return name in self.processes and self.processes[name].running is not None

    def is_up(self, name: str) -> bool:
        """Whether it answers."""
        if not self.runs(name):
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.folders[name].path / SOCKET_NAME))
            except OSError:
                return False
        return True

    def stop(self, name: str) -> int:
        """SIGTERM, and wait; the exit code."""
        self.town.hang_up(self.folders[name])
        return self.processes[name].stop()

    def kill(self, name: str) -> None:
        """SIGKILL, and wait."""
        self.town.hang_up(self.folders[name])
        self.processes[name].kill()

    def destroy(self, name: str) -> None:
        """SIGKILL, and its folder is gone."""
        self.kill(name)
        shutil.rmtree(self.folders[name].path)

    def image(self, name: str) -> bytes:
        """What is on a till's disk; it is stopped for a moment, and started again."""
        self.stop(name)
        image = self._disk(name).read_bytes()
        self.start(name)
        return image

    def set_back(self, name: str, image: bytes) -> None:
        """SIGKILL, and this stands on its disk again: in the same file, so that only what is in it is older."""
        self.kill(name)
        self._disk(name).write_bytes(image)

    def _disk(self, name: str) -> Path:
        return self.folders[name].log_path / "data.mdb"

    def close(self) -> None:
        """Stop every process."""
        for name in self.folders:
            self.town.hang_up(self.folders[name])
        for process in self.processes.values():
            process.kill()

    # --- cables ------------------------------------------------------------------------------------------------------

    def pull(self, name: str) -> None:
        """Pull the cable of a till at its switch, or of one of the centre at the router."""
        self.wires.pull(self._port(name), name)
        self.cut.add(name)

    def plug(self, name: str) -> None:
        """Plug it in again."""
        self.wires.plug(self._port(name), name)
        if name in CENTRE:
            self.wires.do(WORLD, self._way(name))  # forgotten with the cable
        self.cut.discard(name)

    def _port(self, name: str) -> str:
        return WORLD if name in CENTRE else switch(store_of(name))

    def _way(self, name: str) -> str:
        """The command by which lines of shops lead to one of the centre."""
        return f"ip route replace {_network(CENTRE[name])}.0/24 dev {name} table 100"

    def pull_uplink(self, store: int) -> None:
        """Cut a store off from the world."""
        self.wires.pull(switch(store), UP)
        self.cut_off.add(store)

    def plug_uplink(self, store: int) -> None:
        """Connect it again."""
        self.wires.plug(switch(store), UP)
        self.cut_off.discard(store)

    # --- asking ------------------------------------------------------------------------------------------------------

    def call(self, name: str, do: str, **fields: object) -> dict[str, Any]:
        """Ask a running replica over its local socket."""
        return self.town.client(self.folders[name]).call(do, **fields)

    def connections(self, name: str) -> dict[str, Any]:
        """What a replica says of its sessions."""
        return self.call(name, "connections")

    def peers(self, name: str) -> set[str]:
        """With whom it has a session."""
        names = {folder.certificate.name: ours for ours, folder in self.folders.items()}
        peers = {session["peer"] for session in self.connections(name)["sessions"]}
        return {names.get(peer, peer) for peer in peers}

    @contextmanager
    def reading(self, name: str) -> Iterator[tuple[Looked, Reader]]:
        """What is on its disk now."""
        with look(self.folders[name].path) as looked, looked.log.read() as reader:
            yield looked, reader

    # --- waiting -----------------------------------------------------------------------------------------------------

    def until(
        self,
        missing: Callable[[], Iterable[str]],
        what: str,
        timeout_s: float = PATIENCE_S,
        meanwhile: Callable[[], object] = lambda: time.sleep(POLL_S),
    ) -> None:
        """Wait until nothing is missing. Raises ``TownFailed`` with what still is, and how everybody is connected."""
        deadline = time.monotonic() + timeout_s
        while left := list(missing()):
            for process in self.processes.values():
                process.check()
            if time.monotonic() > deadline:
                raise TownFailed("\n".join([f"{what} took longer than {timeout_s:g} s:", *left, *self.state()]))
            meanwhile()

    def until_up(self, *names: str, meanwhile: Callable[[], object] = lambda: time.sleep(POLL_S)) -> None:
        """Wait until these answer."""
        self.until(
            lambda: [f"{name} does not answer" for name in names if not self.is_up(name)],
            "Starting",
            PATIENCE_S,
            meanwhile,
        )

    def until_sessions(self, *pairs: tuple[str, str], timeout_s: float = PATIENCE_S) -> None:
        """Wait until the first of each pair has a session with the second."""

        def missing() -> Iterator[str]:
            for one, other in pairs:
                if other not in self.peers(one):
                    yield f"{one} has no session with {other}"

        self.until(missing, "Connecting", timeout_s)

    def state(self) -> Iterator[str]:
        """How everybody is connected, a line each, and the last words of their logs."""
        yield f"cables pulled: {sorted(self.cut) or 'none'}, stores cut off: {sorted(self.cut_off) or 'none'}"
        for name, folder in sorted(self.folders.items()):
            if not self.is_up(name):
                yield f"{name}: {'does not answer' if self.runs(name) else 'is stopped'}"
                continue
            said = self.connections(name)
            sessions = ", ".join(one["peer"] + ("" if one["caught_up"] else "…") for one in said["sessions"])
            yield f"{name} at {said['listening']}: {sessions or 'nobody'}; {said['trouble']} {said['unreachable'] or ''}"
            log = (folder.path / "run.log").read_text(errors="replace").splitlines()
            yield from (f"    {line}" for line in log[-6:])


def switch(store: int) -> str:
    """The place that is a store's switch."""
    return f"switch-{store}"


def _network(its_host: str) -> str:
    return its_host.rpartition(".")[0]


def store_of(till: str) -> int:
    return int(till.partition("-")[0])
