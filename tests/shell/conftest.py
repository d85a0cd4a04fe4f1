"""A shop that is looked into: a head office, two tills of which one has closed, a member; nobody runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crdt_pos.requests import LineRequest, SaleRequest, StockLine
from crdt_pos.shell import Replica, open_replica
from tests.books.company import BREAD, MILK, Company, basket

MEMBER = b"\x01\x02\x03\x04\x05\x06\x07\x08"


@pytest.fixture(scope="package")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders; 12-1 published at a moment between its sales, so that it has replaced an entry of its own."""
    path = tmp_path_factory.mktemp("shop")
    company = Company.found(path)
    one, two = company.tills["12-1"], company.tills["12-2"]
    one.till.replenish([StockLine(MILK, 24)])
    one.till.sell(SaleRequest((LineRequest(MILK, 2), LineRequest(BREAD, 1)), (), member=MEMBER))
    one.till.publish()
    one.till.sell(basket(MILK, BREAD))
    two.till.sell(basket(BREAD))
    one.till.close_date()
    two.till.publish()
    company.gather()
    company.close_logs()
    return path


@pytest.fixture
def till(shop: Path) -> Iterator[Replica]:
    """12-1 in hand."""
    with open_replica(shop / "12-1") as replica:
        yield replica


@pytest.fixture
def office(shop: Path) -> Iterator[Replica]:
    """The head office in hand."""
    with open_replica(shop / "office") as replica:
        yield replica
