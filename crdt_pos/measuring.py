"""What a running replica's metrics are worth now, read at the moment of being asked: while nobody asks it costs nothing.

Two steps. ``seen`` reads what the event loop changes, so it runs there; ``read`` looks into the log and at the disk, on the
asking thread. Only the times of commits are counted as they happen, by whoever hands ``CommitTimes.add`` to the node.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import field
from itertools import islice
from typing import TYPE_CHECKING, Final

from crdt_pos.disk_room import free_bytes, used_bytes
from crdt_pos.forks import liars
from crdt_pos.metric_table import Sample
from crdt_pos.rules_broken import rule_broken
from crdt_pos.schema import SCHEMA
from gossip.document import Scope
from gossip.lag import Towards
from gossip.log import Reader, Stored
from gossip.node import OWN, RECEIVED
from gossip.transitions import State
from merge_rules.dataclass import dataclass
from peers.permissions import Role

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica

BOUNDS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
LOOKED_THROUGH_MAX: Final = 1_000
"""So many entries that peers lack are looked at, for all of them together; as many in quarantine."""
OTHER: Final = "other"
"""Every kind that is not known here: a stranger names no labels."""
_MS: Final = 1_000


class CommitTimes:
    """How long commits took: counts by upper bound, and their sum."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds


class Observer:
    """The times of a node's commits; ``node.on_commit = observer.committed``."""

    def __init__(self) -> None:
        self.times = {OWN: CommitTimes(), RECEIVED: CommitTimes()}

    def committed(self, whose: str, seconds: float) -> None:
        """After each commit."""
        self.times[whose].add(seconds)


@dataclass(frozen=True, slots=True)
class _Session:
    peer: str
    shared: frozenset[Scope]
    towards: Towards


@dataclass(slots=True)
class Seen:
    """What the event loop knew at one moment."""

    replica: str
    samples: list[Sample] = field(default_factory=list[Sample])
    sessions: list[_Session] = field(default_factory=list[_Session])

    def add(self, metric: str, value: object, **labels: str) -> None:
        """One more value."""
        self.samples.append(Sample(metric, value, {"replica": self.replica, **labels}))


def seen(replica: RunningReplica, observer: Observer) -> Seen:
    """The first step, on the event loop."""
    me, node = replica.certificate, replica.node
    found = Seen(me.name)
    company = replica.folder.root.name
    found.add("crdt_pos_info", 1, life=me.incarnation, role=str(me.role), company=company)
    found.add("crdt_pos_start_time_seconds", replica.health.since_ms / _MS)
    found.add("crdt_pos_troubles", sum(1 for _ in replica.health.troubles()))
    if me.role is not Role.OFFICE:
        found.add("crdt_pos_reaches_office", int(replica.health.reaches_office()))
    states = node.states()
    for state in State:
        if state is not State.ENDED:
            found.add("crdt_pos_sessions", states[state], state=state.value)
    found.add("crdt_pos_unreachable_addresses", len(node.troubles()))
    with replica.log.read_all() as reader:
        last = reader.last_arrival()
    for link in node.links.values():
        _lag(found, link.peer.name, link.session.lag(last), caught_up=link.facts.caught_up)
        found.sessions.append(_Session(link.peer.name, link.session.shared, link.session.towards()))
    found.add("crdt_pos_arrivals_total", last)
    came: Counter[str] = Counter()
    for kind, count in node.came().items():
        came[kind if kind in SCHEMA else OTHER] += count
    for kind, count in sorted(came.items()):
        found.add("crdt_pos_entries_received_total", count, kind=kind)
    found.add("crdt_pos_entries_sent_total", node.sent())
    for rule, count in sorted(replica.put_apart_by_rule.items()):
        found.add("crdt_pos_entries_quarantined_total", count, reason=rule)
    for of, times in observer.times.items():
        found.add("crdt_pos_commit_seconds", times, of=of)
    found.add("crdt_pos_commits_waiting_max", node.commits_waiting_max)
    if replica.till is not None:
        status = replica.status()
        found.add("crdt_pos_copies", status.copies)
        found.add("crdt_pos_acts_only_here", status.waiting)
        found.add("crdt_pos_acts_only_in_store", status.outside.waiting)
    found.add("crdt_pos_damaged_rows_total", replica.mending.damaged)
    return found


def _lag(found: Seen, peer: str, lag: object, *, caught_up: bool) -> None:
    found.add("crdt_pos_peer_caught_up", int(caught_up), peer=peer)
    for of in ("unsent", "unacknowledged", "untold", "wanted"):
        found.add("crdt_pos_peer_lag", getattr(lag, of), peer=peer, of=of)


def read(replica: RunningReplica, found: Seen) -> list[Sample]:
    """The second step, on any thread: everything, ready to be shown."""
    with replica.log.read_all() as reader:
        for session, lacking in _by_scope(reader, found.sessions):
            for (scope, of), count in sorted(lacking.items()):
                found.add("crdt_pos_peer_scope_lag", count, peer=session.peer, scope=scope, of=of)
        apart = Counter(rule_broken(why) for _, why in islice(reader.quarantined(), LOOKED_THROUGH_MAX))
        for rule, count in sorted(apart.items()):
            found.add("crdt_pos_quarantined_entries", count, reason=rule)
        found.add("crdt_pos_forked_authors", len(liars(reader)))
        found.add("crdt_pos_missing_entries", sum(1 for _ in reader.lost()))
    found.add("crdt_pos_disk_free_bytes", free_bytes(replica.folder.path))
    found.add("crdt_pos_log_bytes", used_bytes(replica.folder.log_path))
    return found.samples


def _by_scope(reader: Reader, sessions: Sequence[_Session]) -> Iterator[tuple[_Session, Counter[tuple[str, str]]]]:
    left = LOOKED_THROUGH_MAX
    for session in sessions:
        found: Counter[tuple[str, str]] = Counter()
        for of, stored in islice(_lacking(reader, session), left):
            left -= 1
            found.update((str(scope), of) for scope in reader.scopes(stored.entry) & session.shared)
        yield session, found


def _lacking(reader: Reader, session: _Session) -> Iterator[tuple[str, Stored]]:
    """What the peer lacks, as far as is known, with the word for it."""
    for one in session.towards.unacknowledged:
        stored = reader.find(one)
        if stored is not None:
            yield "unacknowledged", stored
    if session.towards.looked_through is not None:
        for stored in reader.arrivals(session.towards.looked_through, LOOKED_THROUGH_MAX):
            yield "unsent", stored
