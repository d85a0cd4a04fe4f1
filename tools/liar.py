"""A till that lies: it signs two different days under one number, and tells each replica another.

    python -m tools.liar FOLDER DATE PORT=CENTS [PORT=CENTS …]

A process with a till's own folder, key and certificate. Both days are well formed and balance, and go to those who listen on the
ports over real sessions; it leaves when they have them on their disks. ``lie`` starts it, ``holders`` counts who has the proof.
"""

from __future__ import annotations

import datetime
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import trio

from crdt_pos.clock import system_ms
from crdt_pos.day import Day, Flow, Goods, Numbers, TaxTotals
from crdt_pos.folder import Folder, open_folder
from crdt_pos.forks import liars, read_proofs
from crdt_pos.looking import look
from crdt_pos.receipt import Series, Tender
from crdt_pos.schema import DAY, SCHEMA
from crdt_pos.turn import day_document
from gossip import tls
from gossip.address import Address
from gossip.document import Scope, day_number
from gossip.entry import Entry, sign
from gossip.events import Acknowledged, Ended, EntriesReceived, PeerSaidHello
from gossip.log import Arrival
from gossip.log_memory import MemoryLog
from gossip.session import Me, Session
from merge_rules.counter_covers import COVERS_HASH_BYTES, CounterCovers, Covers
from peers.permissions import readable_scopes
from tools.cable import LOOPBACK
from tools.cabled import Cabled

PRODUCT: Final = 1
TAX_CODE: Final = 1
PATIENCE_S: Final = 20.0


def signed_day(folder: Folder, date: datetime.date, takings_minor: int, seq: int = 1) -> Entry:
    """A closed day of this till on which one thing was sold for ``takings_minor``, in cash and without tax."""
    own, kind = folder.certificate, SCHEMA[DAY]
    assert own.store is not None
    day = Day(
        taxes={TAX_CODE: TaxTotals(takings_minor)},
        tenders={int(Tender.CASH): Flow(takings_minor)},
        series={int(Series.SALES): Numbers(1, 1, 1)},
        perpetual_sales=takings_minor,
        goods={PRODUCT: Goods(sold=1, takings=takings_minor)},
        closed=True,
    )
    assert day.balanced
    told = CounterCovers.publish(own.author, own.author, Covers(3, bytes(COVERS_HASH_BYTES)), day.counters())
    document, stamp = day_document(own.store, day_number(date)), system_ms() << 16
    return sign(folder.key, own.author, document, kind.feed, kind.scope, seq, stamp, told.entry_body(own.author))


async def tell(folder: Folder, port: int, entries: Iterable[Entry], patience_s: float = PATIENCE_S) -> Ended | None:
    """Be the replica of ``folder`` at the one that listens on ``port`` until all ``entries`` are acknowledged.

    Returns why the session ended, if the other side ended it first. Without entries it listens until then.
    """
    own = folder.certificate
    log = MemoryLog(SCHEMA)
    offered = [Arrival(entry) for entry in entries]
    log.append(offered)
    scopes = frozenset(map(Scope, readable_scopes(own.role, own.store, frozenset({own.store or 0}))))
    session = Session(log, Me(own.company, own.author, scopes), 0)
    left = {arrival.entry.hash for arrival in offered}
    with trio.fail_after(patience_s):
        stream = await tls.dial(Address(LOOPBACK, port), folder.tls_contexts())
        try:
            while left or not offered:
                if outgoing := session.data_to_send():
                    await stream.send(outgoing)
                for event in session.receive(await stream.receive(), 0):
                    if isinstance(event, PeerSaidHello):
                        session.admit(scopes)
                    elif isinstance(event, EntriesReceived):
                        session.appended(event.batch)
                    elif isinstance(event, Acknowledged):
                        left -= {head.hash for _, head in event.heads}
                    elif isinstance(event, Ended):
                        return event
        finally:
            await stream.aclose()
    return None


# --- for whoever shows it --------------------------------------------------------------------------------------------


def lie(town: Cabled, name: str, date: datetime.date, told_minor: Mapping[str, int]) -> None:
    """Have the till ``name`` of a town, which is enrolled and does not run, tell each replica other takings of ``date``."""
    told = [f"{town.port(whom)}={amount}" for whom, amount in told_minor.items()]
    command = [sys.executable, "-P", "-m", "tools.liar", str(town.folders[name].path), date.isoformat(), *told]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def holders(town: Cabled, name: str) -> Iterator[str]:
    """The replicas of a town, without the liar ``name``, that hold a proof against it and have judged it themselves."""
    author = town.folders[name].certificate.author
    for other, folder in town.folders.items():
        with look(folder.path) as looked, looked.log.read() as reader:
            proven = any(proof[0].author == author for proof in read_proofs(reader))
            if other != name and proven and author in liars(reader):
                yield other


def main(path: str, date: str, *told: str) -> None:
    """As the module says."""
    folder = open_folder(Path(path))
    with folder.held():
        for port, _, amount in (one.partition("=") for one in told):
            entry = signed_day(folder, datetime.date.fromisoformat(date), int(amount))
            ended = trio.run(tell, folder, int(port), [entry])
            if ended is not None:
                raise SystemExit(f"{folder.certificate.name} was not listened to on port {port}: {ended.why}")


if __name__ == "__main__":
    main(*sys.argv[1:])
