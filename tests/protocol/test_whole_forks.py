"""A ``whole`` feed that branches before what is held: the rest of the branch comes, too."""

from __future__ import annotations

import pytest

from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import Entry, Hash, sign
from tests.protocol.wire import FIRST_DAY, Replica, meet, talk

LIAR = Replica(3)


def act(seq: int, body: int, previous: Hash | None = None) -> Entry:
    """An act of the liar's."""
    document = Document("journal", FIRST_DAY, (12,))
    return sign(LIAR.key, LIAR.author, document, FeedType.WHOLE, ScopeClass.STORE, seq, seq << 16, {0: body}, previous)


@pytest.mark.parametrize("announce", [False, True])
@pytest.mark.parametrize("live", [False, True])
def test_a_branch_that_begins_before_what_is_held_comes_whole(live: bool, announce: bool) -> None:
    first, other = act(1, 1), act(1, 2)
    branch = [other, act(2, 3, other.hash)]
    branch.append(act(3, 4, branch[1].hash))
    left, right = Replica(1), Replica(2, announce=announce)
    left.takes([first], LIAR.author)
    right.takes([first], LIAR.author)
    if live:
        meet(left, right)
        right.takes(branch, LIAR.author)
        right.session.wake()
        talk(left, right)
    else:
        right.takes(branch, LIAR.author)
        meet(left, right)
    assert left.holds() == right.holds() == {first.hash, *(entry.hash for entry in branch)}
