"""What only the log on the disk can get wrong: its file, other processes, a full disk, a copied folder."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossip.errors import LogCorrupt, LogError, LogForeign, LogFull
from gossip.log import Arrival, Outcome
from gossip.log_lmdb import LmdbLog
from tests.log.making import COMPANY, PEER, SCHEMA, append, chain, day, entry, journal

ROOT = Path(__file__).parents[2]


def opened(folder: Path, **options: object) -> LmdbLog:
    return LmdbLog.open(folder, SCHEMA, COMPANY, **options)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a closed log with 30 entries."""
    log = opened(tmp_path / "log")
    append(log, *chain(journal(), 30))
    log.close()
    return tmp_path / "log"


def test_a_log_is_the_same_after_it_was_closed(folder: Path) -> None:
    first = opened(folder)
    database = first.database
    first.close()
    again = opened(folder)
    try:
        with again.read() as reader:
            assert again.database == database
            assert reader.last_arrival() == 30
            assert [stored.entry for stored in reader.entries(chain(journal(), 1)[0].feed_id)] == chain(journal(), 30)
    finally:
        again.close()


def test_a_folder_is_opened_once_per_process(folder: Path) -> None:
    log = opened(folder)
    with pytest.raises(LogError, match="open in this process already"):
        opened(folder.parent / "." / folder.name)
    log.close()
    opened(folder).close()


def test_reading_where_there_is_no_log_says_so_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="there is no log"):
        opened(tmp_path / "nothing", read_only=True)
    assert not (tmp_path / "nothing").exists()


def test_a_log_opened_for_reading_refuses_to_append(folder: Path) -> None:
    log = opened(folder, read_only=True)
    with pytest.raises(LogError, match="for reading only"):
        append(log, entry(day(), 1, {}))
    log.close()


def test_another_companys_log_is_foreign(folder: Path) -> None:
    with pytest.raises(LogForeign, match="another company"):
        LmdbLog.open(folder, SCHEMA, b"another company")


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("keep_bytes", [0, 1, 100, 4096, 8192, 12288, 30000])
def test_a_file_cut_short_is_corrupt(folder: Path, keep_bytes: int, read_only: bool) -> None:
    os.truncate(folder / "data.mdb", keep_bytes)
    with pytest.raises(LogCorrupt):
        opened(folder, read_only=read_only)
    assert (folder / "data.mdb").stat().st_size == keep_bytes


def test_a_file_that_is_something_else_is_corrupt(folder: Path) -> None:
    (folder / "data.mdb").write_bytes(b"This is a letter to the tax office." * 4000)
    with pytest.raises(LogCorrupt):
        opened(folder)


@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"x"])
def test_any_overwritten_page_is_corrupt_or_not_in_use(folder: Path, fill: bytes, tmp_path: Path) -> None:
    whole = (folder / "data.mdb").read_bytes()
    found = 0
    for page in range(len(whole) // 4096):
        (folder / "data.mdb").write_bytes(whole[: page * 4096] + fill * 4096 + whole[(page + 1) * 4096 :])
        try:
            log = opened(folder, read_only=True)
        except LogCorrupt:
            found += 1
            continue
        try:
            with log.read() as reader:
                entries = [stored.entry for stored in reader.arrivals(0, 99)]
            # A spoilt meta page may leave the state before the last commit.
            assert entries in (chain(journal(), 30), [])
        except LogCorrupt:
            found += 1
        finally:
            log.close()
    assert found >= 3


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_flipped_bit_is_never_read_as_something_else(damaged: tuple[Path, bytes], data: st.DataObject) -> None:
    folder, whole = damaged
    at = data.draw(st.integers(0, len(whole) * 8 - 1))
    spoilt = bytearray(whole)
    spoilt[at // 8] ^= 1 << at % 8
    (folder / "data.mdb").write_bytes(spoilt)
    genuine = chain(journal(), 30)
    try:
        log = opened(folder, read_only=True)
    except LogError:
        return
    try:
        with log.read() as reader:
            assert [s.entry for s in reader.entries(genuine[0].feed_id)] in (genuine, []) or reader.last_arrival() < 30
            list(reader.documents())
            list(reader.feeds("journal/12"))
    except LogCorrupt:
        pass
    finally:
        log.close()


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("damaged") / "log"
    log = opened(folder)
    append(log, *chain(journal(), 30))
    log.close()
    return folder, (folder / "data.mdb").read_bytes()


def test_a_full_map_keeps_nothing_of_the_batch_and_the_log_goes_on(tmp_path: Path) -> None:
    log = opened(tmp_path / "log", map_bytes=200_000)
    kept = 0

    def fill() -> None:
        nonlocal kept
        for number in itertools.count(1):
            append(log, *(entry(day(20000 + at, number), 1, {1: 1}) for at in range(20)))
            kept = number * 20

    with pytest.raises(LogFull):
        fill()
    with log.read() as reader:
        assert reader.last_arrival() == len(list(reader.arrivals(0, 10**6))) == kept
    log.close()
    roomier = opened(tmp_path / "log")
    assert append(roomier, entry(day(), 9999, {}))[0].outcome is Outcome.NEW
    roomier.close()


def test_a_copied_folder_is_read_only_until_it_is_adopted(folder: Path) -> None:
    copy = folder.parent / "copy"
    shutil.copytree(folder, copy)
    log = opened(copy)
    assert log.copied
    with pytest.raises(LogError, match="copy of another"):
        append(log, entry(day(), 1, {}))
    with log.read() as reader:
        assert reader.last_arrival() == 30
    before = log.database
    log.adopt()
    assert not log.copied
    assert log.database != before
    append(log, entry(day(), 1, {}))
    log.close()
    again = opened(copy)
    assert not again.copied
    again.close()
    original = opened(folder)
    assert not original.copied
    original.close()


def test_a_moved_folder_is_no_copy(folder: Path) -> None:
    folder.rename(folder.parent / "elsewhere")
    log = opened(folder.parent / "elsewhere")
    assert not log.copied
    log.close()


def test_an_interrupted_making_of_a_log_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "log" / "being-made").mkdir(parents=True)
    (tmp_path / "log" / "being-made" / "data.mdb").write_bytes(b"")
    opened(tmp_path / "log").close()
    assert sorted(found.name for found in (tmp_path / "log").iterdir()) == ["data.mdb", "lock.mdb"]


READS_ALONG = """
import sys
from pathlib import Path
from gossip.log_lmdb import LmdbLog
from tests.log.making import COMPANY, SCHEMA
log = LmdbLog.open(Path(sys.argv[1]), SCHEMA, COMPANY, read_only=True)
for line in sys.stdin:
    with log.read() as reader:
        held = list(reader.arrivals(0, 10**6))
        assert [stored.arrival for stored in held] == list(range(1, reader.last_arrival() + 1))
        assert reader.view(b"count") == str(len(held)).encode(), (reader.view(b"count"), len(held))
        assert reader.heads(held[0].entry.feed_id)[0].seq == len(held)
        print(len(held), flush=True)
"""


def test_another_process_reads_whole_batches_while_this_one_writes(tmp_path: Path) -> None:
    log = opened(tmp_path / "log")
    entries = chain(journal(), 60)
    log.append([Arrival(entries[0], PEER)], [(b"count", b"1")])
    with subprocess.Popen(
        [sys.executable, "-c", READS_ALONG, str(tmp_path / "log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        seen: list[int] = []
        for at in range(1, 60, 3):
            # The other process reads while these are written, and then once more.
            reader.stdin.write("\n")
            reader.stdin.flush()
            batch = entries[at : at + 3]
            log.append([Arrival(one, PEER) for one in batch], [(b"count", str(at + len(batch)).encode())])
            seen.append(int(reader.stdout.readline()))
        reader.stdin.close()
        assert reader.wait() == 0
    log.close()
    assert seen == sorted(seen)
    assert seen[-1] > 30


FAILS = """
import sys
from pathlib import Path
from gossip.errors import LogError, LogFull
from gossip.log_lmdb import LmdbLog
from tests.log.making import COMPANY, SCHEMA, append, chain, journal
log = LmdbLog.open(Path(sys.argv[1]), SCHEMA, COMPANY)
entries = chain(journal(), 33)[30:]
said = []
for one in entries:
    try:
        append(log, one)
        said.append("fine")
    except LogFull:
        said.append("full")
    except LogError:
        said.append("failed")
print(*said)
"""


@pytest.mark.parametrize(
    ("fault", "said"), [("error=EIO:when=1", "failed failed failed"), ("error=ENOSPC:when=1", "full fine fine")]
)
def test_a_disk_that_fails_once_stops_the_log_and_a_full_one_does_not(folder: Path, fault: str, said: str) -> None:
    strace = shutil.which("strace")
    if strace is None:
        assert not os.environ.get("CI"), "strace is missing"
        pytest.skip("strace is not installed: disk faults cannot be injected")
    run = subprocess.run(
        [strace, "-qq", "-o", os.devnull, "-e", f"inject=fdatasync:{fault}", sys.executable, "-c", FAILS, str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    answers = run.stdout.split()
    if said.startswith("full"):
        # The entry that found no space is the predecessor of the next: it waits, which is no error of the log.
        assert answers[0] == "full"
        assert "failed" not in answers
    else:
        assert answers == said.split()
    log = opened(folder)
    with log.read() as reader:
        assert reader.last_arrival() == 30
        assert len(list(reader.arrivals(0, 99))) == 30
    log.close()
