"""What was read a moment ago is remembered within a bound, and what was let go leaves room."""

from __future__ import annotations

from gossip.log_recent import Recent


def remembered(recent: Recent[int, str], keys: range) -> set[int]:
    return {key for key in keys if recent.get(key) is not None}


def test_the_oldest_goes_first() -> None:
    recent: Recent[int, str] = Recent(30)
    for key in range(5):
        recent.keep(key, str(key), 10)
    assert remembered(recent, range(5)) == {2, 3, 4}


def test_what_is_dropped_leaves_room() -> None:
    recent: Recent[int, str] = Recent(30)
    for key in range(3):
        recent.keep(key, str(key), 10)
    recent.drop(1)
    recent.drop(1)
    recent.keep(3, "3", 10)
    assert remembered(recent, range(4)) == {0, 2, 3}
    recent.keep(4, "4", 10)
    assert remembered(recent, range(5)) == {2, 3, 4}
