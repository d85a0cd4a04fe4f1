"""``quarantine``: what is held here and does not count, with the rule that it broke."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from crdt_pos.columns import plural
from crdt_pos.page import HASH_DIGITS_SHOWN, Page
from crdt_pos.shell import colours, evidence
from crdt_pos.shell.command import Argument, Command, Completes
from crdt_pos.shell.judging import RULES, rule_of
from crdt_pos.shell.replica import Replica


def answer(replica: Replica, author: str = "") -> dict[str, Any]:
    """Every entry that is held apart or hidden by a revocation, in the order of the log."""
    wanted = replica.author(author) if author else None
    rows = [
        {
            "document": str(stored.entry.document),
            **evidence.row(replica, stored),
            "counts": False,
            "reason": reason,
            "rule": rule_of(reason),
        }
        for stored, reason in replica.counted(replica.reader.quarantined(), "looking for what does not count", 0)
        if wanted in (None, stored.entry.author)
    ]
    broken = sorted({str(row["rule"]) for row in rows})
    return {"entries": rows, "rules": {name: RULES[name] for name in broken}}


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """By rule, three lines an entry."""
    rows = answered["entries"]
    for rule, text in answered["rules"].items():
        yield colours.title(click.wrap_text(f"rule {rule}: {text}", page.width, "", "  "))
        of_rule = [row for row in rows if row["rule"] == rule]
        for row in page.some(of_rule):
            yield f"  {row['document']}, by {row['author']} ({row['author_id']})"
            said = [*evidence.said(page.looked, {**row, "counts": True})]
            yield from (f"    {line}" for line in said)
            yield colours.broken(click.wrap_text(f"it does not count: {row['reason']}", page.width, "    ", "      "))
        yield from page.left(of_rule, "entry")
    if not rows:
        yield colours.safe("Nothing is in quarantine here.")
        return
    digits = rows[0]["hash"][:HASH_DIGITS_SHOWN]
    yield colours.broken(f"{plural(len(rows), 'entry', 'entries')} held here and not counted.")
    yield f"'entry {digits}' shows one whole; a head office lets what was revoked count again with 'crdt-pos readmit'."


COMMAND = Command(
    "quarantine",
    "What is held here and does not count: each entry, who signed and who sent it, and the rule that it broke.",
    "quarantine",
    answer,
    lines,
    (Argument("author", "Of one author only.", Completes.AUTHOR, optional=True),),
    trouble=lambda answered: bool(answered["entries"]),
)
