"""What a running replica shows a Prometheus server: every metric by name, with its labels. Pure.

Each has the label ``replica`` besides: one process may run several. docs/monitoring.md and the dashboard name the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from merge_rules.dataclass import dataclass


class Kind(StrEnum):
    """How a value moves: a gauge up and down, a counter up from each start on, a histogram by bucket."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """A row of the table."""

    name: str
    kind: Kind
    says: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric, a number of what its name ends with; of a histogram a ``CommitTimes``."""

    metric: str
    value: object
    labels: Mapping[str, str]


GAUGE, COUNTER, HISTOGRAM = Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM
_ROWS: Final = (
    Metric("crdt_pos_info", GAUGE, "1; who it is.", ("life", "role", "company")),
    Metric("crdt_pos_start_time_seconds", GAUGE, "When it was started, in seconds since 1970."),
    Metric("crdt_pos_troubles", GAUGE, "How many sentences 'crdt-pos status' has to say of what is wrong."),
    Metric(
        "crdt_pos_reaches_office",
        GAUGE,
        "1 if a head office is reached, from here or through a neighbour; of others than offices.",
    ),
    Metric("crdt_pos_sessions", GAUGE, "Sessions, by the state that they are in.", ("state",)),
    Metric("crdt_pos_unreachable_addresses", GAUGE, "Addresses that are dialled and do not answer."),
    Metric("crdt_pos_peer_caught_up", GAUGE, "1 once a peer has told all that it held.", ("peer",)),
    Metric(
        "crdt_pos_peer_lag",
        GAUGE,
        "How far a session is behind: arrivals 'unsent' to the peer, entries 'unacknowledged' by it, arrivals 'untold' by it, "
        "feeds 'wanted' of it.",
        ("peer", "of"),
    ),
    Metric(
        "crdt_pos_peer_scope_lag",
        GAUGE,
        "Entries of a scope that a peer lacks as far as is known, 'unsent' or 'unacknowledged'; scopes without any are left "
        "out. At most 1,000 are looked at, for all peers together.",
        ("peer", "scope", "of"),
    ),
    Metric("crdt_pos_arrivals_total", COUNTER, "Entries that the log has taken since it was made."),
    Metric("crdt_pos_entries_received_total", COUNTER, "Entries that came from peers, by kind of document.", ("kind",)),
    Metric("crdt_pos_entries_sent_total", COUNTER, "Entries that were sent to peers."),
    Metric("crdt_pos_entries_quarantined_total", COUNTER, "Entries that came and do not count, by rule.", ("reason",)),
    Metric(
        "crdt_pos_quarantined_entries",
        GAUGE,
        "Entries that are held and do not count, by the rule that they break; at most 1,000 are looked at.",
        ("reason",),
    ),
    Metric("crdt_pos_forked_authors", GAUGE, "Replicas that are proven to have contradicted themselves."),
    Metric(
        "crdt_pos_commit_seconds",
        HISTOGRAM,
        "From asking for the log's turn until all is on the disk: of 'own' acts, and of what was 'received'.",
        ("of",),
    ),
    Metric("crdt_pos_commits_waiting_max", GAUGE, "The most commits that have waited for the log at once."),
    Metric("crdt_pos_copies", GAUGE, "Other replicas that hold all that this till has written; of tills."),
    Metric("crdt_pos_acts_only_here", GAUGE, "Acts of this till that no other replica has on its disk; of tills."),
    Metric("crdt_pos_acts_only_in_store", GAUGE, "Acts that are not safe outside of the store yet; of tills."),
    Metric("crdt_pos_disk_free_bytes", GAUGE, "What is free on the disk of its folder."),
    Metric("crdt_pos_log_bytes", GAUGE, "What its log takes of the disk."),
    Metric(
        "crdt_pos_damaged_rows_total", COUNTER, "Rows of the log that the disk has damaged, and that were put right."
    ),
    Metric("crdt_pos_missing_entries", GAUGE, "Entries that the disk has damaged and no peer has brought back yet."),
)
METRICS: Final[Mapping[str, Metric]] = {row.name: row for row in _ROWS}
