"""``verify``: every signature, chain and sum checked again."""

from __future__ import annotations

from collections.abc import Iterator

from crdt_pos import verify as checks
from crdt_pos.page import Page
from crdt_pos.schema import SCHEMA
from crdt_pos.shell.command import Command
from crdt_pos.shell.replica import Replica
from crdt_pos.verify import Finding, Report
from crdt_pos.verify_text import report_lines


def answer(replica: Replica) -> Report:
    """What ``crdt-pos verify`` finds."""
    report = checks.verify(
        replica.reader, replica.directory, SCHEMA, lambda done, of: replica.progress("checking", done, of)
    )
    if replica.looked.damage:
        report.add(Finding("bytes", "roster", "", 0, replica.looked.damage))
    return report


def lines(page: Page, answered: Report) -> Iterator[str]:
    """As ``crdt-pos verify`` says it."""
    yield from report_lines(page.looked.folder.certificate.name, answered, page.width)


COMMAND = Command(
    "verify",
    "Check every signature, chain and sum again; exit code 1 if anything is not as it must be.",
    "verify",
    answer,
    lines,
    trouble=lambda report: bool(report.findings),
)
