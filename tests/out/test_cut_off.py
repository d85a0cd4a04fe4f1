"""What still counts of a revoked replica is the same everywhere, whatever came first."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_pos.schema import SCHEMA
from gossip.entry import Entry
from gossip.ingest import AuthorRecord, check
from peers.permissions import Role
from tests.out.signing import VARIANCES, Read, Writer, log_of, read, readmission, revocation


def stolen() -> tuple[Writer, Writer, list[Entry], list[Entry]]:
    """A till, an office, what the office knew of the till when it was stolen, and what the thief signed."""
    till, office = Writer("till"), Writer("office")
    known = [till.earned(10), till.earned(30), *till.acts("one", "two"), *till.journals("a", "b")]
    after = [till.earned(90), till.earned(200), *till.acts("three", "four"), *till.journals("c")]
    return till, office, known, after


def test_what_comes_after_a_cut_off_does_not_count_though_it_came_before_it() -> None:
    till, office, known, after = stolen()
    cut = office.state(revocation(till, known[1], known[3], journal=known[5]))
    log = log_of([*known, *after, cut])
    found = read(log, till.author)
    assert (found.said, found.journal, found.points) == (("one", "two"), ("a", "b"), 30)
    assert found.quarantined == {entry.hash for entry in after[2:]}
    with log.read_all() as reader:  # and it is passed on like everything else
        assert {one.entry.hash for one in reader.arrivals(0, 100)} >= {entry.hash for entry in after[1:]}


def test_the_embedded_entry_counts_where_a_later_one_has_replaced_it() -> None:
    till, office, known, after = stolen()
    late = log_of([after[1], office.state(revocation(till, known[1]))])
    assert read(late, till.author).points == 30


def test_the_embedded_entry_counts_where_it_has_not_come_yet() -> None:
    till, office, known, _ = stolen()
    assert read(log_of([office.state(revocation(till, known[1]))]), till.author).points == 30


def test_of_a_feed_that_no_cut_off_mentions_nothing_counts() -> None:
    till, office, known, after = stolen()
    found = read(log_of([*known, *after, office.state(revocation(till, known[3]))]), till.author)
    assert (found.said, found.journal, found.points) == (("one", "two"), (), 0)


def test_of_two_cut_offs_the_union_counts() -> None:
    till, office, known, after = stolen()
    other = Writer("other")
    one, two = office.state(revocation(till, known[0], known[2])), other.state(revocation(till, known[1], known[3]))
    found = read(log_of([*known, *after, one, two]), till.author)
    assert (found.said, found.points, len(found.heads)) == (("one", "two"), 30, 2)


def test_a_branch_that_a_thief_signs_beside_what_counts_does_not_count() -> None:
    till, office, known, _ = stolen()
    branch = till.sign(known[3].document, "forged", after=known[2])
    found = read(log_of([*known, branch, office.state(revocation(till, known[3]))]), till.author)
    assert found.said == ("one", "two")
    assert found.quarantined >= {branch.hash}


def test_what_is_readmitted_counts_with_all_before_it_in_its_chain_and_no_further() -> None:
    till, office, known, after = stolen()
    cut = office.state(revocation(till, known[1], known[3], journal=known[5]))
    back = office.state(readmission(after[0], after[2], after[4]))
    found = read(log_of([*known, *after, cut, back]), till.author)
    assert (found.said, found.journal, found.points) == (("one", "three", "two"), ("a", "b", "c"), 90)


def test_a_revoked_office_revokes_nobody_any_more() -> None:
    till, office, known, _ = stolen()
    thief, honest = Writer("thief"), office
    before = thief.state(revocation(Writer("retired")))
    after = thief.state(revocation(till))
    cut = honest.state(revocation(thief, before))
    with log_of([*known, before, after, cut]).read() as reader:
        assert reader.revoked() == {thief.author, Writer("retired").author}


def test_of_two_offices_that_revoke_each_other_neither_takes_part() -> None:
    one, other = Writer("one"), Writer("other")
    with log_of([one.state(revocation(other)), other.state(revocation(one))]).read() as reader:
        assert reader.revoked() == {one.author, other.author}


@st.composite
def histories(draw: st.DrawFn) -> tuple[Writer, list[Entry], list[Entry]]:
    """A till that signs, perhaps in two ways; offices that revoke it at different moments and readmit some; two orders."""
    till, offices = Writer("till"), [Writer("north"), Writer("south")]
    total = 0
    for _ in range(draw(st.integers(1, 8))):
        total += draw(st.integers(1, 9))
        acts = [entry for entry in till.entries if entry.document == VARIANCES]
        act = draw(st.sampled_from(("earn", "act", "journal", "branch")))
        if act == "earn":
            till.earned(total)
        elif act == "journal":
            till.journals(str(total))
        elif act == "branch" and acts:
            till.sign(VARIANCES, f"branch {total}", after=draw(st.sampled_from(acts)))
        else:
            till.acts(str(total))
    stated: list[Entry] = []
    for office in draw(st.lists(st.sampled_from(offices), min_size=1, max_size=3)):
        known = till.entries[: draw(st.integers(0, len(till.entries)))]
        newest = {entry.document.kind: entry for entry in known}
        journal = newest.pop("journal", None)
        stated.append(office.state(revocation(till, *newest.values(), journal=journal)))
    back = draw(st.lists(st.sampled_from(till.entries), max_size=2))
    stated += [offices[0].state(readmission(entry)) for entry in back]
    everything = [*till.entries, *stated]
    return till, draw(st.permutations(everything)), draw(st.permutations(everything))


@settings(max_examples=150, deadline=None)
@given(histories())
def test_what_counts_does_not_hang_on_the_order_of_arrival(history: tuple[Writer, list[Entry], list[Entry]]) -> None:
    till, one, other = history
    found: list[Read] = [read(log_of(order), till.author) for order in (one, other)]
    assert found[0] == found[1]


def test_a_revocation_that_embeds_what_its_author_never_signed_is_quarantined() -> None:
    till, office, impostor = Writer("till"), Writer("office"), Writer("impostor")
    impostor.author = till.author
    records = {
        till.author: AuthorRecord(till.key.public, Role.TILL, 12),
        office.author: AuthorRecord(office.key.public, Role.OFFICE, None),
    }
    honest, false = (office.state(revocation(till, one.earned(10))) for one in (till, impostor))
    checked = check([honest, false], None, records.get, SCHEMA)
    assert [one.quarantine is None for one in checked.arrivals] == [True, False]
