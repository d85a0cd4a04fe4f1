"""What cannot be recovered as it was asked for is refused with the way to ask for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from crdt_pos.cli import run


def test_a_store_is_not_said_to_have_no_tills_where_nobody_was_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kit = tmp_path / "kit.txt"
    kit.write_text("words\n")
    at = tmp_path / "new"
    code = run(["recover", "store", "12", "--kit", str(kit), "--from", "127.0.0.1:1", "--at", str(at)])
    said = " ".join(capsys.readouterr().err.split())
    assert code == 2, said
    assert "has no tills" not in said
    assert f"name a head office's folder with --office, or let its tills join in {at}/till-12-1" in said
    assert not at.exists()
