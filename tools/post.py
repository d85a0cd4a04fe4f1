"""An untidy post between a store's tills and the head office: it sends things again, late, and out of order.

    python -m tools.post SEED office run --at FOLDER

A real replica of the company, with the certificate of a further head office, since only those may read what stores say. The
tills dial nobody else, and it dials the head office. Its sessions are the ordinary ones; what they send passes through a
``Bag``, which sends one entry in five again and holds one in twenty back until later ones have overtaken it. All within
PROTOCOL.md: a feed's entries keep their order, nothing is claimed that is held back, answers to WANT are left alone. What it did
stands in ``post.json`` in its folder: ``Counts``.
"""

from __future__ import annotations

import dataclasses
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from crdt_pos.commands.run import run_replicas
from crdt_pos.folder import Folder
from crdt_pos.replica import RunningReplica
from gossip.document import FeedType
from gossip.entry import decode
from gossip.errors import ProtocolError
from gossip.events import Event
from gossip.in_flight import InFlight
from gossip.log import Log, feed_key
from gossip.messages import Announce, Durable, Entries, Message, Patch, Refused, Want
from gossip.reasons import Reason
from gossip.session import Me, Session
from gossip.transitions import State
from peers.permissions import Role

REPEATED: Final = 1 / 5
LATE: Final = 1 / 20
OVERTAKEN_MAX: Final = 8
"""A late entry waits for 1 to so many others to pass it by,"""
LATE_MS_MAX: Final = 3_000
"""or for this time, if nothing comes."""
EXTRA_BATCHES_MAX: Final = 32
"""Of batches that wait for their DURABLE: beyond that nothing is added to what the windows allow."""
BATCH_BYTES_MAX: Final = 1 << 17
COUNTS: Final = "post.json"

Item = bytes | Patch


@dataclass(slots=True)
class Counts:
    """What the post has done so far, over all its sessions."""

    entries: int = 0
    """Passed on, each once."""
    repeated: int = 0
    """Sent again."""
    late: int = 0
    """Held back, and sent later."""
    out_of_order: int = 0
    """Of the late ones those that were overtaken."""


def counts(folder: Folder) -> Counts:
    """What a post has done, also while it runs."""
    path = folder.path / COUNTS
    return Counts(**json.loads(path.read_text())) if path.exists() else Counts()


@dataclass(slots=True)
class _Late:
    """The held-back entries of one feed, in their order."""

    since_ms: int
    wait_for: int
    """How many entries must pass by before it goes on."""
    items: list[tuple[Item, int]]
    """With the batch of the session in which each was to travel."""
    overtaken: int = 0


@dataclass(slots=True)
class _Owed:
    """A batch of the session that the peer has not acknowledged whole."""

    travelling: set[int] = field(default_factory=set[int])
    """The batches on the wire in which its entries are."""
    late: int = 0
    refused: list[Refused] = field(default_factory=list[Refused])


class Bag:
    """What one session sends, in another order: batches of the session in, batches for the wire out.

    Batches are numbered anew, since there are more of them; the session hears of a DURABLE when all of its batch is durable.
    """

    def __init__(self, dice: random.Random, counts: Counts) -> None:
        self._dice = dice
        self._counts = counts
        self._number = 0
        self._owed: dict[int, _Owed] = {}
        self._wire: dict[int, set[int]] = {}
        """Batches on the wire, and the session's batches of which they hold something."""
        self._late: dict[bytes, _Late] = {}
        self._again: list[Item] = []
        self._claim = 0

    def put(self, message: Entries | Announce, now_ms: int, *, answering: bool) -> list[Message]:
        """A batch of the session; what to send now."""
        owed = self._owed[message.batch] = _Owed()
        self._claim = max(self._claim, message.upto)
        items: list[Item] = []
        repeats, self._again = self._again, []
        if isinstance(message, Entries):
            for item in message.items:
                if not answering and self._waits(item, message.batch, now_ms):
                    owed.late += 1
                    continue
                items.append(item)
                if not answering and self._dice.random() < REPEATED:
                    self._again.append(item)
            self._counts.entries += len(items)
        sent: list[Message] = []
        if items or not owed.late or isinstance(message, Announce):
            number = self._next({message.batch})
            upto = self._claimed()
            if isinstance(message, Entries):
                sent.append(Entries(number, upto, message.answers, tuple(items)))
            else:
                sent.append(Announce(number, upto, message.items))
        for late in self._late.values():
            late.overtaken += len(items)
        return [*sent, *self._repeat(repeats), *self._release(now_ms)]

    def tick(self, now_ms: int) -> list[Message]:
        """What has waited long enough."""
        repeats, self._again = self._again, []
        return [*self._repeat(repeats), *self._release(now_ms)]

    def durable(self, message: Durable) -> Iterator[Durable]:
        """The batches of the session that are durable with one of the wire. Raises ``ProtocolError``."""
        batches = self._wire.pop(message.batch, None)
        if batches is None:
            raise ProtocolError(Reason.MALFORMED, f"DURABLE for batch {message.batch}, which is not open")
        for batch in sorted(batches):
            owed = self._owed[batch]
            owed.travelling.discard(message.batch)
            owed.refused += message.refused
            if not owed.travelling and not owed.late:
                del self._owed[batch]
                yield Durable(batch, tuple(owed.refused))

    # Inside

    def _waits(self, item: Item, batch: int, now_ms: int) -> bool:
        key, overtakes = _feed(item)
        late = self._late.get(key)
        if late is not None and not overtakes:
            late.items.append((item, batch))
            return True
        if late is None and self._dice.random() < LATE:
            self._late[key] = _Late(now_ms, self._dice.randint(1, OVERTAKEN_MAX), [(item, batch)])
            return True
        return False

    def _repeat(self, items: Sequence[Item]) -> Iterator[Message]:
        for chunk in self._chunks([(item, 0) for item in items]):
            again = [item for item, _ in chunk]
            if len(self._wire) >= EXTRA_BATCHES_MAX:
                self._again += again
                continue
            self._counts.repeated += len(again)
            yield Entries(self._next(set()), 0, 0, tuple(again))

    def _release(self, now_ms: int) -> Iterator[Message]:
        due = [
            key
            for key, late in self._late.items()
            if late.overtaken >= late.wait_for or now_ms - late.since_ms >= LATE_MS_MAX
        ]
        self._dice.shuffle(due)
        for key in due:
            if len(self._wire) >= EXTRA_BATCHES_MAX:
                return
            late = self._late.pop(key)
            self._counts.late += len(late.items)
            self._counts.entries += len(late.items)
            self._counts.out_of_order += len(late.items) if late.overtaken else 0
            for chunk in self._chunks(late.items):
                number = self._next({batch for _, batch in chunk})
                for _, batch in chunk:
                    self._owed[batch].late -= 1
                # What comes after this chunk is not sent yet.
                upto = self._claimed() if chunk[-1] is late.items[-1] else 0
                yield Entries(number, upto, 0, tuple(item for item, _ in chunk))

    def _claimed(self) -> int:
        """How far everything of our log is sent; 0 while anything is held back."""
        return 0 if self._late else self._claim

    def _next(self, batches: set[int]) -> int:
        self._number += 1
        self._wire[self._number] = batches
        for batch in batches:
            self._owed[batch].travelling.add(self._number)
        return self._number

    @staticmethod
    def _chunks(items: Sequence[tuple[Item, int]]) -> Iterator[list[tuple[Item, int]]]:
        chunk: list[tuple[Item, int]] = []
        size = 0
        for one in items:
            weight = len(one[0]) if isinstance(one[0], bytes) else len(one[0].changes)
            if chunk and size + weight > BATCH_BYTES_MAX:
                yield chunk
                chunk, size = [], 0
            chunk.append(one)
            size += weight
        if chunk:
            yield chunk


def _feed(item: Item) -> tuple[bytes, bool]:
    """The feed of an entry, and whether it may overtake an earlier one: a patch needs its base, a log its order."""
    if isinstance(item, Patch):
        return item.feed_key, False
    entry = decode(item)
    return feed_key(entry.feed_id), entry.feed is FeedType.LATEST


class Post:
    """The dice and the counts of all sessions of one post."""

    def __init__(self, folder: Folder, seed: str) -> None:
        self.dice = random.Random(seed)  # noqa: S311  a post, not a secret
        self.counts = counts(folder)
        self._path = folder.path / COUNTS
        self._saved = dataclasses.replace(self.counts)

    def session(self, log: Log, me: Me, now_ms: int, in_flight: InFlight) -> Session:
        """``gossip.node.NewSession``."""
        return UntidySession(self, log, me, now_ms, in_flight)

    def save(self) -> None:
        """Write down what changed."""
        if self.counts != self._saved:
            self._saved = dataclasses.replace(self.counts)
            draft = self._path.with_suffix(".draft")
            draft.write_text(json.dumps(dataclasses.asdict(self.counts)))
            draft.replace(self._path)


class UntidySession(Session):
    """The ordinary session, whose batches go through a ``Bag``."""

    def __init__(self, post: Post, log: Log, me: Me, now_ms: int, in_flight: InFlight) -> None:
        self._post = post
        self._bag = Bag(post.dice, post.counts)
        self._wants_open = 0
        super().__init__(log, me, now_ms, in_flight=in_flight)

    def tick(self, now_ms: int) -> list[Event]:
        events = super().tick(now_ms)
        if self.sharing:
            for message in self._bag.tick(now_ms):
                super()._send(message)
        self._post.save()
        return events

    def _send(self, message: Message) -> None:
        if not isinstance(message, Entries | Announce):
            super()._send(message)
            return
        # Answers are what the peer waits for: batches of one cannot be told from others, but that a WANT is open can.
        for sent in self._bag.put(message, self._now_ms, answering=self._wants_open > 0):
            super()._send(sent)
        self._wants_open -= isinstance(message, Entries) and message.answers > 0

    def _want(self, message: Want, _before: State) -> list[Event]:
        events = super()._want(message, _before)
        self._wants_open += 1
        return events

    def _durable(self, message: Durable, _before: State) -> list[Event]:
        events: list[Event] = []
        for one in self._bag.durable(message):
            events += super()._durable(one, _before)
        return events


def main(seed: str, *words: str) -> None:
    """As the module says; the folder is the last word."""

    def made(folder: Folder) -> RunningReplica:
        return RunningReplica(folder, Post(folder, seed).session)

    run_replicas([Path(words[-1])], Role.OFFICE, verbose=True, made=made)


if __name__ == "__main__":
    main(*sys.argv[1:])
