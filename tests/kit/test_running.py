"""A head office as systemd starts it: a real process, a real datagram socket; and what ``status`` says of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crdt_pos.cli import child_command, crdt_pos
from crdt_pos.clock import system_ms
from crdt_pos.enrolment import add_store, create_company, enrol_till
from crdt_pos.folder import Folder, Settings
from crdt_pos.local import LocalClient
from crdt_pos.supervisor import NOTIFY_SOCKET, Supervisor
from gossip.address import Address
from peers.roster import StoreRecord

PATIENCE_S = 60.0
WATCHDOG_S = 0.6
SETTINGS = Settings(Address("127.0.0.1", 0), multicast=False)


@pytest.fixture
def office(tmp_path: Path) -> Folder:
    return create_company("Corner Shops", tmp_path / "office", SETTINGS, system_ms())


def status(folder: Folder, *words: str) -> Result:
    return CliRunner().invoke(crdt_pos, ["status", "--at", str(folder.path), *words])


class Notified:
    """What comes to a supervisor's socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.bind(str(path))

    def next(self) -> dict[str, str]:
        """The next notification, by name."""
        lines = self.socket.recv(4096).decode().splitlines()
        return dict(line.partition("=")[::2] for line in lines)


@contextmanager
def supervised(folder: Folder, at: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], Notified]]:
    """The replica with a supervisor that asks for a sign of life."""
    heard = Notified(at / "notify")
    environment = {**os.environ, NOTIFY_SOCKET: str(at / "notify"), "WATCHDOG_USEC": str(int(WATCHDOG_S * 1_000_000))}
    role = str(folder.certificate.role)
    command = [*child_command(), role, "run", "-v", *words, "--at", str(folder.path)]
    with (at / "log").open("wb") as said:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=said)
    try:
        yield process, heard
    finally:
        process.kill()
        process.wait()
        heard.socket.close()


def test_an_office_says_when_it_is_ready_and_that_it_lives_and_stops_with_everything_said(
    office: Folder, tmp_path: Path
) -> None:
    with supervised(office, tmp_path, "--log", "json") as (process, heard):
        first = heard.next()
        assert first["READY"] == "1"
        assert first["STATUS"] == "office-a: 0 sessions"
        assert status(office).exit_code == 0  # ready means that it answers
        signs = [time.monotonic() for _ in range(3) if heard.next()["WATCHDOG"] == "1"]
        assert signs[-1] - signs[0] < 2 * WATCHDOG_S + PATIENCE_S / 10
        process.send_signal(signal.SIGTERM)
        while "STOPPING" not in (last := heard.next()):
            assert last["WATCHDOG"] == "1"
        assert process.wait(PATIENCE_S) == 0
    events = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert events
    assert {event["replica"] for event in events} == {"office-a"}


def test_a_replica_that_hangs_gives_no_sign_of_life(office: Folder, tmp_path: Path) -> None:
    with supervised(office, tmp_path) as (process, heard):
        assert heard.next()["READY"] == "1"
        assert heard.next()["WATCHDOG"] == "1"
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        heard.socket.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                heard.next()
        heard.socket.settimeout(3 * WATCHDOG_S)
        with pytest.raises(TimeoutError):
            heard.next()


def test_without_a_supervisor_nothing_is_said_and_one_that_has_gone_is_no_trouble(tmp_path: Path) -> None:
    assert Supervisor({}).beat_s is None
    Supervisor({}).ready("x")
    Supervisor({NOTIFY_SOCKET: str(tmp_path / "nobody")}).ready("x")
    assert Supervisor({"WATCHDOG_USEC": "30000000"}).beat_s == 15
    assert Supervisor({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}).beat_s is None
    assert Supervisor({"WATCHDOG_USEC": "soon"}).beat_s is None


def test_a_supervisor_with_a_name_instead_of_a_file_is_reached() -> None:
    name = f"crdt-pos-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0{name}")
        heard.settimeout(PATIENCE_S)
        Supervisor({NOTIFY_SOCKET: f"@{name}"}).alive("two\nlines")
        assert heard.recv(100) == b"WATCHDOG=1\nSTATUS=two lines"


def test_status_says_that_nothing_runs_and_what_would_start_it(office: Folder, tmp_path: Path) -> None:
    said = status(office)
    assert said.exit_code == 1
    assert f"Nothing runs in {office.path}. Start it with: crdt-pos office run --at {office.path}" in said.output
    plain = json.loads(status(office, "--json").output)
    assert (plain["running"], plain["replica"], len(plain["trouble"])) == (False, "office-a", 1)
    empty = tmp_path / "empty"
    empty.mkdir()
    done = subprocess.run([*child_command(), "status", "--at", str(empty)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "not a replica's folder" in done.stderr


def test_status_of_a_till_that_reaches_nobody_is_trouble_and_says_how_much_is_only_here(
    office: Folder, tmp_path: Path
) -> None:
    add_store(office, StoreRecord(12, legal_entity="Corner Shops Ltd"), system_ms())
    till = enrol_till(office, 12, 1, tmp_path / "till", SETTINGS, system_ms())
    with supervised(till, tmp_path) as (_, heard):
        heard.next()
        with LocalClient(till.path) as client:
            client.call("open")
            client.call("sell", lines=[{"product": 1, "unit_price_minor": 119}])
        said = json.loads(status(till, "--json").output)
        assert status(till).exit_code == 1
    assert said["running"] is True
    assert (said["replica"], said["life"], said["role"], said["peers"]) == ("12-1", "a1", "till", [])
    assert said["since_ms"] <= said["now_ms"]
    assert (said["safe"]["copies"], said["safe"]["waiting"]) == (0, 2)
    assert said["business_date"]
    assert said["trouble"] == ["It has a session with nobody; the roster names office-a. 2 of its acts are only here."]
