"""Evidence: contradictions, what does not count, and an entry from a file, each with the rule that was broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from crdt_pos.cli import crdt_pos
from crdt_pos.forks import FORKS_DOCUMENT, judge, opened, prove
from crdt_pos.schema import SCHEMA
from crdt_pos.shell import Replica, open_replica
from crdt_pos.shell.judging import record_of
from gossip.document import Document, FeedType, ScopeClass, day_number
from gossip.entry import Entry, sign
from gossip.ingest import AuthorRecord, check
from merge_rules.lattice import Author
from peers.keys import SecretKey
from tests.books.company import BREAD, DATE, NOON_MS, Company, basket
from tests.books.company import Replica as Counter

DAY = Document("day", day_number(DATE), (12,))
FORGER = SecretKey.generate()


def signed(counter: Counter, document: Document, seq: int, body: object, *, key: SecretKey | None = None) -> Entry:
    kind = SCHEMA[document.kind]
    by = key or counter.folder.key
    return sign(by, counter.identity.author, document, kind.feed, kind.scope, seq, NOON_MS << 16, body)


class Scene:
    """A head office at which 12-1 said two things under one number, and 12-2 wrote what it may not."""

    def __init__(self, path: Path) -> None:
        self.company = company = Company.found(path)
        one, two, office = company.tills["12-1"], company.tills["12-2"], company.office
        one.till.sell(basket(BREAD))
        one.till.publish()
        company.gather()
        with office.log.read() as reader:
            (true,) = (stored.entry for stored in reader.head_entries(DAY))
        self.true = true
        self.rival = signed(one, DAY, true.seq, true.body)
        assert self.rival.hash != true.hash
        kind, stamp = SCHEMA["day"], (NOON_MS + 1) << 16
        own = one.identity
        self.not_heard_of = sign(own.key, own.author, DAY, kind.feed, kind.scope, true.seq, stamp, true.body)
        self.forged = signed(one, DAY, 9, true.body, key=FORGER)
        self.not_its_store = signed(two, Document("day", day_number(DATE), (13,)), 1, true.body)
        self.no_name = signed(two, Document("day", 0, (12,)), 1, true.body)
        self.no_body = signed(two, DAY, 1, ["nonsense"])
        self.other_feed = sign(
            two.folder.key, two.identity.author, DAY, FeedType.LATEST, ScopeClass.COMPANY, 1, NOON_MS << 16, true.body
        )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    path = tmp_path_factory.mktemp("scene")
    scene = Scene(path)
    office = scene.company.office
    record = {
        one.identity.author: AuthorRecord(one.folder.certificate.public_key, one.folder.certificate.role, 12)
        for one in scene.company.tills.values()
    }
    bad = [scene.not_its_store, scene.no_body]
    arrivals = check([scene.rival, *bad], scene.true.author, record.get, SCHEMA).arrivals
    office.log.append(arrivals, received_ms=NOON_MS)
    with office.log.read() as reader:
        me = office.identity
        proofs = prove(reader, me.key, me.author, [(scene.rival, scene.true.hash)], NOON_MS << 16)
        views = opened(reader, proofs)
    office.log.append(proofs, views, received_ms=NOON_MS)
    for _ in range(3):
        with office.log.read() as reader:
            views = judge(reader, record.get)
        office.log.append((), views)
    scene.company.close_logs()
    return scene


@pytest.fixture
def office(scene: Scene) -> Iterator[Replica]:
    with open_replica(scene.company.office.folder.path) as replica:
        yield replica


def test_a_contradiction_is_shown_with_both_entries_the_rule_and_who_proved_it(office: Replica, scene: Scene) -> None:
    said = office.forks()
    (fork,) = said["contradictions"]
    assert (fork["author"], fork["proven"], fork["rule"]) == ("12-1 a1", True, "one number")
    assert fork["stated_by"] == ["office-a a0"]
    assert {one["hash"] for one in fork["entries"]} == {scene.true.hash.hex(), scene.rival.hash.hex()}
    assert [one["signature"] for one in fork["entries"]] == ["good", "good"]
    assert said["holds_no_rights"] == ["12-1 a1"]
    assert office.forks("12-2")["contradictions"] == []


def test_the_entries_of_a_proof_go_out_as_files_that_are_judged_again(
    office: Replica, scene: Scene, tmp_path: Path
) -> None:
    office.forks(cose=tmp_path / "proofs")
    files = sorted((tmp_path / "proofs").iterdir())
    assert {file.read_bytes() for file in files} == {scene.true.raw, scene.rival.raw}
    for file in files:
        judged = office.why(file)
        assert (judged["verdict"], judged["rule"], judged["here"]) == ("contradicts", "one number", True)
        assert len(judged["rivals"]) == 1


def test_what_does_not_count_is_shown_with_the_rule_that_it_broke(office: Replica, scene: Scene) -> None:
    said = office.quarantine()
    assert {one["hash"]: one["rule"] for one in said["entries"]} == {
        scene.not_its_store.hash.hex(): "permission",
        scene.no_body.hash.hex(): "body",
    }
    assert all(one["signature"] == "good" and one["received_from"] == "12-1 a1" for one in said["entries"])
    assert set(said["rules"]) == {"permission", "body"}
    assert office.quarantine("12-1")["entries"] == []


@pytest.mark.parametrize(
    ("which", "verdict", "rule"),
    [
        ("true", "contradicts", "one number"),
        ("not_heard_of", "contradicts", "one number"),
        ("forged", "forged", "signature"),
        ("not_its_store", "quarantined", "permission"),
        ("no_name", "quarantined", "name"),
        ("no_body", "quarantined", "body"),
        ("other_feed", "quarantined", "feed"),
    ],
)
def test_an_entry_from_a_file_is_judged_as_if_a_peer_had_sent_it(
    office: Replica, scene: Scene, tmp_path: Path, which: str, verdict: str, rule: str
) -> None:
    entry: Entry = getattr(scene, which)
    file = tmp_path / "entry.cose"
    file.write_bytes(entry.raw)
    judged = office.why(file)
    assert (judged["verdict"], judged["rule"]) == (verdict, rule)
    assert judged["entry"]["hash"] == entry.hash.hex()


def test_of_an_honest_entry_it_is_said_whether_it_would_count_waits_or_was_replaced(shop: Path, tmp_path: Path) -> None:
    with open_replica(shop / "12-1") as till, open_replica(shop / "office") as office:
        rows = till.entries(f"journal/12/{DATE}", "12-1")["entries"]
        days = till.entries(f"day/12/{DATE}", "12-1")["entries"]
        for name, row in {"first": rows[0], "second": rows[1], "day": days[0]}.items():
            till.entry(row["hash"], cose=tmp_path / name)
        (tmp_path / "hex").write_text(till.entry(rows[0]["hash"])["raw"], "ascii")
        judged = {name: office.why(tmp_path / name) for name in ("first", "second", "day", "hex")}
        assert till.why(tmp_path / "first")["says"] == "it is here and counts"
    assert [(name, one["verdict"], one["rule"]) for name, one in judged.items()] == [
        ("first", "counts", ""),
        ("second", "waits", "chain"),
        ("day", "replaced", ""),
        ("hex", "counts", ""),
    ]


def test_what_nobody_here_signed_waits_and_what_is_no_entry_is_unreadable(
    office: Replica, scene: Scene, tmp_path: Path
) -> None:
    stranger = Author(b"stranger")
    entry = sign(FORGER, stranger, DAY, FeedType.LATEST, ScopeClass.STORE, 1, NOON_MS << 16, scene.true.body)
    (tmp_path / "stranger").write_bytes(entry.raw)
    (tmp_path / "cut").write_bytes(entry.raw[:-1])
    assert (office.why(tmp_path / "stranger")["verdict"], office.why(tmp_path / "cut")["verdict"]) == (
        "waits",
        "unreadable",
    )
    assert record_of(office, stranger) is None
    office.close()
    at = ["shell", "--at", str(office.looked.folder.path), "-c"]
    assert CliRunner().invoke(crdt_pos, [*at, f"why {tmp_path / 'nothing'}"]).exit_code == 2
    shown = CliRunner(env={"COLUMNS": "90"}).invoke(crdt_pos, [*at, "forks", "-c", "quarantine"])
    assert shown.exit_code == 1
    assert "rule one number: an author signs one entry under each number of a feed" in shown.output
    assert "2 entries held here and not counted" in shown.output
    assert str(FORKS_DOCUMENT) not in shown.output
