from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from gossip.log import Log
from gossip.log_lmdb import LmdbLog
from gossip.log_memory import MemoryLog
from tests.log.making import COMPANY, SCHEMA

NewLog = Callable[[], AbstractContextManager[Log]]


@pytest.fixture(scope="session", params=["memory", "lmdb"])
def new_log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NewLog:
    """Opens an empty log of one implementation; as often as a test likes."""
    folders = tmp_path_factory.mktemp("logs") if request.param == "lmdb" else None
    count = itertools.count()

    @contextmanager
    def opened() -> Iterator[Log]:
        # Laws do not depend on syncing; tests/log/test_power_cut.py shows what does.
        log = LmdbLog.open(folders / str(next(count)), SCHEMA, COMPANY, sync=False) if folders else MemoryLog(SCHEMA)
        try:
            yield log
        finally:
            log.close()

    return opened


@pytest.fixture
def log(new_log: NewLog) -> Iterator[Log]:
    with new_log() as opened:
        yield opened
