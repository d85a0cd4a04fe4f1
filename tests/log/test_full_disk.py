"""A file system of one MiB that fills up: whatever room is left for a write, nothing is lost and the log goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from crdt_pos.schema import SCHEMA
from gossip.errors import LogFull
from gossip.log_lmdb import LmdbLog

PAGE = 4096


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    at = tmp_path / "small"
    at.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", at], capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", at], check=True)


@pytest.mark.parametrize("pages", [0, 1, 2, 3, 5, 8, 13, 21])
def test_however_much_of_a_write_still_fits_a_full_disk_is_called_full_and_the_log_goes_on(
    small: Path, pages: int
) -> None:
    log = LmdbLog.open(small / "log", SCHEMA, bytes(16))
    filler = small / "filler"
    with filler.open("wb", buffering=0) as file:
        written = 0
        while written >= 0:
            try:
                written = file.tell()
                file.write(bytes(PAGE))
            except OSError:
                break
    os.truncate(filler, written - pages * PAGE)
    kept: list[bytes] = []

    def fill() -> None:
        while True:
            name = b"view/%d" % len(kept)
            log.append([], [(name, os.urandom(9 * PAGE))])  # several pages, of which the first ones may still fit
            kept.append(name)

    with pytest.raises(LogFull):
        fill()
    filler.unlink()
    log.append([], [(b"view/last", b"1")])
    with log.read() as reader:
        assert {name for name, _ in reader.views(b"view/")} == {*kept, b"view/last"}
    log.close()
