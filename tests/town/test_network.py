"""What only a real network shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.town.wired import OFFICE, Wired
from tests.town.wires import Wires


@pytest.fixture
def shop(wires: Wires, tmp_path: Path) -> Iterator[Wired]:
    made = Wired.found(wires, tmp_path, 1, 2)
    try:
        made.start(*made.folders)
        made.until_up(*made.folders)
        made.until_sessions(("1-1", "1-2"), (OFFICE, "1-1"), (OFFICE, "1-2"))
        yield made
    finally:
        made.close()


def test_a_till_that_gets_another_address_is_found_again(shop: Wired) -> None:
    shop.address("1-2", "10.12.1.77")
    shop.until_sessions(("1-1", "1-2"), (OFFICE, "1-2"))
