from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.shops import DATE, Shops


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shops]:
    """The company, founded and started once."""
    shops = Shops.found(tmp_path_factory.mktemp("shops"))
    try:
        shops.start(*shops.folders)
        for name in shops.folders:
            if name != "office":
                shops.call(name, "open", date=DATE)
        yield shops
    finally:
        shops.close()


@pytest.fixture
def shops(running: Shops) -> Shops:
    """The company with every process up and every session there."""
    running.start(*(name for name, process in running.processes.items() if process.running is None))
    running.together()
    return running
