"""An open till for every test that needs just one."""

from __future__ import annotations

import pytest

from tests.till.shop import Place, opened


@pytest.fixture
def place() -> Place:
    """A till of store 12 whose date is open, on a log in memory."""
    return opened()
