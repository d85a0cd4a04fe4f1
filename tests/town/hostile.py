"""A till of the company that has gone wrong: it holds and passes on like any other, and then spoils what it sends.

    python hostile.py SEED till run --at FOLDER

A real replica with a valid certificate, found by its neighbours and finding them. Its sessions are the ordinary ones, and behave
for a moment after sharing has begun; from then on it plays one of its ``TRICKS`` every second or so, by a seed, until the other
side has had enough. It says nothing that contradicts what it has signed itself.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

from crdt_pos.commands.run import run_replicas
from crdt_pos.folder import Folder
from crdt_pos.replica import RunningReplica
from crdt_pos.schema import DAY, ROSTER_STORE, SCHEMA
from gossip import frames
from gossip.document import Document
from gossip.entry import Entry, sign
from gossip.events import Event
from gossip.in_flight import InFlight
from gossip.log import Log
from gossip.messages import Announce, Ask, Cursor, Durable, Entries, Message, Ping
from gossip.session import Me, Session
from gossip.transitions import State
from peers.permissions import Role

BEHAVES_MS_MAX = 4_000
"""A session behaves for so long at most."""
NOISE_BYTES_MAX = 4_096
FLOOD = 2_000
"""Messages."""
LOOKED_AT = 200
"""Entries of its log, one of which it changes."""
DATE = 20_000


class Hostile:
    """What one till has in mind, over all its sessions."""

    def __init__(self, folder: Folder, seed: str) -> None:
        self.dice = random.Random(f"hostile {seed}")
        self.folder = folder

    def session(self, log: Log, me: Me, now_ms: int, in_flight: InFlight) -> Session:
        """``gossip.node.NewSession``."""
        return HostileSession(self, log, me, now_ms, in_flight)

    def signed(self, kind: str, store: int) -> Entry:
        """An entry of its own with a right signature, always the same."""
        row, document = SCHEMA[kind], Document(kind, DATE if SCHEMA[kind].dated else 0, (store,))
        own = self.folder.certificate.author
        return sign(self.folder.key, own, document, row.feed, row.scope, 1, 1 << 16, [])


class HostileSession(Session):
    """The ordinary session, and a trick now and then."""

    def __init__(self, hostile: Hostile, log: Log, me: Me, now_ms: int, in_flight: InFlight) -> None:
        self.hostile = hostile
        self.sent = frames.encode(Ping(0))
        """What was sent last."""
        self.batch = 0
        """The last of its batches."""
        self._carried: set[int] = set()
        self._behaves_until_ms: int | None = None
        self._due = False
        super().__init__(log, me, now_ms, in_flight=in_flight)

    def tick(self, now_ms: int) -> list[Event]:
        events = super().tick(now_ms)
        if self.sharing:
            if self._behaves_until_ms is None:
                self._behaves_until_ms = now_ms + self.hostile.dice.randint(0, BEHAVES_MS_MAX)
            self._due = now_ms >= self._behaves_until_ms
        return events

    def data_to_send(self) -> bytes:
        honest = super().data_to_send()
        self.sent = honest or self.sent
        if not self._due or not self.sharing:
            return honest
        self._due = False
        trick = self.hostile.dice.choice(TRICKS)
        print(f"{trick.__name__} for {self.peer.hex() if self.peer else ''}", flush=True)
        return trick(self, honest)

    def _send(self, message: Message) -> None:
        if isinstance(message, Entries | Announce):
            self.batch = message.batch
        super()._send(message)

    def _durable(self, message: Durable, before: State) -> list[Event]:
        if message.batch in self._carried:
            return []
        return super()._durable(message, before)

    def arrived(self) -> list[Entry]:
        """Some of what it holds and the peer may read."""
        with self._log.read_all() as reader:
            return [
                stored.entry
                for stored in reader.arrivals(0, LOOKED_AT)
                if self.shared.intersection(reader.scopes(stored.entry))
            ]

    def carry(self, raw: bytes) -> bytes:
        """A batch of one entry, with the right number."""
        self.batch += 1
        self._carried.add(self.batch)
        return frames.encode(Entries(self.batch, 0, 0, (raw,)))


# --- tricks: the session and what it would send → what is sent ----------------------------------------------------------


def flips(session: HostileSession, _honest: bytes) -> bytes:
    """A bit, anywhere."""
    return _flipped(session.sent, session.hostile.dice, 0)


def makes_noise(session: HostileSession, honest: bytes) -> bytes:
    """Random bytes."""
    dice = session.hostile.dice
    return honest + dice.randbytes(dice.randint(1, NOISE_BYTES_MAX))


def repeats(session: HostileSession, honest: bytes) -> bytes:
    """What it has just sent, several times."""
    return honest + session.sent * session.hostile.dice.randint(1, 5)


def begins_again(session: HostileSession, honest: bytes) -> bytes:
    """A message that is not due."""
    return honest + frames.encode(Cursor(b"another database", 0))


def sends_too_much(_session: HostileSession, honest: bytes) -> bytes:
    """The beginning of a message that fits nowhere."""
    return honest + b"\xff" * 64


def floods(session: HostileSession, honest: bytes) -> bytes:
    """Questions, faster than anybody answers."""
    ask = session.hostile.dice.random() < 0.5
    every = (Ask(n, "heads", b"") if ask else Ping(n) for n in range(1_000_000, 1_000_000 + FLOOD))
    return honest + b"".join(map(frames.encode, every))


def forges(session: HostileSession, honest: bytes) -> bytes:
    """Somebody's entry, changed, under the old signature."""
    entries = session.arrived()
    if not entries:
        return honest
    entry = session.hostile.dice.choice(entries)
    return honest + session.carry(_flipped(entry.raw, session.hostile.dice, len(entry.raw) - 64))


def strays(session: HostileSession, honest: bytes) -> bytes:
    """A well signed entry of a store that is not its own."""
    return honest + session.carry(session.hostile.signed(DAY, 2).raw)


def usurps(session: HostileSession, honest: bytes) -> bytes:
    """A well signed entry that only a head office may write: those who get it keep it apart."""
    store = session.hostile.folder.certificate.store
    assert store is not None
    return honest + session.carry(session.hostile.signed(ROSTER_STORE, store).raw)


TRICKS: tuple[Callable[[HostileSession, bytes], bytes], ...] = (
    flips,
    makes_noise,
    repeats,
    begins_again,
    sends_too_much,
    floods,
    forges,
    strays,
    usurps,
)


def _flipped(content: bytes, dice: random.Random, start: int) -> bytes:
    changed = bytearray(content)
    changed[dice.randrange(start, len(content))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def main(seed: str, *words: str) -> None:
    """As the module says; the folder is the last word."""

    def made(folder: Folder) -> RunningReplica:
        return RunningReplica(folder, Hostile(folder, seed).session)

    run_replicas([Path(words[-1])], Role.TILL, verbose=True, made=made)


if __name__ == "__main__":
    main(*sys.argv[1:])
