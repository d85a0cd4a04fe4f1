"""What Hypothesis draws for tests of entries: documents, bodies, whole entries."""

from __future__ import annotations

from hypothesis import strategies as st

from gossip.document import Document, FeedType, ScopeClass
from gossip.entry import Entry, Hash, sign
from peers.keys import SecretKey, author_of

KEY = SecretKey(bytes(range(32)))
AUTHOR = author_of(KEY.public, "a1")

scalars = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.integers(0, 30),
    st.binary(max_size=12),
    st.text(max_size=8),
    st.booleans(),
    st.none(),
)


def _containers(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.integers(0, 40), inner, max_size=5),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.dictionaries(st.binary(max_size=3), inner, max_size=3),
    )


bodies = st.recursive(scalars, _containers, max_leaves=12)
documents = st.builds(
    Document,
    st.sampled_from(["day", "journal", "balance", "köln"]),
    st.integers(0, 2**16 - 1),
    st.lists(
        st.one_of(st.integers(0, 2**64 - 1), st.text(max_size=5), st.binary(max_size=8)), min_size=1, max_size=3
    ).map(tuple),
)


@st.composite
def entries(draw: st.DrawFn, feed: FeedType | None = None) -> Entry:
    """A signed entry; in ``whole`` feeds after number 1 with a previous hash."""
    feed = feed if feed is not None else draw(st.sampled_from(FeedType))
    seq = draw(st.one_of(st.integers(1, 3), st.integers(1, 2**40)))
    previous = Hash(draw(st.binary(min_size=32, max_size=32))) if feed is FeedType.WHOLE and seq > 1 else None
    scope = draw(st.sampled_from(ScopeClass))
    return sign(KEY, AUTHOR, draw(documents), feed, scope, seq, draw(st.integers(0, 2**64 - 1)), draw(bodies), previous)
