"""What a replica says of itself while it runs: one line for each event, for people and for programs that collect them.

``text`` is ``name=value`` pairs (values with spaces in quotes), ``json`` an object. The same fields in both: ``time``, ``level``,
``replica``, ``source``, ``message``, whatever the event names besides (``peer``, ``reason`` …), and ``traceback``. Under
systemd's journal a line begins with its priority in place of the time and the level, which the journal keeps itself
(sd-daemon(3)).
"""

from __future__ import annotations

import datetime
import json
import logging
from contextvars import ContextVar
from enum import StrEnum
from typing import Final

REPLICA: Final[ContextVar[str]] = ContextVar("replica", default="")
"""Whose event it is: one process may run several replicas. Tasks and threads inherit it."""


class Style(StrEnum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


_PRIORITIES: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """Formats a record as one line, whatever is in it. Fields come from ``extra``."""

    def __init__(self, style: Style, *, to_journal: bool = False) -> None:
        super().__init__()
        self._style_of_line = style
        self._to_journal = to_journal

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields = self._fields(record)
        if self._style_of_line is Style.JSON:
            line = json.dumps(fields, ensure_ascii=False, default=str)
        else:
            line = " ".join(f"{name}={_quoted(str(value))}" for name, value in fields.items())
        return f"<{_PRIORITIES.get(record.levelno, 5)}>{line}" if self._to_journal else line

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        fields: dict[str, object] = {}
        if not self._to_journal:
            moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
            fields = {"time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
            fields["level"] = record.levelname.lower()
        if REPLICA.get():
            fields["replica"] = REPLICA.get()
        fields |= {"source": record.name, "message": record.getMessage()}
        fields |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return fields


def _quoted(value: str) -> str:
    if value and value.isprintable() and not any(sign in value for sign in ' "=\\'):
        return value
    return json.dumps(value, ensure_ascii=False)
