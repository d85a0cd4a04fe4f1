"""The figures of ``bench sync`` come from the session: entries that moved, bytes that the pipe carried."""

from __future__ import annotations

from pathlib import Path

import pytest

from gossip import frames
from gossip.messages import Bye
from gossip.reasons import Reason
from tools.bench_sync import SCOPES, Pair, Shape, targets
from tools.piped import meet

FEEDS = 600
BYE = frames.encode(Bye(Reason.DONE, ""))
"""Said once all is measured."""


def nobody_looks(_what: str, _done: int, _of: int) -> None:
    return None


@pytest.mark.parametrize("differing", [0, 1, 3])
def test_exactly_what_differs_moves_and_every_byte_of_it_is_counted(tmp_path: Path, differing: int) -> None:
    pair = Pair.build(tmp_path, Shape(FEEDS, 100), nobody_looks)
    try:
        met = pair.met(differing)
        one, other = pair.sides
        assert one.entries_received + other.entries_received == differing
        assert met.wire_bytes == one.session.bytes_sent + other.session.bytes_sent - len(BYE)
        assert met.wire_bytes > met.entries_bytes
        assert (met.entries_bytes > 0) is (differing > 0)
        with one.log.read() as left, other.log.read() as right:
            scopes = sorted(SCOPES)
            assert [left.fingerprint(scope) for scope in scopes] == [right.fingerprint(scope) for scope in scopes]
        again = meet(one, other)
        assert one.entries_received + other.entries_received == 0
        assert again.carried_bytes < 600
    finally:
        for side in pair.sides:
            side.log.close()


def test_a_target_that_is_missed_is_said_to_be() -> None:
    row = {"feeds": 1_000_000, "d": 1, "entries, bytes": 160, "session, bytes": 2_592}
    assert [one["met"] for one in targets([row], [])] == ["yes"]
    assert [one["met"] for one in targets([{**row, "session, bytes": 2_593}], [])] == ["no"]
