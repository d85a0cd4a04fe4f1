"""PROTOCOL.md says what the code does: its diagram, its reasons, its limits and its vectors are checked here.

After a deliberate change, ``python -m tests.protocol.test_vectors`` writes diagram and vectors anew.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from pathlib import Path

import pytest

from crdt_pos.schema import SCHEMA
from gossip import frames, messages, patch, reconcile
from gossip.document import COMPANY, EPOCH, Document, FeedType, Scope, ScopeClass
from gossip.entry import ENTRY_BYTES_MAX, FeedId, Hash, sign
from gossip.entry import decode as decode_entry
from gossip.limits import Limits
from gossip.log import Fingerprint, feed_fingerprint, feed_key
from gossip.messages import (
    Admitted,
    Announce,
    Announcement,
    Answer,
    Ask,
    Bye,
    Cursor,
    Durable,
    Entries,
    Fingerprints,
    Hello,
    Listed,
    Message,
    Named,
    Part,
    Patch,
    Ping,
    Pong,
    Ranges,
    Refused,
    Run,
    Sketched,
    Want,
    Wanted,
)
from gossip.reasons import Reason
from gossip.sketch import CELLS_MAX, coded, sketch
from gossip.transitions import diagram
from merge_rules import canonical
from merge_rules.set_grow import SetGrow
from peers import certificates
from peers.keys import SealingKey, SecretKey, author_of
from peers.roster import _TYPES, BalanceKind, RosterSet, StoreRecord, Why, element

SPECIFICATION = Path(__file__).parents[2] / "PROTOCOL.md"
SECRET = SecretKey((1).to_bytes(32, "big"))
AUTHOR = author_of(SECRET.public, "a1")
DAY = Document("day", 20_779, (12,))
STAMP = 1_795_305_600_000 << 16
LATEST = sign(SECRET, AUTHOR, DAY, FeedType.LATEST, ScopeClass.STORE, 1, STAMP, {0: 5, 3: {"cash": [1999]}})
NEXT = sign(SECRET, AUTHOR, DAY, FeedType.LATEST, ScopeClass.STORE, 2, STAMP + 1, {0: 6, 3: {"cash": [1999]}})
ROSTER = Document("roster")
FIRST = sign(SECRET, AUTHOR, ROSTER, FeedType.WHOLE, ScopeClass.COMPANY, 1, STAMP, [1, "store"])
SECOND = sign(SECRET, AUTHOR, ROSTER, FeedType.WHOLE, ScopeClass.COMPANY, 2, STAMP, None, FIRST.hash)
KEY = feed_key(FeedId(DAY, AUTHOR))
PRINT = feed_fingerprint(FeedId(DAY, AUTHOR), [LATEST.head])
SALT = PRINT.value.to_bytes(32, "big")[:8]
DATABASE = bytes(range(16))
OFFICE_KEY, TILL_KEY = (SecretKey(number.to_bytes(32, "big")) for number in (2, 3))
ROOT = certificates.create_root(SECRET, "Acme", SealingKey((4).to_bytes(32, "big")).public)
OFFICE = certificates.issue_office(ROOT, SECRET, OFFICE_KEY.public, "a")
TILL = certificates.issue_till(ROOT, OFFICE, OFFICE_KEY, TILL_KEY.public, 12, 3, "a1")
STORE = RosterSet.bottom().add_body(element(StoreRecord(12, name="North")))

FRAMES: dict[str, Message] = {
    "BYE": Bye(Reason.COMPANY, "you belong to another company"),
    "HELLO": Hello(1, 1, b"acme", AUTHOR, DATABASE, 7, frozenset({COMPANY, Scope("store/12")})),
    "ADMITTED": Admitted(frozenset({COMPANY, Scope("store/12")})),
    "CURSOR": Cursor(DATABASE, 7),
    "ENTRIES, one whole": Entries(1, 7, 0, (LATEST.raw,)),
    "ENTRIES, one patch": Entries(2, 8, 0, (Patch(KEY, patch.diff(LATEST, NEXT) or b""),)),
    "ANNOUNCE": Announce(3, 9, (Announcement(KEY, NEXT.head),)),
    "WANT": Want(1, (Wanted(KEY, 1),)),
    "DURABLE": Durable(1),
    "DURABLE, one refused": Durable(2, (Refused(Hash(NEXT.hash), "not its author's signature"),)),
    "FINGERPRINTS": Fingerprints((Fingerprint(), PRINT)),
    "RANGES": Ranges((Run(1, b"", (Part(KEY, Fingerprint()), Part(None, (Listed(KEY, (LATEST.head,)),)))),)),
    "RANGES, a sketch of 6 cells and what is asked for after one": Ranges(
        (
            Run(0, b"", (Part(None, Sketched(PRINT, sketch(coded(SALT, [(KEY, (LATEST.head,))]), 6))),)),
            Run(1, b"", (Part(None, Named(SALT, (coded(SALT, [(KEY, (LATEST.head,))])[0].id,))),)),
        )
    ),
    "ASK": Ask(1, "certificate", AUTHOR),
    "ANSWER": Answer(1, None),
    "PING": Ping(1),
    "PONG": Pong(1),
}

VALUES: dict[str, bytes] = {
    "public key": SECRET.public,
    "author": AUTHOR,
    'entry `day/12/2026-11-22`, latest, seq 1, body {0: 5, 3: {"cash": [1999]}}': LATEST.raw,
    "its hash": LATEST.hash,
    "its feed key": KEY,
    "fingerprint of the feed": PRINT.value.to_bytes(32, "big"),
    'the next entry, seq 2, body {0: 6, 3: {"cash": [1999]}}': NEXT.raw,
    "the change from one to the next": patch.diff(LATEST, NEXT) or b"",
    'entry `roster`, whole, seq 1, body [1, "store"]': FIRST.raw,
    "entry `roster`, whole, seq 2, body null": SECOND.raw,
    "company's id": ROOT.company,
    "root": ROOT.der,
    "certificate of office-a": OFFICE.der,
    "certificate of till 12-3, life a1": TILL.der,
    "its author": TILL.author,
    "body of `patrons`, account 0001020304050607": canonical.encode(SetGrow.add_body(bytes(range(8)))),
    'body of `roster`, store 12 named "North"': canonical.encode(STORE),
    **{f"frame {name}": frames.encode(message) for name, message in FRAMES.items()},
}


def vectors() -> str:
    return "\n".join(f"- {name}:\n  `{value.hex()}`" for name, value in VALUES.items())


def kinds() -> str:
    rows = ["| kind | keys | day | feed | scope | rule | who writes |", "|---|---|---|---|---|---|---|"]
    for kind in SCHEMA.values():
        keys = ", ".join(key.value for key in kind.keys) or "–"
        authors = ", ".join(sorted(kind.authors.roles)) + (
            "; tills in their own store" if kind.authors.own_store else ""
        )
        day, feed, scope = "yes" if kind.dated else "–", kind.feed.name.lower(), kind.scope.name.lower()
        rows.append(f"| `{kind.name}` | {keys} | {day} | {feed} | {scope} | {kind.rule.__name__} | {authors} |")
    return "\n".join(rows)


def elements() -> str:
    rows = ["| tag | element | fields |", "|---|---|---|"]
    for tag, record in _TYPES.items():
        fields: list[str] = []
        for number, one in enumerate(dataclasses.fields(record)):
            default = "" if one.default is dataclasses.MISSING else f" = {plain(one.default)}"
            fields.append(f"{number} {one.name}: {TYPES[str(one.type)]}{default}")
        rows.append(f"| {int(tag)} | {tag.name.lower().replace('_', ' ')} | {', '.join(fields)} |")
    return "\n".join(rows)


TYPES = {
    "str": "text",
    "int": "integer",
    "bool": "bool",
    "datetime.date": "date",
    "bytes": "bytes",
    "tuple[bytes, ...]": "[bytes]",
    "Author": "bytes 8",
    "Author | None": "bytes 8",
    "Why": " / ".join(f"{int(one)} {one.name.lower()}" for one in Why),
    "BalanceKind": " / ".join(f"{int(one)} {one.name.lower().replace('_', ' ')}" for one in BalanceKind),
}


def plain(default: object) -> str:
    match default:
        case None:
            return "none"
        case datetime.date():
            return str((default - EPOCH).days)
        case bool():
            return str(default).lower()
        case int():
            return str(int(default))
        case ():
            return "[]"
        case _:
            return f'"{default}"'


def section(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)\n?<!-- /{name} -->", SPECIFICATION.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_diagram_is_the_table() -> None:
    assert section("diagram") == f"```mermaid\n{diagram()}\n```"


def test_the_kinds_are_those_of_the_schema() -> None:
    assert section("kinds") == kinds()


def test_every_rule_of_the_schema_has_its_body_and_that_of_a_latest_feed_its_order_in_the_specification() -> None:
    orders, bodies = (
        part.split("\n\n")[0]
        for part in SPECIFICATION.read_text().split("| rule | ⊑", 1)[1].split("| body | shape |", 1)
    )
    for kind in SCHEMA.values():
        assert kind.rule.__name__ in bodies or f"`{kind.name}`" in bodies
        assert (f"| {kind.rule.__name__} |" in orders) is (kind.feed is FeedType.LATEST) or kind.feed is FeedType.WHOLE


def test_the_elements_of_the_roster_are_those_of_the_code() -> None:
    assert section("elements") == elements()


def test_the_vectors_are_what_the_code_writes() -> None:
    assert section("vectors") == vectors()


@pytest.mark.parametrize("name", FRAMES)
def test_the_frames_of_the_specification_are_understood(name: str) -> None:
    found = re.search(rf"- frame {name}:\n  `([0-9a-f]+)`", section("vectors"))
    assert found is not None
    frame = bytes.fromhex(found[1])
    assert list(frames.Frames().feed(frame)) == [(FRAMES[name], len(frame))]


def test_the_entries_of_the_specification_are_understood_and_verify() -> None:
    found = re.findall(r"- (?:the next )?entry.*?:\n  `([0-9a-f]+)`", section("vectors"))
    entries = [decode_entry(bytes.fromhex(encoded)) for encoded in found]
    assert entries == [LATEST, NEXT, FIRST, SECOND]
    assert all(entry.verify(SECRET.public) for entry in entries)
    assert patch.apply(entries[0], patch.decode(VALUES["the change from one to the next"])) == entries[1]


def test_every_reason_is_in_the_specification_with_its_code() -> None:
    text = SPECIFICATION.read_text()
    for reason in Reason:
        assert f"| {int(reason)} | {reason.name.lower().replace('_', ' ')} |" in text


def test_the_limits_of_the_specification_are_those_of_the_code() -> None:
    text = SPECIFICATION.read_text().replace(",", "")
    limits = Limits()
    for row in (
        f"| `frame_bytes_max` (content) | {messages.FRAME_BYTES_MAX} |",
        f"| `entry_bytes_max` | {ENTRY_BYTES_MAX} |",
        f"refused in one message) | {messages.ITEMS_MAX} |",
        f"| `feed_key_bytes_max` | {messages.FEED_KEY_BYTES_MAX} |",
        f"| `heads_max` of one listed feed | {messages.HEADS_MAX} |",
        f"of RANGES | {messages.RANGE_RUNS_MAX} and {messages.RANGE_PARTS_MAX} |",
        f"of one comparison their bytes (as sent; 44 an id) | {reconcile.PENDING_MAX} and {reconcile.PENDING_BYTES_MAX} |",
        f"| cells ids of one part of RANGES | {CELLS_MAX} |",
        f"bytes of a scope's name | {messages.SCOPES_MAX} and {messages.SCOPE_BYTES_MAX} |",
        f"(§6) | {limits.window_bytes_max} and {limits.window_batches_max} |",
        f"patches rebuilt | {limits.rebuilt_bytes_max} |",
        f"that are open | {limits.wants_max} and {limits.questions_max} |",
        f"text | {messages.TOPIC_BYTES_MAX} {messages.CONTENT_BYTES_MAX} and {messages.TEXT_BYTES_MAX} bytes |",
        f"| {limits.handshake_ms_max} {limits.quiet_ms_max} and {limits.silence_ms_max} |",
    ):
        assert row in text, row


def test_every_message_is_in_the_specification_with_its_code() -> None:
    text = SPECIFICATION.read_text()
    for kind, code in messages.CODES.items():
        assert f"| {code} | {kind.__name__.upper()} |" in text


if __name__ == "__main__":
    written = SPECIFICATION.read_text()
    for name, new in (
        ("diagram", f"```mermaid\n{diagram()}\n```"),
        ("kinds", kinds()),
        ("elements", elements()),
        ("vectors", vectors()),
    ):
        marks = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, rest = written.split(marks[0])
        written = f"{before}{marks[0]}\n{new}\n{marks[1]}{rest.split(marks[1])[1]}"
    SPECIFICATION.write_text(written)
