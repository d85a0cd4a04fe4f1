"""What only the owner may read stays so, however careless the owner's umask is."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from crdt_pos import local, sealing_segments
from crdt_pos.sealing_segments import BadSegment, open_segment
from peers.keys import SealingKey, seal
from tests.node.company import Company, running

SECRETS = ("key.pem", "root-key.pem", "recovery-key.pem", "kit")
BYTES_MORE_MAX = 64 << 20


@pytest.fixture
def careless() -> Iterator[None]:
    """Everything that is made is everybody's, unless it is said otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(at: Path) -> dict[str, int]:
    return {
        str(path.relative_to(at)): stat.S_IMODE(path.stat().st_mode) for path in at.rglob("*") if not path.is_symlink()
    }


async def test_keys_and_the_local_socket_are_the_owners_alone_under_any_umask(tmp_path: Path, careless: None) -> None:
    company = Company.found(tmp_path / "made", "12-1")
    async with running(company.office, company.tills["12-1"]):
        found = modes(tmp_path / "made")
    secret = {name: mode for name, mode in found.items() if Path(name).name.startswith(SECRETS)}
    assert {Path(name).name for name in secret} >= {"key.pem"}
    sockets = {name: mode for name, mode in found.items() if Path(name).name == local.SOCKET_NAME}
    assert len(sockets) == 2
    assert {name: mode for name, mode in (secret | sockets).items() if mode & 0o077} == {}
    # Who may write into a folder may put another key or another log there: nobody else may.
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o022} == {}
    # Who may read the log sees what the shop sold: nobody else may.
    logs = {name: mode for name, mode in found.items() if "/log" in name}
    assert logs
    assert {name: oct(mode) for name, mode in logs.items() if mode & 0o077} == {}


def test_a_segment_that_swells_is_cut_off_at_its_bound() -> None:
    key = SealingKey.generate()
    bomb = zlib.compress(bytes(1 << 28), level=9)
    assert len(bomb) < 1 << 20, "it fits into an entry"
    with pytest.raises(BadSegment, match="holds more than"):
        open_segment([sealing_segments.VERSION, seal(key.public, bomb)], key)
    # A segment's content of that size would have been four times the bound on memory.
    assert sealing_segments.CONTENT_BYTES_MAX < BYTES_MORE_MAX < 1 << 28
