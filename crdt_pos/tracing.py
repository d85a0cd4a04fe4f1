"""Live messages of a running replica, for whoever asks its local socket. Nobody asking costs nothing; a lapse ends it.

What is kept is bounded: whoever asks too late is told how much it missed. Each message is kept as its frame, with the state of
its session before the bytes that brought it and after, so that the session machine can be held against it later.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from crdt_pos.local import Command, Message
from crdt_pos.local_shapes import Asked
from gossip import frames
from gossip.errors import ProtocolError
from gossip.link import Link
from gossip.messages import FRAME_BYTES_MAX, LENGTH_BYTES

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica

KEPT_BYTES_MAX: Final = 8 << 20
KEPT_MAX: Final = 20_000
ANSWER_BYTES_MAX: Final = 300 << 10
"""Frames of one answer, which stand in it as hexadecimal digits."""
LAPSE_MS: Final = 15_000
"""Whoever does not ask for so long does not listen any more."""
ENTRIES_MAX: Final = 200


class _Ear:
    """What has come of one session, cut into messages."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.before = ""
        self.hears = False
        """From the first message that is heard from its beginning."""


class Tracing:
    """Implements ``gossip.tap.Tap`` for the replica of this process."""

    def __init__(self, replica: RunningReplica) -> None:
        self._replica = replica
        self._ears: dict[Link, _Ear] = {}
        self._kept: deque[Message] = deque()
        self._kept_bytes = 0
        self._last = 0
        self._asked_ms = 0
        self._listens = False

    def commands(self) -> dict[str, Command]:
        """Name → command."""
        return {"trace": self._trace}

    async def _trace(self, request: Message) -> Message:
        asked = Asked(request)
        after, arrival = asked.maybe_integer("after"), asked.maybe_integer("arrival")
        asked.end()
        self._asked_ms = self._replica.system_ms()
        if not self._listens:
            self._listens = True
            self._replica.node.listen_in(self)
        after = self._last if after is None else min(after, self._last)
        shown: list[Message] = []
        size = 0
        for one in self._kept:
            if one["number"] > after and (size := size + one["bytes"]) <= ANSWER_BYTES_MAX:
                shown.append(one)
            elif size > ANSWER_BYTES_MAX:
                break
        if not shown and size > ANSWER_BYTES_MAX:  # one frame that is too long by itself
            shown = [{**next(one for one in self._kept if one["number"] > after), "raw": ""}]
        first = self._kept[0]["number"] if self._kept else self._last + 1
        entries, arrival = await self._replica.look(lambda _: self._entries(arrival))
        return {
            "messages": shown,
            "next": shown[-1]["number"] if shown else after,
            "missed": max(first - 1 - after, 0),
            "entries": entries,
            "arrival": arrival,
        }

    def _entries(self, after: int | None) -> tuple[list[str], int]:
        """The entries that the log has taken up since, ours too."""
        with self._replica.log.read_all() as reader:
            last = reader.last_arrival()
            if after is None:
                return [], last
            found: list[str] = []
            size = 0
            for stored in reader.arrivals(after, ENTRIES_MAX):
                size += len(stored.entry.raw)
                if found and size > ANSWER_BYTES_MAX:
                    break
                after = stored.arrival
                found.append(stored.entry.raw.hex())
            return found, after

    # --- the tap ---------------------------------------------------------------------------------------------------------

    def coming(self, link: Link, octets: bytes) -> None:
        """Kept until the session has understood it."""
        ear = self._ears.get(link)
        if ear is None:
            self._forget()
            ear = self._ears[link] = _Ear()
        ear.hears = ear.hears or link.session.between_messages
        ear.before = link.session.state.value
        if ear.hears:
            ear.buffer += octets

    def came(self, link: Link) -> None:
        """Each whole message of it."""
        ear = self._ears.get(link)
        if ear is None:
            return
        raws: list[bytes] = []
        while len(ear.buffer) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(ear.buffer[:LENGTH_BYTES], "big")
            if len(ear.buffer) < end or end > FRAME_BYTES_MAX:
                break
            raws.append(bytes(ear.buffer[:end]))
            del ear.buffer[:end]
        for at, raw in enumerate(raws):
            last = at == len(raws) - 1
            self._keep(link, "in", raw, "" if at else ear.before, link.session.state.value if last else "")

    def went(self, link: Link, octets: bytes) -> None:
        """The same of what the session says."""
        at, state = 0, link.session.state.value
        while at < len(octets):
            end = at + LENGTH_BYTES + int.from_bytes(octets[at : at + LENGTH_BYTES], "big")
            self._keep(link, "out", octets[at:end], state, state)
            at = end

    def _keep(self, link: Link, way: str, raw: bytes, before: str, after: str) -> None:
        now_ms = self._replica.system_ms()
        if now_ms - self._asked_ms > LAPSE_MS:
            self._stop()
            return
        self._last += 1
        kept: Message = {
            "number": self._last,
            "at_ms": now_ms,
            "session": f"{link.peer.name} {link.facts.since_ms} {'dialled' if link.dialled else 'accepted'}",
            "peer": link.peer.name,
            "author": link.peer.author.hex(),
            "way": way,
            "message": _name(raw),
            "before": before,
            "after": after,
            "bytes": len(raw),
            "raw": raw.hex(),
        }
        self._kept.append(kept)
        self._kept_bytes += len(raw)
        while self._kept_bytes > KEPT_BYTES_MAX or len(self._kept) > KEPT_MAX:
            self._kept_bytes -= self._kept.popleft()["bytes"]

    def _forget(self) -> None:
        for link in [one for one in self._ears if one.session.ended]:
            del self._ears[link]

    def _stop(self) -> None:
        self._replica.node.listen_in(None)
        self._listens = False
        self._ears.clear()
        self._kept.clear()
        self._kept_bytes = 0


def _name(raw: bytes) -> str:
    try:
        return type(frames.decode(raw[LENGTH_BYTES:])).__name__
    except ProtocolError:
        return "unreadable"
