"""Events as lines."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import pytest

from crdt_pos.log_lines import REPLICA, LineFormatter, Style
from crdt_pos.supervisor import is_journal


def record(message: str, *values: object, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("crdt_pos.node", logging.WARNING, __file__, 1, message, values, None)
    made.created = 1_795_176_000.25
    vars(made).update(fields)
    return made


@pytest.fixture(autouse=True)
def _at_a_till() -> None:
    REPLICA.set("12-3")


def test_a_line_of_text_has_the_fields_by_name_and_quotes_what_has_spaces() -> None:
    line = LineFormatter(Style.TEXT).format(record("session with %s", "12-1", peer="12-1", why='it said "no"'))
    assert line == (
        "time=2026-11-20T12:00:00.250Z level=warning replica=12-3 source=crdt_pos.node "
        'message="session with 12-1" peer=12-1 why="it said \\"no\\""'
    )


def test_a_line_of_json_has_the_same_fields() -> None:
    line = LineFormatter(Style.JSON).format(record("refused", dialled=True))
    assert json.loads(line) == {
        "time": "2026-11-20T12:00:00.250Z",
        "level": "warning",
        "replica": "12-3",
        "source": "crdt_pos.node",
        "message": "refused",
        "dialled": True,
    }


@pytest.mark.parametrize("style", Style)
def test_whatever_stands_in_an_event_it_is_one_line(style: Style) -> None:
    made = record("two\nlines\x1b[2Jand %s", "a\rthird\u2028fourth")
    try:
        raise ValueError("inner\nouter")
    except ValueError:
        made.exc_info = sys.exc_info()
    line = LineFormatter(style).format(made)
    assert "\n" not in line
    assert "\r" not in line
    assert "\x1b" not in line
    assert "traceback" in line


def test_the_journal_is_told_the_priority_and_keeps_the_time_itself(tmp_path: Path) -> None:
    line = LineFormatter(Style.TEXT, to_journal=True).format(record("refused"))
    assert line == "<4>replica=12-3 source=crdt_pos.node message=refused"
    with (tmp_path / "stream").open("w") as stream:
        here = os.fstat(stream.fileno())
        assert is_journal({"JOURNAL_STREAM": f"{here.st_dev}:{here.st_ino}"}, stream.fileno())
        assert not is_journal({"JOURNAL_STREAM": f"{here.st_dev}:{here.st_ino + 1}"}, stream.fileno())
    assert not is_journal({}, 2)
