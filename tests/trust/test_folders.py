"""Folders: founded and enrolled by the real commands, and every way in which one can be wrong."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crdt_pos import folder as folders
from crdt_pos.commands.company import company as company_command
from crdt_pos.commands.office import office as office_command
from crdt_pos.commands.store import store as store_command
from crdt_pos.commands.till import till as till_command
from crdt_pos.company_keys import CompanyKeys
from crdt_pos.directory import COMPANY_ROSTER, load_directory, store_roster
from crdt_pos.enrolment import create_company
from crdt_pos.errors import EnrolmentRefused, FolderError
from crdt_pos.folder import Folder, Settings, open_folder, parse_address
from crdt_pos.kit import write_kit
from crdt_pos.schema import SCHEMA
from gossip.address import Address
from gossip.errors import LogForeign
from gossip.log_lmdb import LmdbLog
from peers.permissions import Role
from peers.roster import Directory

KEYS = CompanyKeys.generate()
NOW_MS = 1_795_305_600_000
COMMANDS = {"company": company_command, "office": office_command, "store": store_command, "till": till_command}


def run(*words: object) -> Result:
    """Run a command; whatever it raises comes out."""
    name, *rest = map(str, words)
    return CliRunner().invoke(COMMANDS[name], rest, catch_exceptions=False)


@pytest.fixture
def office(tmp_path: Path) -> Path:
    """The folder of office-a, with store 12 in its roster."""
    create_company("Seed & Söhne", tmp_path / "office", Settings(Address("", folders.OFFICE_PORT)), NOW_MS, KEYS)
    run("store", "add", "--office", tmp_path / "office", "--store", 12, "--currency", "CHF", "--cash-rounding", 5)
    return tmp_path / "office"


@pytest.fixture
def till(office: Path) -> Path:
    """The folder of till 12-3."""
    enrol(office, 3, office.parent / "till")
    return office.parent / "till"


def enrol(office: Path, number: int, path: Path, *words: object) -> Result:
    return run("till", "enrol", "--office", office, "--store", 12, "--till", number, "--at", path, *words)


def directory_of(opened: Folder) -> Directory:
    log = LmdbLog.open(opened.log_path, SCHEMA, opened.root.company)
    try:
        with log.read() as reader:
            return load_directory(reader, opened.root)
    finally:
        log.close()


def test_a_company_begins_with_its_root_key_and_office_a(office: Path) -> None:
    opened = open_folder(office)
    assert (opened.certificate.name, opened.certificate.role) == ("office-a", Role.OFFICE)
    assert opened.root.name == "Seed & Söhne"
    assert (KEYS.root.public, KEYS.recovery.public) == (opened.root.public_key, opened.root.recovery_key)
    assert stat.S_IMODE((office / "key.pem").stat().st_mode) == 0o600
    directory = directory_of(opened)
    assert directory.certificate(opened.certificate.author) == opened.certificate
    assert directory.stores[12][0].currency == "CHF"
    assert "points" in directory.programmes


def test_a_new_till_knows_the_roster_before_it_has_met_anyone(office: Path, till: Path) -> None:
    opened = open_folder(till)
    assert (opened.certificate.name, opened.certificate.incarnation) == ("12-3", "a1")
    assert opened.chain == (opened.certificate.der, *open_folder(office).chain)
    directory = directory_of(opened)
    assert directory.certificate(open_folder(office).certificate.author) is not None
    assert directory.tills(12) == [opened.certificate]
    assert directory.store(12, directory.stores[12][0].valid_from) is not None
    assert directory_of(open_folder(office)).tills(12) == [opened.certificate]


def test_the_roster_that_a_till_starts_with_is_signed_by_the_office(office: Path, till: Path) -> None:
    issuer, opened = open_folder(office).certificate, open_folder(till)
    log = LmdbLog.open(opened.log_path, SCHEMA, opened.root.company)
    with log.read() as reader:
        documents = list(reader.documents())
        stored = [stored for document in documents for stored in reader.head_entries(document)]
    log.close()
    assert set(documents) == {COMPANY_ROSTER, store_roster(12)}
    assert all(one.received_from == issuer.author and one.entry.verify(issuer.public_key) for one in stored)


def test_enrolling_a_till_again_gives_it_another_life(office: Path, till: Path) -> None:
    with pytest.raises(EnrolmentRefused, match=r"12-3 is enrolled already \(a1\): give --again if that disk is lost"):
        enrol(office, 3, till.parent / "second")
    enrol(office, 3, till.parent / "second", "--again")
    first, second = open_folder(till).certificate, open_folder(till.parent / "second").certificate
    assert (first.incarnation, second.incarnation) == ("a1", "a2")
    assert first.author != second.author


def test_a_second_office_counts_lives_of_its_own(office: Path, till: Path) -> None:
    second = office.parent / "second"
    write_kit(office.parent / "kit.txt", open_folder(office).root, KEYS)
    add = ["office", "add", "--kit", office.parent / "kit.txt", "--listen", ":7421", "--at"]
    run(*add, second, "--office", office)
    assert open_folder(second).certificate.name == "office-b"
    enrol(second, 3, office.parent / "till-b", "--again")
    assert open_folder(office.parent / "till-b").certificate.incarnation == "b1"
    run(*add, office.parent / "third", "--office", second)
    assert open_folder(office.parent / "third").certificate.name == "office-c"


def test_the_settings_are_those_that_were_asked_for(office: Path) -> None:
    path = office.parent / "till"
    words = ["--listen", "127.0.0.1:7501", "--peer", "10.0.0.1", "--peer", "[::1]:99", "--wan", "daily"]
    enrol(office, 3, path, *words, "--no-multicast", "--interface", "127.0.0.1")
    settings = open_folder(path).settings
    assert settings.listen == Address("127.0.0.1", 7501)
    assert settings.peers == (Address("10.0.0.1", folders.OFFICE_PORT), Address("::1", 99))
    assert (settings.wan, settings.multicast, settings.interfaces) == ("daily", False, ("127.0.0.1",))


def test_a_store_that_is_not_in_the_roster_has_no_tills(office: Path) -> None:
    with pytest.raises(EnrolmentRefused, match="There is no store 13"):
        run("till", "enrol", "--office", office, "--store", 13, "--till", 1, "--at", office.parent / "t")
    assert not (office.parent / "t").exists()


def test_a_stores_terms_can_be_stated_again_and_from_a_later_date(office: Path) -> None:
    run("store", "add", "--office", office, "--store", 12, "--currency", "EUR")
    run("store", "add", "--office", office, "--store", 12, "--currency", "EUR", "--valid-from", "2027-01-01")
    stated = directory_of(open_folder(office)).stores[12]
    assert [(one.currency, one.valid_from.year) for one in stated] == [("EUR", 1970), ("EUR", 2027)]
    with pytest.raises(EnrolmentRefused, match="already"):
        run("store", "add", "--office", office, "--store", 12, "--currency", "EUR")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--currency", "euro"], "no currency"),
        (["--exponent", "9"], "0 to 4 decimals"),
        (["--time-zone", "Mars/Olympus"], "no time zone"),
        (["--time-zone", "../../etc/passwd"], "no time zone"),
        (["--cash-rounding", "0"], "at least 1"),
        (["--valid-from", "1900-01-01"], "1970-01-01"),
        (["--name", "x" * 300], "200 bytes"),
    ],
)
def test_a_store_with_impossible_terms_is_refused(office: Path, words: list[str], sentence: str) -> None:
    with pytest.raises(EnrolmentRefused, match=sentence):
        run("store", "add", "--office", office, "--store", 14, *words)
    assert 14 not in directory_of(open_folder(office)).stores


def test_a_till_enrols_nobody(till: Path) -> None:
    with pytest.raises(EnrolmentRefused, match="not of a head office"):
        enrol(till, 4, till.parent / "t")


def test_a_folder_in_use_is_never_written_over(office: Path, till: Path) -> None:
    before = (till / "key.pem").read_bytes()
    with pytest.raises(FolderError, match="in use already"):
        enrol(office, 4, till)
    with pytest.raises(FolderError, match="in use already"):
        run("company", "create", "Other", "--at", till)
    assert (till / "key.pem").read_bytes() == before
    assert [one.till for one in directory_of(open_folder(office)).tills(12)] == [3]


def test_nothing_is_left_where_a_folder_cannot_be_made(office: Path) -> None:
    (office.parent / "file").write_text("in the way")
    with pytest.raises(FolderError, match="cannot be made"):
        enrol(office, 3, office.parent / "file" / "till")


HOLDER = """
import sys
from pathlib import Path
from crdt_pos.folder import open_folder
with open_folder(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_running_office_is_not_changed_behind_its_back(office: Path) -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, office], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FolderError, match=rf"office-a is running \(process {holder.pid}\).*stop it first"):
            enrol(office, 3, office.parent / "till")
        holder.kill()
    enrol(office, 3, office.parent / "till")
    assert open_folder(office.parent / "till").certificate.incarnation == "a1"


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="There is no folder"):
        open_folder(tmp_path / "nowhere")
    with pytest.raises(FolderError, match="not a replica's folder"):
        open_folder(tmp_path)


@pytest.mark.parametrize("name", ["key.pem", "certificate.pem", "root.pem"])
def test_a_missing_file_is_named(till: Path, name: str) -> None:
    (till / name).unlink()
    with pytest.raises(FolderError, match=rf"{name} cannot be read: No such file"):
        open_folder(till)


@pytest.mark.parametrize("name", ["key.pem", "certificate.pem", "root.pem"])
def test_a_damaged_file_is_named(till: Path, name: str) -> None:
    (till / name).write_bytes((till / name).read_bytes()[:60])
    with pytest.raises(FolderError, match=rf"{name} does not hold"):
        open_folder(till)


def test_another_companys_root_is_told_apart(till: Path) -> None:
    run("company", "create", "Others", "--at", till.parent / "others", "--cost", "interactive")
    shutil.copy(till.parent / "others" / "root.pem", till / "root.pem")
    with pytest.raises(FolderError, match="belongs to another company"):
        open_folder(till)


def test_another_replicas_key_is_told_apart(office: Path, till: Path) -> None:
    shutil.copy(office / "key.pem", till / "key.pem")
    with pytest.raises(FolderError, match=r"key\.pem is not the key of"):
        open_folder(till)


def test_a_key_that_others_may_read_is_not_used(till: Path) -> None:
    (till / "key.pem").chmod(0o644)
    with pytest.raises(FolderError, match="chmod 600"):
        open_folder(till)


def test_another_companys_log_is_told_apart(till: Path) -> None:
    run("company", "create", "Others", "--at", till.parent / "others", "--cost", "interactive")
    shutil.rmtree(till / "log")
    shutil.copytree(till.parent / "others" / "log", till / "log")
    opened = open_folder(till)
    with pytest.raises(LogForeign, match="another company"):
        LmdbLog.open(opened.log_path, SCHEMA, opened.root.company)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("till = 3", "till = 4", "till = 4, the certificate says 3"),
        ('role = "till"', 'role = "office"', "role = 'office'"),
        ('listen = ":0"', "listen = 7", "listen is an address in quotes"),
        ('listen = ":0"', 'listen = ":eighty"', "the port is a number"),
        ('listen = ":0"', 'listen = "::1"', "in brackets"),
        ("peers = []", 'peers = "10.0.0.1:7420"', "peers is a list"),
        ("peers = []", 'peers = ["10.0.0.1"]', "write host:port"),
        ('wan = "live"', 'wan = "sometimes"', "wan is live or daily"),
        ("multicast = true", "multicast = 1", "true or false"),
        ("multicast = true", "multicats = true", "not known: multicats"),
        ("multicast = true", "multicast = maybe", "cannot be understood"),
    ],
)
def test_a_wrong_setting_is_named(till: Path, before: str, after: str, sentence: str) -> None:
    settings = (till / "replica.toml").read_text()
    assert before in settings
    (till / "replica.toml").write_text(settings.replace(before, after))
    with pytest.raises(FolderError, match=sentence):
        open_folder(till)


@pytest.mark.parametrize("name", ["key.pem", "certificate.pem", "root.pem"])
def test_what_cannot_be_read_is_named(till: Path, name: str) -> None:
    (till / name).unlink()
    (till / name).mkdir()
    with pytest.raises(FolderError, match=rf"{name} cannot be read: Is a directory"):
        open_folder(till)


def test_addresses_are_read_as_people_write_them() -> None:
    assert parse_address("office.example:7420") == Address("office.example", 7420)
    assert parse_address("[fd00::1]:1") == Address("fd00::1", 1)
    assert parse_address("[fd00::1]", 7420) == Address("fd00::1", 7420)
    assert parse_address(":0") == Address("", 0)
    for text in ("", "host", "host:", "host:99999", "a:b:1", "host:-1"):
        with pytest.raises(FolderError):
            parse_address(text)
