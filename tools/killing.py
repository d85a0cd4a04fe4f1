"""A till killed in the middle of a sale, for real: SIGKILL at a chosen moment, then started and asked again.

A sale is there whole or not at all; asked for again under the same ``once`` it is there exactly once. ``disagreements`` says
what of a till's own records tells another story than its journal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from crdt_pos import verify
from crdt_pos.balance import Balance
from crdt_pos.day import fold
from crdt_pos.folder import Folder
from crdt_pos.journal import acts, find
from crdt_pos.local import ConnectionLost, LocalClient
from crdt_pos.looking import Looked, look
from crdt_pos.receipt import Receipt, Series
from crdt_pos.schema import JOURNAL, SCHEMA
from crdt_pos.till_state import TillState, full_day, sold_once
from gossip.log import Reader
from merge_rules.lattice import Author
from tools.cabled import Cabled
from tools.town import TownError

COMMIT_PATIENCE_S: Final = 30


class Moment(Enum):
    """When the till is killed."""

    BEFORE = "the request was sent and nobody has read it"
    DURING = "somewhere between the request and the answer"
    AFTER = "the sale is on the disk, and hardly answered"


@dataclass(frozen=True, slots=True)
class Killed:
    """What became of a sale whose till was killed."""

    moment: Moment
    answered: bool
    """Whether the screen heard of the receipt before the kill."""
    there: bool
    """Whether the sale was on the dead till's disk."""
    receipt: Mapping[str, Any]
    """What the till answered when it was asked again."""
    disagreements: tuple[str, ...]
    """What does not fit together afterwards; must be empty."""


def kill_amid_a_sale(
    town: Cabled, name: str, request: Mapping[str, object], moment: Moment = Moment.DURING, after_s: float = 0.0
) -> Killed:
    """Ask a running till to sell, kill it at ``moment``, start it, and ask again.

    ``request``: the fields of ``sell``, with an ``once`` of its own. ``after_s``: how long after the request, for ``DURING``.
    """
    asked: dict[str, object] = {"reference": request["once"], **request}
    folder, process = town.folders[name], town.processes[name].running
    assert process is not None, f"{name} does not run"
    answers: list[Mapping[str, Any]] = []
    answered = threading.Event()
    client = LocalClient(folder.path)

    def ask() -> None:
        with contextlib.suppress(ConnectionLost):  # it was killed before it could answer
            answers.append(client.call("sell", **asked))
            answered.set()

    asking = threading.Thread(target=ask)
    with look(folder.path) as looked:
        if moment is Moment.BEFORE:
            os.kill(process.pid, signal.SIGSTOP)
        asking.start()
        if moment is Moment.DURING:
            answered.wait(after_s)
        if moment is Moment.AFTER:
            _await_commit(looked, str(asked["once"]))
        town.kill(name)
    asking.join()
    client.close()
    with look(folder.path) as looked, looked.log.read() as reader:
        there = bool(sold_once(reader, str(asked["once"])))
    town.start(name)
    receipt = town.call(name, "sell", **asked)["receipt"]
    return Killed(moment, bool(answers), there, receipt, tuple(disagreements(folder, asked, receipt["number"])))


def _await_commit(looked: Looked, once: str) -> None:
    deadline = time.monotonic() + COMMIT_PATIENCE_S
    while time.monotonic() < deadline:
        with looked.log.read() as reader:
            if sold_once(reader, once):
                return
    raise TownError(f"{looked.folder.certificate.name} has not sold within {COMMIT_PATIENCE_S} s")


def disagreements(folder: Folder, request: Mapping[str, object], number: str) -> Iterator[str]:
    """What of a till's journal, number index, fold, numbers and balance does not fit with this sale being there once.

    The member, if the request names one, must have done nothing but buy.
    """
    me = folder.certificate.author
    with look(folder.path) as looked, looked.log.read() as reader:
        receipts = list(_own(reader, me))
        sold = [one for one in receipts if one.reference == request["reference"]]
        if [one.number for one in sold] != [number]:
            yield f"the journal has it as {[one.number for one in sold]}, the answer was {number}"
        found = find(reader, number)
        if found is None or [found.receipt] != sold:
            yield f"the index finds another receipt under {number}"
        if sold_once(reader, str(request["once"])) != number:
            yield "the till does not remember the request"
        yield from _state(reader, folder, me, receipts)
        if request.get("member"):
            yield from _balance(reader, me, bytes.fromhex(str(request["member"])), receipts)
        report = verify.verify(reader, looked.directory, SCHEMA)
        for one in report.findings:
            if one.check != "fork" or one.author == folder.certificate.name:  # what another till says is not its doing
                yield f"verify: {one.check}: {one.document}: {one.detail}"


def _own(reader: Reader, me: Author) -> Iterator[Receipt]:
    for document in reader.documents(JOURNAL):
        store = document.keys[0]
        assert isinstance(store, int)
        yield from acts(reader, store, document.day, me)


def _state(reader: Reader, folder: Folder, me: Author, receipts: list[Receipt]) -> Iterator[str]:
    state, store = TillState.read(reader), folder.certificate.store
    assert store is not None
    of_date = list(acts(reader, store, state.open_day, me))
    if full_day(reader, state) != fold(of_date):
        yield "the running day is not what the journal adds up to"
    last = max((one.n for one in receipts if one.series is Series.SALES), default=0)
    if (state.seq, state.next_number(Series.SALES)) != (len(of_date), last + 1):
        yield f"the till goes on at act {state.seq + 1} and number {state.next_number(Series.SALES)}"


def _balance(reader: Reader, me: Author, account: bytes, receipts: list[Receipt]) -> Iterator[str]:
    moved = [moved for one in receipts for moved in one.movements if moved.account == account]
    for programme in {one.programme for one in moved}:
        counter = Balance.read(reader, programme, account).counter
        due = [(one.earned, one.redeemed) for one in moved if one.programme == programme]
        if (counter.earned(me), counter.redeemed(me)) != tuple(map(sum, zip(*due, strict=True))):
            yield f"the balance of {programme} is not what the receipts say"
