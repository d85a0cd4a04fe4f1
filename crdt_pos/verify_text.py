"""What ``verify`` found, as a person reads it, and what to do about each kind of finding. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from crdt_pos.columns import plural
from crdt_pos.verify import Report

ASK: Final = "look at it with 'explain' in 'crdt-pos shell', and ask whoever looks after the head office."
ADVICE: Final = {
    "bytes": "the disk gave back other bytes than were written. A running replica finds that by itself within a day and mends it "
    "from a peer; 'verify --heal' does so now. Have the disk checked.",
    "missing": "the disk has damaged it. Let this replica meet whoever may hold it (a neighbour; of a till's balances a head "
    "office), and 'verify --heal' again: it comes back by itself. Where nobody holds it, it is lost.",
    "signature": "this was not signed like this. Compare with another replica by 'diff' in the shell: if it differs there, the "
    "disk here is to blame; if not, its author is.",
    "certificate": "the roster here may be behind. Let this replica meet a head office, then verify again.",
    "permission": "its author may not write this. Nothing need be done here; tell the head office.",
    "body": "written by a newer version, or by no till at all. Update this replica, then verify again.",
    "chain": "what is missing comes from any replica that holds it: let them meet, then verify again.",
    "fork": "both entries are kept, in 'forks' with both signatures ('show forks' in the shell), and what they say counts as a "
    "lower bound. Who signed them holds no points to redeem until the head office decides; enrol that till again.",
    "equation": "the till that signed it reckons wrongly. Its figures stay as signed; correct them by adding, and replace it.",
    "number": "a till numbered a receipt in another's name, or left numbers out. No till finds such a receipt by another's "
    "number; tell the head office, and replace the till that signed it.",
    "day": "the summary and the journal do not agree, and the journal is the truth. 'explain' in the shell shows the summary; "
    "tell the head office which till published it.",
    "refund": "two tills that could not see each other gave the same thing back. Settle it with the customer or by adding; "
    "'books' lists it under 'To settle'.",
    "cashier": "a receipt or a record of a cashier that nobody who may has signed: the till that wrote it was tampered with, or "
    "has not heard of the cashier yet. Let this replica meet the others and verify again; then tell the head office.",
    "fingerprint": "derived sums are wrong, the entries are not. Neighbours will compare more than they need; keep the "
    "folder and report it as a mistake of this program.",
}


def report_lines(name: str, report: Report, width: int, seconds: float | None = None) -> Iterator[str]:
    """Counts, findings and advice. ``seconds``: how long it took."""
    took = "." if seconds is None else f", in {seconds:.1f} s."
    counts = (
        f"{name}: {report.entries:,} entries, {report.chains:,} chains, {report.receipts:,} receipts, "
        f"{report.days:,} days ({report.days_derived:,} derived again from their journal), "
        f"{report.fingerprints:,} fingerprints{took}"
    )
    yield click.wrap_text(counts, width)
    if report.quarantined:
        entries = plural(report.quarantined, "entry is", "entries are")
        yield click.wrap_text(f"{entries} in quarantine: kept as evidence, counted nowhere.", width)
    if not report.findings:
        yield click.style("Everything is as it must be.", fg="green")
        return
    yield click.style(f"{plural(len(report.findings) + report.left_off, 'finding')}:", fg="red")
    for found in report.findings:
        author = f" by {found.author}" if found.author else ""
        number = f", entry {found.seq}" if found.seq else ""
        line = f"{found.check}: {found.document}{author}{number}: {found.detail}"
        yield click.wrap_text(line, width, initial_indent="  ", subsequent_indent="    ")
    if report.left_off:
        yield f"  … and {report.left_off:,} more."
    yield click.style("What to do:", bold=True)
    for check in dict.fromkeys(found.check for found in report.findings):
        line = f"{check}: {ADVICE.get(check, ASK)}"
        yield click.wrap_text(line, width, initial_indent="  ", subsequent_indent="    ")
