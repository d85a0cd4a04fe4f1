"""Folders that are not as they should be: one sentence, exit code 2, and nothing in them is touched."""

from __future__ import annotations

import random
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from crdt_pos.clock import store_clock
from crdt_pos.folder import Folder
from crdt_pos.identity import Identity
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.schema import SCHEMA
from crdt_pos.till import Till
from gossip.log_lmdb import LmdbLog
from tests.system.shops import alone, records, refusal, refused, run, run_apart
from tools.cable import LOOPBACK
from tools.town import Town

Spoil = Callable[[Path, Path], None]


@pytest.fixture(scope="module")
def sold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a till that has sold something; beside it that of another company's till."""
    at = tmp_path_factory.mktemp("folders")
    for company in ("ours", "theirs"):
        town = Town.found(at / company, company.title(), records(12), 1, alone())
        _sell(town.tills[12, 1])
    return at / "ours" / "till-12-1"


@pytest.fixture
def till(sold: Path) -> Path:
    """The same folder for every test, as it was before."""
    kept = sold.with_name("kept")
    if not kept.exists():
        shutil.copytree(sold, kept)
    for name in sorted(path.relative_to(kept) for path in kept.rglob("*") if path.is_file()):
        # Written in place: a file that was made anew would be a copy to the log.
        (sold / name).write_bytes((kept / name).read_bytes())
    return sold


def _sell(folder: Folder) -> None:
    own = folder.certificate
    identity = Identity(folder.key, own.author, own.store or 0, own.till or 0, own.incarnation, own.company)
    log = LmdbLog.open(folder.log_path, SCHEMA, own.company)
    shop = Till(log, identity, store_clock(lambda: "UTC"))
    shop.open_date()
    for cents in range(1, 200):
        shop.sell(SaleRequest((LineRequest(1, unit_price_minor=cents),)))
    shop.close_date()
    log.close()


def _of_theirs(name: str) -> Spoil:
    def spoil(till: Path, theirs: Path) -> None:
        (till / name).write_bytes((theirs / name).read_bytes())

    return spoil


def _garbage(first: int, last: int) -> Spoil:
    def spoil(till: Path, _theirs: Path) -> None:
        file = till / "log" / "data.mdb"
        content = bytearray(file.read_bytes())
        end = min(last, len(content))
        content[first:end] = random.Random(0).randbytes(end - first)
        file.write_bytes(content)

    return spoil


def _cut(size: int) -> Spoil:
    def spoil(till: Path, _theirs: Path) -> None:
        with (till / "log" / "data.mdb").open("r+b") as file:
            file.truncate(size)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        pytest.param(_of_theirs("root.pem"), "belongs to another company", id="another company's root"),
        pytest.param(_of_theirs("certificate.pem"), "belongs to another company", id="another company's certificate"),
        pytest.param(_of_theirs("log/data.mdb"), "belongs to another company", id="another company's log"),
        pytest.param(_of_theirs("key.pem"), "is not the key of", id="another replica's key"),
    ],
)
def test_a_spoilt_folder_is_refused_by_every_command_with_one_sentence_and_left_as_it_is(
    till: Path, spoil: Spoil, sentence: str
) -> None:
    spoil(till, till.parents[1] / "theirs" / "till-12-1")
    before = _contents(till)
    said = {refusal(*words, "--at", till) for words in (("till", "run"), ("books",))}
    assert len(said) == 1
    assert sentence in said.pop()
    assert _contents(till) == before


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        pytest.param(_garbage(0, 8192), "is damaged", id="garbage in both meta pages"),
        pytest.param(_garbage(8192, 1 << 30), "is damaged", id="garbage in every other page"),
        pytest.param(_cut(50_000), "cut short", id="cut short"),
        pytest.param(_cut(100), "is damaged", id="cut within the first page"),
        pytest.param(_cut(0), "cut short", id="emptied"),
    ],
)
def test_a_damaged_log_is_refused_in_one_sentence_by_who_only_reads_it_and_left_as_it_is(
    till: Path, spoil: Spoil, sentence: str
) -> None:
    spoil(till, till)
    before = _contents(till)
    assert sentence in refusal("books", "--at", till)
    assert _contents(till) == before


def test_a_till_does_not_start_on_a_port_that_is_in_use_and_starts_once_it_is_free(till: Path) -> None:
    settings = (till / "replica.toml").read_text()
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        (till / "replica.toml").write_text(settings.replace(f"{LOOPBACK}:0", f"{LOOPBACK}:{port}"))
        said = refused(run_apart("till", "run", "--at", till))
    assert said == f"Cannot listen on {LOOPBACK}:{port}: another program uses this port already."
    assert run("verify", "--at", till).returncode == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--date", "1999-01-01"), "1999-01-01"),
        (("--date", "yesterday"), "'yesterday'"),
        (("--from", "2026-11-21", "--to", "2026-11-20"), "2026-11-2"),
        (("--store", "99"), "no store 99"),
        (("--till", "9"), "no till 9"),
        (("--product", "77"), "77"),
    ],
)
def test_books_of_what_is_not_there_say_what_is(till: Path, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in refusal("books", "--at", till, *words)


def test_the_wrong_role_is_told_the_right_command(till: Path) -> None:
    assert f"'crdt-pos till run --at {till}'" in refusal("office", "run", "--at", till)


def test_a_screen_without_a_running_till_says_how_to_start_one(till: Path) -> None:
    assert f"crdt-pos till run --at {till}" in refusal("sell", "--at", till, "--code", "1")


def _contents(till: Path) -> dict[str, bytes]:
    open_files = {"running", "lock.mdb"}
    return {
        str(path.relative_to(till)): path.read_bytes()
        for path in till.rglob("*")
        if path.is_file() and path.name not in open_files
    }
