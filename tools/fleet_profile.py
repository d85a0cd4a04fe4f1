"""Where a head office's time goes while it takes in a fleet's messages: the same stages, on the same frames, in this process.

Sessions, checks and the log are those of a real replica in a folder of its own; only TLS and the event loop are not there: what
they take is the rest of what was measured of the real process.
"""

from __future__ import annotations

import cProfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from crdt_pos.folder import Folder
from crdt_pos.replica import RunningReplica
from crdt_pos.schema import SCHEMA
from gossip import frames
from gossip.document import Scope
from gossip.events import EntriesReceived
from gossip.ingest import check
from gossip.intake import Commit, write_group
from gossip.messages import Admitted, Cursor, Hello
from gossip.session import VERSION_MAX, VERSION_MIN, Me, Session
from merge_rules.lattice import Author
from tools.fleet_plan import Batch, read_plan

TOGETHER: Final = 16
"""Batches of different sessions in one transaction."""
FUNCTIONS: Final = 20
US: Final = 1_000_000

Row = dict[str, Any]
Result = TypeVar("Result")


class Stages:
    """Processor seconds by stage."""

    def __init__(self) -> None:
        self.cpu_s: dict[str, float] = {}
        self.entries = 0

    def lap(self, stage: str, act: Callable[[], Result]) -> Result:
        began_s = time.process_time()
        result = act()
        self.cpu_s[stage] = self.cpu_s.get(stage, 0.0) + time.process_time() - began_s
        return result


def stages(office: Folder, gateways: dict[int, Author], warm_up: Path, plan: Path, raw_s: float) -> list[Row]:
    """Microseconds of a processor by stage and message; ``raw_s``: what one verification takes alone."""
    replica = RunningReplica(office)
    try:
        taking = _Taking(replica, gateways)
        taking.take(warm_up, Stages())
        found = Stages()
        taking.take(plan, found)
    finally:
        replica.close()
    each = {stage: US * cpu_s / found.entries for stage, cpu_s in found.cpu_s.items()}
    each["check"] -= US * raw_s
    rows = {"libsodium: signatures": US * raw_s, **{_SAID[stage]: us for stage, us in each.items()}}
    return [{"what": what, "µs each": round(us, 1)} for what, us in rows.items()]


def functions(office: Folder, gateways: dict[int, Author], warm_up: Path, plan: Path) -> list[Row]:
    """The functions that take most, by their own time under cProfile, which weighs calls too heavily."""
    replica = RunningReplica(office)
    try:
        taking = _Taking(replica, gateways)
        taking.take(warm_up, Stages())
        profile = cProfile.Profile(time.process_time)
        profile.runcall(taking.take, plan, Stages())
    finally:
        replica.close()
    profile.create_stats()
    found = cast("dict[tuple[str, int, str], tuple[int, int, float, float, object]]", profile.stats)
    whole = sum(one[2] for one in found.values())
    most = sorted(found.items(), key=lambda item: -item[1][2])[:FUNCTIONS]
    return [
        {"what": f"{Path(file).name}: {name}", "calls": one[1], "own share": f"{one[2] / whole:.1%}"}
        for (file, _, name), one in most
    ]


_SAID: Final = {
    "receive": "frames, patches, entries decoded",
    "check": "the rest of the check: bytes signed, permission, body",
    "write": "transaction: index, sums, heads; synced",
    "acknowledge": "DURABLE",
}


class _Taking:
    def __init__(self, replica: RunningReplica, gateways: dict[int, Author]) -> None:
        self._replica = replica
        self._authors = gateways
        self._sessions = {store: self._session(store, author) for store, author in gateways.items()}
        self._numbers: Counter[int] = Counter()

    def take(self, plan: Path, into: Stages) -> None:
        group: list[tuple[Session, EntriesReceived, Commit]] = []
        for store, batch in _in_turn(read_plan(plan)):
            self._numbers[store] += 1
            into.entries += batch.entries
            session, frame = self._sessions[store], batch.frame(self._numbers[store])
            for event in into.lap("receive", partial(session.receive, frame, 0)):
                if isinstance(event, EntriesReceived):
                    checked = into.lap(
                        "check",
                        partial(check, event.entries, self._authors[store], self._replica.trust.record, SCHEMA),
                    )
                    cursors = [] if event.cursor is None else [event.cursor]
                    group.append((session, event, Commit(checked.arrivals, cursors, ())))
            if len(group) == TOGETHER:
                self._commit(group, into)
        if group:
            self._commit(group, into)

    def _commit(self, group: list[tuple[Session, EntriesReceived, Commit]], into: Stages) -> None:
        commits = [commit for _, _, commit in group]
        batch = into.lap(
            "write", partial(write_group, self._replica.log, commits, self._replica.derive, self._replica.system_ms())
        )
        into.lap("write", partial(self._replica.appended, batch))
        for session, event, _ in group:
            into.lap("acknowledge", partial(_acknowledge, session, event.batch))
        group.clear()

    def _session(self, store: int, author: Author) -> Session:
        log, scopes = self._replica.log, frozenset({Scope(f"store/{store}")})
        me = Me(self._replica.certificate.company, self._replica.certificate.author, scopes)
        session = Session(log, me, 0)
        hello = Hello(VERSION_MIN, VERSION_MAX, me.company, author, store.to_bytes(16, "big"), 0, scopes)
        session.receive(frames.encode(hello), 0)
        session.admit(scopes)
        with log.read() as reader:
            cursor = Cursor(log.database, reader.last_arrival())
        session.receive(frames.encode(Admitted(scopes)) + frames.encode(cursor), 0)
        session.data_to_send()
        return session


def _acknowledge(session: Session, batch: int) -> None:
    session.appended(batch)
    session.data_to_send()


def _in_turn(plan: dict[int, list[Batch]]) -> Iterator[tuple[int, Batch]]:
    """A batch of every store, then the next of every store."""
    for place in range(max(map(len, plan.values()), default=0)):
        for store, batches in plan.items():
            if place < len(batches):
                yield store, batches[place]
