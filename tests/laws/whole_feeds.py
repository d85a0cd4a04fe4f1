"""States and laws of rules whose entries are operations, in ``whole`` feeds."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from merge_rules.errors import InvalidBody
from merge_rules.lattice import Author
from tests.laws.harness import RuleLaws, authors, wire

numbers = st.integers(1, 4)


def joined(rule: Any, parts: list[Any]) -> Any:
    state = rule.bottom()
    for part in parts:
        state = state.join(part)
    return state


def entries(rule: Any, bodies: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """States from entries of honest authors and of liars: the same number twice, dots that nobody ever used."""

    def part(author: Author, seq: int, body: Any) -> Any:
        try:
            return rule.from_entry(author, seq, body)
        except InvalidBody:
            return rule.bottom()

    return st.lists(st.builds(part, authors, numbers, bodies), max_size=6).map(lambda parts: joined(rule, parts))


class WholeLaws(RuleLaws):
    """In whole feeds an entry is one operation, and a delta gives it back."""

    def seq_of(self, state: Any, author: Author) -> int | None:
        body = state.entry_body(author)
        if body in ({}, None):
            return None
        return next((seq for seq in range(9, 0, -1) if self.is_part(state, author, seq, body)), None)

    def is_part(self, state: Any, author: Author, seq: int, body: Any) -> bool:
        try:
            return self.rule.from_entry(author, seq, wire(body)).precedes(state)
        except InvalidBody:
            return False
