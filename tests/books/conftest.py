"""A company whose logs are closed again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.books.company import Company


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    """A head office and two tills of store 12."""
    made = Company.found(tmp_path)
    yield made
    made.close_logs()
