"""What is only weather stops no till: no multicast, a clock that is wrong, a disk without room."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crdt_pos import enrolment
from crdt_pos.clock import system_ms
from crdt_pos.folder import Folder, Settings
from crdt_pos.journal import find
from crdt_pos.local import LocalRefused
from gossip.address import Address
from tests.system.shops import DATE, reading, records, run
from tests.system.single import Single, single, until
from tools.cable import LOOPBACK
from tools.town import Town


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """Store 12 without tills."""
    return Town.found(
        tmp_path, "Corner Shops", records(12), 0, Settings(Address(LOOPBACK, _free_port()), multicast=False)
    )


def enrol(town: Town, till: int, settings: Settings | None = None, at: Path | None = None) -> Folder:
    path = (at or town.at) / f"till-{till}"
    return enrolment.enrol_till(town.office, 12, till, path, settings or _to(town), system_ms())


# --- multicast ---


def test_where_multicast_does_not_work_a_till_says_so_and_sells_and_meets_those_it_dials(town: Town) -> None:
    missing = Settings(Address(LOOPBACK, 0), (town.office.settings.listen,), interfaces=("198.51.100.1",))
    folder = enrol(town, 1, missing)
    with single(town.office), single(folder) as till:
        till.call("open", date=DATE)
        till.sell()
        until(lambda: "Multicast DNS" in till.call("connections")["trouble"], "the till says what does not work")
        assert "name the peers instead" in till.said()
        until(lambda: len(till.call("connections")["sessions"]) == 1, "the till has met the office")
        assert till.sell()["number"] == "12-1-a1-2"


def test_a_till_without_any_network_sells(town: Town) -> None:
    cut_off = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*cut_off, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody make a network namespace")
    everywhere = Settings(Address(LOOPBACK, 0), (town.office.settings.listen,))
    folder = enrol(town, 1, everywhere)
    with single(town.office), single(folder, cut_off) as till:
        till.call("open", date=DATE)
        until(lambda: "ulticast" in till.call("connections")["trouble"], "the till says what does not work")
        until(lambda: till.call("connections")["unreachable"] != {}, "the till says that the office does not answer")
        assert till.sell()["number"] == "12-1-a1-1"
        assert till.call("close")["report"]["sales_minor"] == 119


# --- clocks ---


def test_with_a_clock_at_2000_a_till_asks_for_the_date_sells_and_is_understood_by_the_others(town: Town) -> None:
    folder = enrol(town, 1)
    with single(folder) as till:
        till.call("open", date="2026-11-19")
        till.sell(500)
        till.call("close")
    with single(town.office), _clock("@2000-01-01 00:00:00", folder) as till:
        with pytest.raises(LocalRefused, match=r"The clock is before the last close.*say which business date it is"):
            till.call("open")
        assert till.call("open", date=DATE)["business_date"] == DATE
        assert datetime.datetime.fromtimestamp(till.sell()["stamp_ms"] / 1000, datetime.UTC).year == 2000
        till.call("close")
        until(lambda: _takings(town.office) == 119, "the office has the day")
    for one in (folder, town.office):
        verified = run("verify", "--at", one.path)
        assert verified.returncode == 0, verified.stdout


@pytest.mark.parametrize("hours", [2, -2])
def test_two_hours_off_a_till_sells_and_every_book_is_right(town: Town, hours: int) -> None:
    right, wrong = enrol(town, 1), enrol(town, 2)
    with single(town.office) as office, single(right) as one, _clock(f"{hours:+}h", wrong) as two:
        begins_ms = system_ms() + 3_600_000
        office.call("price", product=1, amount_minor=100, valid_from_ms=1)
        office.call("price", product=1, amount_minor=300, valid_from_ms=begins_ms)
        for till in (one, two):
            till.call("open", date=DATE)
            until(lambda till=till: _price(till) in (100, 300), "the till knows the price")
            till.call("sell", lines=[{"product": 1}])
            till.call("close")
        # What begins in an hour has begun where the clock is two hours ahead. The sale stands either way.
        due = 400 if hours > 0 else 200
        until(lambda: _takings(town.office) == due, "the office has both days")
        books = _books(town.office)
        assert books["final"]
        assert books["variances"] == []
    for folder in (right, wrong, town.office):
        verified = run("verify", "--at", folder.path)
        assert verified.returncode == 0, verified.stdout


# --- disks ---


@contextlib.contextmanager
def _small_file(till: Single) -> Iterator[None]:
    """No file of the till may grow further."""
    size = (till.folder.log_path / "data.mdb").stat().st_size
    limits = resource.prlimit(till.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(till.process.pid, resource.RLIMIT_FSIZE, (size, limits[1]))
    yield
    resource.prlimit(till.process.pid, resource.RLIMIT_FSIZE, limits)


@contextlib.contextmanager
def _filled(till: Single) -> Iterator[None]:
    """No room is left on the file system of the till's folder."""
    filler = till.folder.path / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    yield
    filler.unlink()


@pytest.fixture(params=["file", "file system"])
def full(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Path, Callable[[Single], contextlib.AbstractContextManager[None]]]]:
    """Where the till's folder lies, and how it is left without room."""
    if request.param == "file":
        yield tmp_path / "tills", _small_file
        return
    at = tmp_path / "small"
    at.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", at], capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield at, _filled
    finally:
        subprocess.run(["umount", "--lazy", at], check=True)


def test_on_a_full_disk_a_till_refuses_in_a_sentence_loses_nothing_and_goes_on_when_there_is_room(
    town: Town, full: tuple[Path, Callable[[Single], contextlib.AbstractContextManager[None]]]
) -> None:
    at, without_room = full
    folder = enrol(town, 1, at=at)
    quick = "import crdt_pos.replica; crdt_pos.replica.CHECKPOINT_S = 0.05; from crdt_pos.__main__ import main; main()"
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(Path.cwd())!r}); {quick}"]
    given: list[str] = []
    with single(town.office), single(folder, command=command) as till:
        till.call("open", date=DATE)
        given.append(till.sell()["number"])
        with without_room(till):
            with pytest.raises(
                LocalRefused, match=r"No space is left for the log in .*: nothing was written, make room"
            ):
                given.extend(till.sell()["number"] for _ in range(5_000))
            # It answers, looks things up, and says what is the matter.
            assert till.call("receipt", number=given[-1])["receipt"]["number"] == given[-1]
            until(lambda: _says_so(till, given), "the till says so")
        given.append(till.sell()["number"])
        assert [int(number.rpartition("-")[2]) for number in given] == list(range(1, len(given) + 1))
        till.call("close")
        until(lambda: _takings(town.office) == 119 * len(given), "the office has the day")
    with reading(folder) as reader:
        assert all(find(reader, number) is not None for number in given)
    verified = run("verify", "--at", folder.path)
    assert verified.returncode == 0, verified.stdout


# --- within ---


def _says_so(till: Single, given: list[str]) -> bool:
    """Whether a till says after a sale that it refused why it did. What it writes meanwhile may be smaller, and find room."""
    with contextlib.suppress(LocalRefused):
        given.append(till.sell()["number"])
    return "No space" in till.call("connections")["trouble"].capitalize()


def _to(town: Town) -> Settings:
    return Settings(Address(LOOPBACK, 0), (town.office.settings.listen,), multicast=False)


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as free:
        return free.getsockname()[1]


@contextlib.contextmanager
def _clock(moment: str, folder: Folder) -> Iterator[Single]:
    """Run a till under another clock: ``@2000-01-01 00:00:00`` or ``+2h``."""
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed")
    # The program itself would stand between us and the till: only its library is needed.
    library = subprocess.check_output(["faketime", "-f", "+0", "printenv", "LD_PRELOAD"], text=True).strip()
    false = {"LD_PRELOAD": library, "FAKETIME": moment, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with single(folder, environment=false) as till:
        yield till


def _books(folder: Folder) -> dict[str, object]:
    done = run("books", "--at", folder.path, "--json")
    return json.loads(done.stdout) if done.returncode == 0 else {"accounts": [], "final": False}


def _takings(folder: Folder) -> int:
    return sum(account["takings"]["amount_minor"] for account in _books(folder)["accounts"])


def _price(till: Single) -> int:
    try:
        return till.call("product", product=1)["product"]["unit_price_minor"]
    except LocalRefused:
        return 0
