"""The rule that an entry in quarantine breaks, in a word. Pure.

What stands against an entry is a sentence for people (``gossip.ingest``), with names in it; whoever counts needs few words.
"""

from __future__ import annotations

from typing import Final

RULES: Final = {
    "name": "is no name of a",
    "feed": "with another feed type or scope than its kind has",
    "permission": "may not author",
    "embedded": "embeds an entry whose signature is not its author's",
}
"""Word → what the sentence has in it."""
BODY: Final = "body"
"""Everything else is said by the merge rule of a body that has not its shape."""


def rule_broken(sentence: str) -> str:
    """``permission``, ``body`` and so on, of the sentence that says why an entry does not count."""
    return next((rule for rule, marker in RULES.items() if marker in sentence), BODY)
