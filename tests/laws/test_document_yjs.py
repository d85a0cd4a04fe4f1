from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merge_rules import yjs_update
from merge_rules.document_yjs import DocumentYjs, OpenDocument, client_id, content_hash
from merge_rules.errors import InvalidBody, NotAllowed
from merge_rules.lattice import Author
from tests.laws import spec_sets
from tests.laws.harness import AUTHORS, FEW, History, LatticeLaws, Trial, follows_specification, wire
from tests.laws.whole_feeds import joined

NORTH, SOUTH, WEST = AUTHORS[:3]

changes = st.dictionaries(st.sampled_from(["tea", "milk"]), st.none() | st.sampled_from([b"", b"1", b"22"]), min_size=1)


def signed(state: DocumentYjs, author: Author, body: object) -> DocumentYjs:
    """The entry that carries ``body``, as ``author``'s next."""
    own = [seq for who, seq in state.updates if who == author]
    seq = max(own, default=state.covered.get(author, 0)) + 1
    return DocumentYjs.from_entry(author, seq, wire(body))


def edited(state: DocumentYjs, author: Author, change: dict[str, bytes | None]) -> DocumentYjs:
    body = state.edit_body(author, change)
    return DocumentYjs.bottom() if body is None else signed(state, author, body)


def history(changes_: list[tuple[int, Any, bool]]) -> list[DocumentYjs]:
    """Deltas of three authors, each of which learns of the others' edits only where told so."""
    states, deltas = [DocumentYjs.bottom()] * 3, list[DocumentYjs]()
    for who, change, meets in changes_:
        if meets:
            states[who] = states[who].join(states[(who + 1) % 3])
        delta = edited(states[who], AUTHORS[who], change)
        states[who] = states[who].join(delta)
        deltas.append(delta)
    return deltas


histories = st.lists(st.tuples(st.integers(0, 2), changes, st.booleans()), min_size=1, max_size=6).map(history)


def some_of(deltas: list[DocumentYjs], choice: list[bool], compact: bool) -> DocumentYjs:
    state = joined(DocumentYjs, [delta for delta, chosen in zip(deltas, choice, strict=False) if chosen])
    if compact:
        try:
            state = state.join(signed(state, WEST, state.snapshot_body()))
        except NotAllowed:
            pass
    return state


class TestYjsDocument(LatticeLaws):
    rule = DocumentYjs
    states = st.builds(some_of, histories, st.lists(st.booleans(), min_size=6, max_size=6), st.booleans())


def test_yjs_documents_follow_their_specification() -> None:
    def perform(state: DocumentYjs, author: Author, operation: tuple[Any, ...]) -> DocumentYjs:
        match operation:
            case ("set", key, value):
                return edited(state, author, {key: value})
            case ("delete", key):
                return edited(state, author, {key: None})
            case _:
                return signed(state, author, state.snapshot_body())

    def invariant(state: DocumentYjs, seen: History, everything: History) -> None:
        spec = spec_sets.YjsMap(everything, client_id)
        assert state.items() == spec.shown(set(seen))
        if not state.covered:
            assert state.waiting() == spec.waiting(set(seen))

    keys = st.sampled_from(["tea", "milk"])
    sets = st.tuples(st.just("set"), keys, st.sampled_from([b"1", b"22", b"333"]))
    operations = st.one_of(sets, sets, sets, st.tuples(st.just("delete"), keys), st.just(("snapshot", "")))
    follows_specification(
        Trial(
            DocumentYjs.bottom(),
            operations,
            perform,
            lambda state: None,
            lambda history: None,
            whole=True,
            steps_max=25,
            invariant=invariant,
        ),
        examples=40,
    )


def chain() -> list[DocumentYjs]:
    """Four entries, each of which needs the one before: of two authors, over two keys."""
    state, deltas = DocumentYjs.bottom(), list[DocumentYjs]()
    for author, change in (
        (NORTH, {"tea": b"1", "bread": b"0"}),
        (SOUTH, {"tea": b"2", "milk": b"3"}),
        (NORTH, {"tea": b"9", "bread": None}),
        (SOUTH, {"milk": b"4", "tea": b"5"}),
    ):
        deltas.append(edited(state, author, change))
        state = state.join(deltas[-1])
    return deltas


def updates_of(deltas: list[DocumentYjs]) -> list[bytes]:
    return [encoded for delta in deltas for encodings in delta.updates.values() for encoded in encodings]


def test_open_documents_converge_under_every_order_and_every_duplicate() -> None:
    updates = updates_of(chain())
    hashes = set()
    for order in permutations(updates):
        document = OpenDocument()
        for update in (*order, *reversed(order)):
            document.apply(update)
        assert document.items() == {"milk": b"4", "tea": b"5"}
        assert not document.waiting
        hashes.add(document.content_hash())
    assert len(hashes) == 1


def test_updates_wait_for_their_predecessors_and_then_count() -> None:
    first, second, third, fourth = updates_of(chain())
    document = OpenDocument()
    assert document.apply(fourth) == document.apply(second) == frozenset()
    assert (document.waiting, document.items(), document.known) == (2, {}, {})
    assert document.apply(first) == {"tea", "milk", "bread"}
    assert (document.waiting, document.items()) == (1, {"bread": b"0", "milk": b"3", "tea": b"2"})
    assert document.apply(third) == {"tea", "milk", "bread"}
    assert (document.waiting, document.items()) == (0, {"milk": b"4", "tea": b"5"})


def test_four_updates_that_pycrdt_alone_loses_all_arrive() -> None:
    writer = OpenDocument(NORTH)
    updates = [writer.set(key, value) for key, value in (("a", b"0"), ("a", b"1"), ("a", b"2"), ("b", b"3"))]
    reader = OpenDocument()
    for at in (0, 3, 2, 1):
        reader.apply(updates[at] or b"")
    assert reader.items() == {"a": b"2", "b": b"3"}


@given(histories, histories)
@FEW
def test_content_hashes_are_equal_exactly_when_the_content_is(one: list[DocumentYjs], other: list[DocumentYjs]) -> None:
    a, b = joined(DocumentYjs, one), joined(DocumentYjs, other)
    assert (a.content_hash() == b.content_hash()) is (a.items() == b.items())


def test_a_deletion_shows_in_the_content_hash_though_not_in_the_state_vector() -> None:
    state = edited(DocumentYjs.bottom(), NORTH, {"tea": b"1"})
    after = state.join(edited(state, SOUTH, {"tea": None}))
    assert after.state_vector() == state.state_vector()
    assert after.content_hash() != state.content_hash()


def test_the_changed_keys_of_an_update_are_those_that_it_touches() -> None:
    writer, reader = OpenDocument(NORTH), OpenDocument()
    assert reader.apply(writer.edit({"tea": b"1", "milk": b"2"}) or b"") == {"tea", "milk"}
    assert reader.apply(writer.edit({"tea": b"3"}) or b"") == {"tea"}
    assert reader.apply(writer.delete("milk") or b"") == {"milk"}
    assert writer.edit({"tea": b"3", "milk": None}) is None


def test_an_update_since_a_state_vector_brings_a_document_up_to_date() -> None:
    writer, reader = OpenDocument(NORTH), OpenDocument()
    reader.apply(writer.set("tea", b"1") or b"")
    known = dict(reader.known)
    writer.set("milk", b"2")
    writer.delete("tea")
    reader.apply(writer.update_since(known))
    assert (reader.items(), reader.known) == (writer.items(), writer.known)
    fresh = OpenDocument()
    fresh.apply(writer.update_since({}))
    assert fresh.items() == writer.items()


def test_a_snapshot_stands_for_what_it_covers_and_edits_go_on_after_it() -> None:
    state = joined(DocumentYjs, chain())
    snapshot = signed(state, SOUTH, state.snapshot_body())
    compact = state.join(snapshot)
    assert len(compact.updates) == 1
    assert compact.items() == state.items()
    assert joined(DocumentYjs, [snapshot, *chain()]) == compact
    newcomer = DocumentYjs.bottom().join(snapshot)
    assert newcomer == compact
    after = newcomer.join(edited(newcomer, NORTH, {"tea": b"6"}))
    assert state.join(after).items() == after.items() == {"milk": b"4", "tea": b"6"}
    assert len(after.join(signed(after, NORTH, after.snapshot_body())).updates) == 1


def test_no_snapshot_is_made_over_a_gap_or_over_what_waits() -> None:
    first, second, third, fourth = chain()
    for parts in ([third], [second], [first, third, fourth], []):
        with pytest.raises(NotAllowed):
            joined(DocumentYjs, parts).snapshot_body()


def test_an_author_whose_own_updates_wait_does_not_edit() -> None:
    _, second, _, _ = chain()
    with pytest.raises(NotAllowed):
        second.edit_body(SOUTH, {"tea": b"9"})
    assert second.edit_body(WEST, {"tea": b"9"}) is not None


def test_entries_that_contradict_each_other_are_read_alike_in_every_order() -> None:
    lies = [edited(DocumentYjs.bottom(), NORTH, {"tea": bytes([n])}) for n in range(3)]
    shown = {tuple(joined(DocumentYjs, list(order)).items().items()) for order in permutations(lies)}
    assert len(shown) == 1


@pytest.mark.parametrize("value", [1, 1.5, "text", True, ["x"], bytearray(b"x")])
def test_values_other_than_bytes_are_refused_and_change_nothing(value: Any) -> None:
    document = OpenDocument(NORTH)
    with pytest.raises(InvalidBody):
        document.edit({"milk": b"1", "tea": value})
    assert document.items() == {}


@pytest.mark.parametrize("key", ["x" * 257, "\ud800", 7])
def test_keys_out_of_bounds_are_refused(key: Any) -> None:
    with pytest.raises(InvalidBody):
        OpenDocument(NORTH).edit({key: b"1"})


def test_an_update_under_anothers_client_id_is_refused() -> None:
    body = DocumentYjs.bottom().edit_body(NORTH, {"tea": b"1"})
    with pytest.raises(InvalidBody):
        DocumentYjs.from_entry(SOUTH, 1, body)


def test_a_snapshot_that_lies_about_its_content_or_its_reach_is_refused() -> None:
    state = joined(DocumentYjs, chain())
    honest: Any = state.snapshot_body()
    for lie in ({1: {}}, {1: {SOUTH: 3}}, {2: content_hash({"tea": b"5"})}, {0: updates_of(chain())[1]}):
        with pytest.raises(InvalidBody):
            DocumentYjs.from_entry(SOUTH, 3, {**honest, **lie})


@given(
    st.binary(max_size=40)
    | st.builds(
        lambda d, at, b: d[: at % len(d)] + b + d[at % len(d) :],
        st.just(updates_of(chain())[3]),
        st.integers(0, 99),
        st.binary(max_size=3),
    )
)
@settings(max_examples=200, deadline=None)
def test_rubbish_is_an_invalid_body_or_an_update_that_joins(update: bytes) -> None:
    try:
        part = DocumentYjs.from_entry(SOUTH, 1, {0: update})
    except InvalidBody:
        return
    both = joined(DocumentYjs, [*chain()[:1], part])
    assert both.items() == joined(DocumentYjs, [part, *chain()[:1]]).items()


@given(st.integers(0, 10**6), st.integers(0, 255))
@settings(max_examples=80, deadline=None)
def test_a_flipped_byte_never_brings_a_replica_down(at: int, byte: int) -> None:
    good = updates_of(chain())
    for update in (good[3], joined(DocumentYjs, chain()).open().update_since({})):
        flipped = bytearray(update)
        flipped[at % len(flipped)] = byte
        document = OpenDocument()
        try:
            for one in (*good[:3], bytes(flipped)):
                document.apply(one)
        except InvalidBody:
            continue
        document.items()


@pytest.mark.parametrize(
    "update",
    [
        b"",
        b"\x00",
        b"\x00\x00\x00",
        b"\x01\x01\x07\x00\x28\x01\x01m\x01k\x01\x7d\x01\x00",  # an integer as value
        b"\x01\x01\x07\x00\x28\x01\x01n\x01k\x01\x74\x00\x00",  # another root
        b"\x01\x01\x07\x00\x27\x01\x01m\x01k\x01\x00",  # a nested type
        b"\x01\x01\x07\x00\x0a\x05\x00",  # a skip
        b"\x01\x01\x07\x05\xa8\x07\x05\x01\x74\x00\x00",  # a struct that follows itself
        b"\x01\xff\xff\xff\xff\x0f\x07\x00",
    ],
)
def test_updates_beyond_a_flat_map_of_bytes_are_refused(update: bytes) -> None:
    with pytest.raises(InvalidBody):
        yjs_update.parse(update)


def test_client_ids_fit_into_53_bits_and_differ_where_authors_do() -> None:
    assert client_id(Author(b"\xff" * 8)) == 2**53 - 1
    assert len({client_id(author) for author in AUTHORS}) == len(AUTHORS)


def test_five_thousand_products_are_one_entry_of_less_than_a_mebibyte() -> None:
    products = {f"{n:x}": n.to_bytes(2, "big") * 40 for n in range(5000)}
    state = edited(DocumentYjs.bottom(), NORTH, dict(products))
    assert len(updates_of([state])[0]) < 2**20
    assert state.items() == products
    small = edited(state, NORTH, {"3e8": b"new price"})
    assert len(updates_of([small])[0]) < 60
    assert state.changed(state.join(small)) == {"3e8"}
