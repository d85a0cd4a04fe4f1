"""What a ``latest`` feed must hold, straight from the definition of its order, and what a hybrid logical clock must show,
straight from the pseudocode of Kulkarni et al. (2014), figure 5. Written apart from the implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def maximal(
    entries: Iterable[tuple[int, bytes, object]], includes: Callable[[object, object], bool]
) -> set[tuple[int, bytes]]:
    """(seq, hash) of the entries that no other is strictly above; ``includes(e, f)`` is body(e) ⊑ body(f)."""
    entries = list(entries)
    return {
        (seq, name)
        for seq, name, body in entries
        if not any(other != name and seq < above and includes(body, content) for above, other, content in entries)
    }


class Clock:
    """The pair (l, c): the largest physical time heard of, and a counter of events within it."""

    def __init__(self) -> None:
        self.l, self.c = 0, 0

    def send_or_local(self, pt: int) -> tuple[int, int]:
        before, self.l = self.l, max(self.l, pt)
        self.c = self.c + 1 if self.l == before else 0
        return self.l, self.c

    def receive(self, l_m: int, c_m: int, pt: int) -> tuple[int, int]:
        before, self.l = self.l, max(self.l, l_m, pt)
        if self.l == before == l_m:
            self.c = max(self.c, c_m) + 1
        elif self.l == before:
            self.c = self.c + 1
        elif self.l == l_m:
            self.c = c_m + 1
        else:
            self.c = 0
        return self.l, self.c
