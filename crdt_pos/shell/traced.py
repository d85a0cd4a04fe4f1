"""What was traced of sessions and of the log: read as events, and held against the session machine's table without a network.

A trace is a file of JSON lines: first what was traced, then one event a line. Messages stand in it as their frames. Replaying
takes each frame apart again and follows ``gossip.transitions`` with it: between two messages a session may have moved by acts
of its own, so that it is in one of a few states; a message that is legal in none of them, or that leads elsewhere than the
session said it was, is a finding. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from crdt_pos.receipt import Receipt
from crdt_pos.schema import BALANCE, JOURNAL, SCHEMA
from crdt_pos.shell import acts
from crdt_pos.shell.fields import NameOf
from gossip import frames
from gossip.entry import Entry, decode
from gossip.errors import BadEntry, ProtocolError
from gossip.messages import (
    LENGTH_BYTES,
    Admitted,
    Announce,
    Answer,
    Ask,
    Bye,
    Cursor,
    Durable,
    Entries,
    Hello,
    Message,
    Patch,
    Ranges,
    Want,
)
from gossip.reasons import Reason
from gossip.transitions import TRANSITIONS, Act, State
from merge_rules.counter_bounded import CounterBounded
from merge_rules.dataclass import dataclass
from merge_rules.errors import InvalidBody

VERSION: Final = 1
MESSAGE: Final = "message"


def event_of_message(one: Mapping[str, Any]) -> dict[str, Any]:
    """A message as the local socket tells of it, with what it says in words."""
    raw = bytes.fromhex(one["raw"])
    return {"kind": MESSAGE, **one, "says": said(raw) if raw else "too long to be shown"}


def event_of_entry(raw: bytes, name_of: NameOf, at_ms: int) -> dict[str, Any]:
    """An entry that the log took up: a sale, a grant, or any other join."""
    entry = decode(raw)
    kind, says = _meaning(entry, name_of)
    return {
        "kind": kind,
        "at_ms": at_ms,
        "document": str(entry.document),
        "author": entry.author.hex(),
        "name": name_of(entry.author),
        "seq": entry.seq,
        "hash": entry.hash.hex(),
        "says": says,
        "raw": raw.hex(),
    }


def _meaning(entry: Entry, name_of: NameOf) -> tuple[str, str]:
    try:
        if entry.document.kind == JOURNAL:
            receipt = Receipt.from_body(entry.body)
            return "sale", f"{receipt.number}: {acts.what(receipt)}, {receipt.due_minor} minor units due"
        if entry.document.kind == BALANCE:
            state = CounterBounded.from_entry(entry.author, entry.seq, entry.body)
            granted = state.granted(entry.author)
            if granted:
                return "grant", ", ".join(f"{amount} in all to {name_of(taker)}" for taker, amount in granted.items())
    except InvalidBody:
        return "join", "a body that cannot be read"
    known = "" if entry.document.kind in SCHEMA else ", a kind that is not known here"
    return "join", f"entry {entry.seq} of {entry.document}{known}"


def said(raw: bytes) -> str:
    """What a frame says, in a few words."""
    try:
        message = frames.decode(raw[LENGTH_BYTES:])
    except ProtocolError as error:
        return f"cannot be read: {error.why}"
    return _said(message)


def _said(message: Message) -> str:
    match message:
        case Hello():
            return f"who I am, {len(message.scopes)} scopes, {message.last_arrival} arrivals"
        case Admitted():
            return f"you may read {', '.join(sorted(message.scopes)[:6]) or 'nothing'}"
        case Cursor():
            return f"I have read your log up to {message.arrival}"
        case Entries():
            whole = [item for item in message.items if not isinstance(item, Patch)]
            patched = len(message.items) - len(whole)
            return f"{len(whole)} entries{f' and {patched} patches' if patched else ''}: {_documents(whole)}"
        case Durable():
            return f"batch {message.batch} is on my disk, {len(message.refused)} of it refused"
        case Ask():
            return f"question {message.id} about {message.topic}"
        case Answer():
            return f"answer to {message.id}{'' if message.content is not None else ': not known here'}"
        case Bye():
            return f"bye, {Reason.of(message.reason).name.lower()} {message.text}".rstrip()
        case Want():
            return f"{len(message.feeds)} feeds"
        case Announce():
            return f"{len(message.items)} entries by name"
        case Ranges():
            return f"{len(message.runs)} runs"
        case _:
            return ""


def _documents(items: Iterable[object]) -> str:
    names: dict[str, None] = {}
    for item in items:
        if isinstance(item, bytes):
            try:
                names[str(decode(item).document)] = None
            except BadEntry:
                names["unreadable"] = None
    shown = list(names)
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


# --- files -----------------------------------------------------------------------------------------------------------


def header(replica: str, author: str, at_ms: int) -> str:
    """The first line."""
    return json.dumps({"trace": VERSION, "replica": replica, "author": author, "at_ms": at_ms})


def read(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The events of a file. Raises ``ValueError`` for one that is no trace."""
    left = iter(lines)
    first = json.loads(next(left, "null"))
    if not isinstance(first, dict) or first.get("trace") != VERSION:  # pyright: ignore[reportUnknownMemberType]
        raise ValueError("its first line is not that of a trace")
    for line in left:
        if line.strip():
            yield json.loads(line)


# --- replaying -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """Where a trace and the session machine disagree."""

    session: str
    number: int
    message: str
    says: str


class Replay:
    """One session's messages, followed through the table."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.messages = 0
        self.states: frozenset[State] = frozenset()
        """Where it may be; empty before the first message."""
        self.entries: list[Entry] = []
        """Whole entries that came, in order."""

    def follow(self, one: Mapping[str, Any]) -> Iterator[Finding]:
        """The next message, or what is wrong with it."""
        self.messages += 1
        before, after = _state(one["before"]), _state(one["after"])
        if not self.states:
            self.states = frozenset([before or State.GREETING])
        here = _by_acts(self.states)
        if before is not None and before not in here:
            yield self._found(one, f"it was {before.value}, which no act leads to from {_text(self.states)}")
        here = _by_acts(frozenset([before])) if before is not None else here
        try:
            message = frames.decode(bytes.fromhex(one["raw"])[LENGTH_BYTES:]) if one["raw"] else None
        except ProtocolError as error:
            yield self._found(one, f"the machine ends: {error.why}")
            message = None
        reached = here
        if message is not None and one["way"] == "in":
            self._note(message)
            reached = frozenset(to for state in here if (to := TRANSITIONS.get((state, type(message)))) is not None)
            if not reached:
                yield self._found(
                    one, f"{one['message'].upper()} while {_text(here)}: the machine ends with UNEXPECTED"
                )
        if after is not None and reached and after not in _by_acts(reached):
            yield self._found(one, f"it was {after.value} then; the machine is {_text(reached)}")
        self.states = frozenset([after]) if after is not None else reached or here

    def _note(self, message: Message) -> None:
        for item in message.items if isinstance(message, Entries) else ():
            if isinstance(item, bytes):
                try:
                    self.entries.append(decode(item))
                except BadEntry:
                    continue  # the machine refuses it where it is taken in

    def _found(self, one: Mapping[str, Any], says: str) -> Finding:
        return Finding(self.session, one["number"], f"{one['way']} {one['message']}", says)


def _state(text: str) -> State | None:
    return State(text) if text else None


def _by_acts(states: frozenset[State]) -> frozenset[State]:
    """Where acts of its own may have led it meanwhile."""
    found = set(states)
    left = list(states)
    while left:
        state = left.pop()
        for act in Act:
            to = TRANSITIONS.get((state, act))
            if to is not None and to not in found:
                found.add(to)
                left.append(to)
    return frozenset(found)


def _text(states: Iterable[State]) -> str:
    return " or ".join(sorted(state.value for state in states if state is not State.ENDED)) or "ended"
