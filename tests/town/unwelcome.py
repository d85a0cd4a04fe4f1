"""Who else is in a town: a till of its own that has gone wrong, strangers without a certificate, and another retailer's till.

Each is a process on a machine of its own, which the town takes care of like its own, and nobody's folder to be judged.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from crdt_pos import enrolment
from crdt_pos.clock import system_ms
from crdt_pos.folder import Folder, Settings
from gossip.address import Address
from gossip.reasons import Reason
from peers.roster import StoreRecord
from tests.town.wired import WORLD, Wired, host, settings, switch
from tools.town import RUN_LOG, Process

RETAILER = "other-1-1"
HOSTILE, HOSTILE_STORE = "1-9", 1
STRANGERS = {"stranger": "10.16.0.1", "visitor": host(1, 150)}
"""One in the world and one at store 1's switch, and where they are."""
NAMES = 12
"""More than the tills of a store of which everyone talks with everyone."""
HOSTILE_REASONS = frozenset(
    {
        Reason.MALFORMED,
        Reason.UNEXPECTED,
        Reason.TOO_LARGE,
        Reason.TOO_MUCH,
        Reason.SCOPE,
        Reason.BAD_ENTRY,
    }
)
"""Why a session ends in which something was sent that may not be."""


def other_retailer(town: Wired) -> Process:
    """A till of another retailer, at store 1's switch; it has a store 1 as well."""
    at = town.town.at
    office = enrolment.create_company("Other Shops", at / "other-office", Settings(Address("", 0)), system_ms())
    enrolment.add_store(office, StoreRecord(1, legal_entity="Other Shops Ltd", currency="EUR"), system_ms())
    town.machine(RETAILER, (switch(1), RETAILER), host(1, 200))
    folder = enrolment.enrol_till(office, 1, 1, at / RETAILER, Settings(Address("", 0)), system_ms())
    return _kept(town, RETAILER, Process("till", [folder], prefix=town.wires.at(RETAILER)))


def hostile_till(town: Wired, seed: int) -> Process:
    """A till of store 1 that was enrolled like all others."""
    store, till = HOSTILE_STORE, int(HOSTILE.partition("-")[2])
    path, its_settings = town.town.at / HOSTILE, settings(town.centre)
    folder = enrolment.enrol_till(town.town.office, store, till, path, its_settings, system_ms())
    town.machine(HOSTILE, (switch(store), HOSTILE), host(store, till))
    return _kept(town, HOSTILE, _scripted(town, HOSTILE, "hostile.py", "till", folder, str(seed)))


def stranger(town: Wired, name: str, seed: int = 0, names: int = NAMES) -> Process:
    """Somebody in the world, who knows where the centre is, or somebody in store 1, who speaks in so many tills' names."""
    company, its_host = town.town.office.certificate.company.hex(), STRANGERS[name]
    centre = ",".join(map(str, settings(town.centre).peers))
    folder = enrolment.create_company("Nobody", town.town.at / name, Settings(Address("", 0)), system_ms())
    in_world = its_host.startswith("10.16.")
    town.machine(name, (WORLD if in_world else switch(1), name), its_host)
    if in_world:
        town.line(name, "10.16.0.254")
    words = (f"{seed} {name}", str(names), company, centre)
    return _kept(town, name, _scripted(town, name, "stranger.py", "office", folder, *words))


def all_of_them(town: Wired, seed: int) -> Iterator[Process]:
    """Each of these, to be started."""
    yield hostile_till(town, seed)
    for name in STRANGERS:
        yield stranger(town, name, seed)
    yield other_retailer(town)


# --- what became of them ---------------------------------------------------------------------------------------------


def endings(town: Wired) -> Counter[str]:
    """How many sessions with the hostile till ended because of what it sent, by reason, as the others noted it."""
    ended = re.compile(rf'message="session with {HOSTILE} ended: (\w+)"')
    return Counter(reason for log in _logs(town) for reason in ended.findall(log) if Reason[reason] in HOSTILE_REASONS)


def hosts_refused(town: Wired) -> set[str]:
    """Where connections came from that were refused."""
    refused = re.compile(r'message="refused a connection from ([\d.]+):')
    return {host for log in _logs(town) for host in refused.findall(log)}


def _logs(town: Wired) -> Iterator[str]:
    for folder in town.folders.values():
        yield (folder.path / RUN_LOG).read_text(errors="replace")


def _scripted(town: Wired, name: str, script: str, role: str, folder: Folder, *words: str) -> Process:
    command = [sys.executable, "-P", str(Path(__file__).with_name(script)), *words]
    return Process(role, [folder], command=command, prefix=town.wires.at(name))


def _kept(town: Wired, name: str, process: Process) -> Process:
    town.processes[name] = process
    return process
