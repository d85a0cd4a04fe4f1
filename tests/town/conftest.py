from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.town.wires import Wires, refusal

_NOT_RUN: list[str] = []


@pytest.fixture(scope="session")
def why_not() -> str:
    return refusal()


@pytest.fixture
def wires(why_not: str) -> Iterator[Wires]:
    """Places for machines, taken away afterwards whatever happens."""
    yield from _made(why_not)


@pytest.fixture(scope="module")
def wires_apart(why_not: str) -> Iterator[Wires]:
    """The same for all tests of a module."""
    yield from _made(why_not)


def _made(why_not: str) -> Iterator[Wires]:
    if why_not:
        assert os.environ.get("CRDT_POS_NAMESPACES") != "required", f"no network namespaces here: {why_not}"
        _NOT_RUN[:] = [f"tests/town was not run: no network namespaces can be made here ({why_not})."]
        pytest.skip(why_not)
    with Wires() as made:
        yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _NOT_RUN:
        terminalreporter.write_line(line)
