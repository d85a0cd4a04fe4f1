"""Metrics of running replicas: over HTTP from a real process, and as they change while entries come."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from crdt_pos.cli import child_command
from crdt_pos.clock import system_ms
from crdt_pos.disk_room import DiskRoom
from crdt_pos.enrolment import create_company
from crdt_pos.folder import Settings
from crdt_pos.measuring import Observer, read, seen
from crdt_pos.metric_table import METRICS, Sample
from crdt_pos.replica import RunningReplica
from crdt_pos.schema import SCHEMA
from gossip.address import Address
from gossip.document import Document, FeedType, day_number
from gossip.entry import sign
from tests.books.company import DATE
from tests.node.company import Company, Stranger, first_note, introduce, note, running, until

SETTINGS = Settings(Address("127.0.0.1", 0), multicast=False)
TODAY = day_number(DATE)


def measured(replica: RunningReplica, observer: Observer | None = None) -> dict[str, object]:
    """``name{labels}`` → value."""
    samples = read(replica, seen(replica, observer or Observer()))
    return {_series(sample): sample.value for sample in samples}


def _series(sample: Sample) -> str:
    labels = ",".join(f"{name}={value}" for name, value in sample.labels.items() if name != "replica")
    return f"{sample.metric}{{{labels}}}" if labels else sample.metric


def test_a_head_office_shows_its_metrics_to_whoever_asks_on_the_loopback_address_and_only_if_told_to(
    tmp_path: Path,
) -> None:
    pytest.importorskip("prometheus_client")
    from prometheus_client.parser import text_string_to_metric_families

    folder = create_company("Corner Shops", tmp_path / "office", SETTINGS, system_ms())
    command = [*child_command(), "office", "run", "--metrics", "0", "--at", str(folder.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            where = process.stdout.readline().removeprefix("Metrics are at ").strip()
            assert where.startswith("http://127.0.0.1:")
            assert "is ready at" in process.stdout.readline()
            with urllib.request.urlopen(where, timeout=30) as answer:
                families = {one.name: one for one in text_string_to_metric_families(answer.read().decode())}
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert set(families) == {name.removesuffix("_total") for name in METRICS}
    assert families["crdt_pos_info"].samples[0].labels["role"] == "office"
    counts = [one.value for one in families["crdt_pos_commit_seconds"].samples if one.labels.get("le") == "+Inf"]
    assert len(counts) == 2
    assert families["crdt_pos_disk_free_bytes"].samples[0].value > 0


def test_what_is_not_asked_for_is_not_loaded() -> None:
    program = (
        "import sys; import crdt_pos.commands.run, crdt_pos.replica\n"
        "print([name for name in sys.modules if 'prometheus' in name or name == 'crdt_pos.measuring'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


async def test_entries_in_and_out_sessions_lag_and_commits_are_counted_as_they_happen(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.office, company.tills["12-1"]) as (office, till):
        observer = Observer()
        office.node.on_commit = observer.committed
        before = measured(office)
        assert before["crdt_pos_sessions{state=sharing}"] == 0
        assert before["crdt_pos_entries_sent_total"] == 0
        await introduce(till, office)
        await note(till, "one", "two")
        await until(office, lambda: measured(office).get("crdt_pos_entries_received_total{kind=other}") == 2)
        await until(till, lambda: measured(till)["crdt_pos_peer_lag{peer=office-a,of=unacknowledged}"] == 0)
        after, told = measured(office, observer), measured(till)
        assert after["crdt_pos_sessions{state=sharing}"] == 1
        assert after["crdt_pos_arrivals_total"] >= before["crdt_pos_arrivals_total"] + 2  # type: ignore[operator]
        assert sum(observer.times["received"].counts) > 0
        assert observer.times["received"].sum_s > 0
        assert told["crdt_pos_entries_sent_total"] >= 2  # type: ignore[operator]
        assert told["crdt_pos_reaches_office"] == 1
        assert {"crdt_pos_copies", "crdt_pos_acts_only_here", "crdt_pos_acts_only_in_store"} <= set(told)


async def test_what_a_peer_lacks_is_told_by_scope(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1")
    async with running(company.office, company.tills["12-1"]) as (office, till):
        await introduce(till, office)
        await until(till, lambda: measured(till)["crdt_pos_peer_caught_up{peer=office-a}"] == 1)
        (link,) = till.node.links.values()
        assert till.till is not None
        till.till.open_date(DATE)  # written past the node: nobody has looked through it for the peer
        till.till.publish()
        lag = measured(till)
        assert lag["crdt_pos_peer_lag{peer=office-a,of=unsent}"] > 0  # type: ignore[operator]
        scopes = {str(scope) for scope in link.session.shared}
        assert lag["crdt_pos_peer_scope_lag{peer=office-a,scope=store/12,of=unsent}"] == 1
        behind = [name for name in lag if name.startswith("crdt_pos_peer_scope_lag")]
        assert {name.split("scope=")[1].split(",")[0] for name in behind} <= scopes
        till.after_commit()
        await until(till, lambda: not any(name.startswith("crdt_pos_peer_scope_lag") for name in measured(till)))


async def test_what_does_not_count_and_who_contradicts_itself_are_told_by_rule_and_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    company = Company.found(tmp_path, "12-1")
    liar = company.tills["12-1"]
    me = liar.certificate.author

    def entry(document: Document, seq: int, body: object, feed: FeedType = FeedType.LATEST) -> object:
        kind = SCHEMA[document.kind]
        return sign(liar.key, me, document, feed, kind.scope, seq, system_ms() << 16, body)

    nonsense = entry(Document("day", TODAY, (12,)), 1, ["nonsense"])
    unnamed = entry(Document("day", 0, (12,)), 1, {})
    shaped = entry(Document("patrons", 0, (12,)), 1, [], FeedType.LATEST)
    roster = entry(Document("roster"), 1, [], FeedType.WHOLE)
    apart = [nonsense, unnamed, shaped, roster]
    async with running(company.office) as (office,):
        stranger = Stranger(liar)
        both = [first_note(liar, "one"), first_note(liar, "the other")]
        stranger.offers(*apart, *both)  # type: ignore[arg-type]
        with caplog.at_level(logging.WARNING):
            async with stranger.at(office):
                await stranger.until_settled(*apart, *both)  # type: ignore[arg-type]
        found = measured(office)
    for rule, count in {"permission": 1, "body": 1, "name": 1, "feed": 1}.items():
        assert found[f"crdt_pos_entries_quarantined_total{{reason={rule}}}"] == count
        assert found[f"crdt_pos_quarantined_entries{{reason={rule}}}"] == count
    told = [vars(record) for record in caplog.records if getattr(record, "event", "") == "quarantined"]
    forks = [vars(record) for record in caplog.records if getattr(record, "event", "") == "fork_found"]
    assert [(one["author"], one["document"]) for one in forks] == [("12-1", str(both[0].document))]
    assert {(one["author"], one["rule"]) for one in told} >= {("12-1", "permission"), ("12-1", "body")}


def test_a_disk_without_room_is_said_once_and_so_is_that_it_has_room_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    company = Company.found(tmp_path)
    room = DiskRoom(company.office, reserve_bytes=1 << 60)
    for _ in range(2):
        room.look()
    assert room.trouble.startswith("The disk is low")
    room._reserve_bytes = 0
    for _ in range(2):
        room.look()
    assert room.trouble == ""
    assert [vars(record)["event"] for record in caplog.records] == ["disk_low", "disk_has_room"]
