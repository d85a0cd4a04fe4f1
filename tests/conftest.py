"""Settings for all tests: Hypothesis draws the same examples every time, so that a red build is red for everyone."""

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

from tools.bytecode import keep_bytecode

keep_bytecode()
settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")


LONGEST = ("town", "system", "vault", "hostile", "net")
"""Folders of tests that take long. They come first: where files run side by side, none of them is left alone in the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return LONGEST.index(folder) if folder in LONGEST else len(LONGEST)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def strace() -> str:
    """The program that records what a process writes and syncs."""
    found = shutil.which("strace")
    if found is None:
        assert not os.environ.get("CI"), "strace is missing: the power cut tests cannot run"
        pytest.skip("strace is not installed: the writes of a process cannot be recorded")
    return found
