"""The colours of the shell, which mean something; whoever sees none reads it in words all the same. Pure."""

from __future__ import annotations

from typing import Final

import click

LEGEND: Final = (
    ("red", "broken or lost: a signature, a chain, a contradiction, a replica that cannot be reached"),
    ("yellow", "pending or old: waits for something, is behind, was replaced, counts only as a lower bound"),
    ("green", "safe: signed, whole, acknowledged from a disk"),
)


def broken(text: str) -> str:
    """Broken or lost."""
    return click.style(text, fg="red")


def pending(text: str) -> str:
    """Pending or old."""
    return click.style(text, fg="yellow")


def safe(text: str) -> str:
    """Safe."""
    return click.style(text, fg="green")


def title(text: str) -> str:
    """What the lines below are about."""
    return click.style(text, bold=True)


def legend() -> list[str]:
    """What the colours mean, a line each."""
    return [f"  {click.style(colour, fg=colour)}{' ' * (8 - len(colour))}{says}" for colour, says in LEGEND]
