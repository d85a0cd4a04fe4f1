"""What is tried: each target draws valid inputs, and judges one input, whatever its bytes.

A judge returns whether the input was accepted. Only the errors that its layer declares count as a refusal; any other exception
is a finding, and so is an accepted input that does not encode to the same bytes again (``Differs``).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final, cast

from crdt_pos import local, own_heads
from crdt_pos.catalogue_views import derive as derive_catalogue
from crdt_pos.day import Day
from crdt_pos.journal import derive as derive_journal
from crdt_pos.patrons import accounts_of
from crdt_pos.receipt import Receipt
from crdt_pos.rights import RightsQuestion, decode_granted
from crdt_pos.schema import SCHEMA
from crdt_pos.variance import Variance
from gossip import frames, patch
from gossip.document import COMPANY, from_order_key, order_key
from gossip.entry import Entry, assemble, decode, sign
from gossip.errors import BadEntry, ProtocolError
from gossip.events import Asked, CursorMoved, EntriesReceived, PeerSaidHello
from gossip.ingest import check, reason_against
from gossip.log import Arrival, Outcome
from gossip.log_memory import MemoryLog
from gossip.messages import (
    Admitted,
    Announce,
    Answer,
    Ask,
    Bye,
    Cursor,
    Durable,
    Entries,
    Fingerprints,
    Hello,
    Message,
    Patch,
    Pong,
    Ranges,
    Want,
)
from gossip.schema import Kind
from gossip.session import Me, Session
from gossip.sketch import CELL_BYTES, CHOICES, coded, differences, sketch
from merge_rules import canonical, yjs_update
from merge_rules.errors import InvalidBody, NotCanonical
from merge_rules.lattice import Rule
from peers import certificates, presence
from peers.errors import CertificateError, InvalidElement
from peers.keys import SecretKey
from peers.roster import element, from_element
from tools.fuzzing import grammar
from tools.fuzzing.mutating import changed, encoded, scrambled

Draw = Callable[[Random], bytes]
Judge = Callable[[bytes], bool]
Change = Callable[[Random, bytes, Sequence[bytes]], bytes]


class Differs(AssertionError):
    """An accepted input that is not what it encodes to."""


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder, rule or machine."""

    name: str
    draw: Draw
    """A valid input."""
    judge: Judge
    """Whether an input is accepted; any exception is a finding."""
    change: Change
    """An input made of a valid one; the others are for parts."""
    share: int
    """How many of a thousand cases it gets, about."""


def same(one: object, other: object, what: str) -> None:
    """Raise ``Differs`` unless they are equal."""
    if one != other:
        raise Differs(what)


@functools.lru_cache(maxsize=256)
def _opened(raw: bytes) -> object:
    """The value that a valid input encodes. Nobody changes it: ``changed`` copies."""
    return canonical.decode(raw)


def _of_cbor(dice: Random, raw: bytes, others: Sequence[bytes]) -> bytes:
    """Mostly a changed value, else changed bytes."""
    if dice.random() < 0.25:
        return scrambled(dice, raw)
    try:
        values = [_opened(raw), _opened(dice.choice(others))]
    except NotCanonical:
        return scrambled(dice, raw)
    return encoded(changed(dice, values[0], values))


def _of_bytes(dice: Random, raw: bytes, _others: Sequence[bytes]) -> bytes:
    return scrambled(dice, raw)


def _of_entry(dice: Random, raw: bytes, others: Sequence[bytes]) -> bytes:
    """Mostly an entry whose payload is another value: it passes what stands around it."""
    if dice.random() < 0.1:
        return scrambled(dice, raw)
    payload, other = list(_payload(raw)), _payload(dice.choice(others))
    if dice.random() < 0.75:
        payload[7] = changed(dice, payload[7], [payload[7], other[7]])
        made: object = payload
    else:
        made = changed(dice, payload, [payload, other])
    content = encoded(made)
    return raw[:_HEADER_BYTES] + encoded(content) + raw[-_TAIL_BYTES:]


_HEADER_BYTES: Final = 16
_TAIL_BYTES: Final = 66


@functools.lru_cache(maxsize=256)
def _payload(raw: bytes) -> list[object]:
    entry = decode(raw)
    fields: list[object] = [entry.document.kind, entry.document.day, list(entry.document.keys), int(entry.feed)]
    fields += [int(entry.scope), entry.seq, entry.stamp, entry.body]
    return fields if entry.previous is None else [*fields, entry.previous]


# --- decoders --------------------------------------------------------------------------------------------------------


def judge_value(raw: bytes) -> bool:
    """``merge_rules.canonical``."""
    try:
        value = canonical.decode(raw)
    except NotCanonical:
        return False
    same(canonical.encode(value), raw, "another encoding of the same value was accepted")
    return True


def judge_message(content: bytes) -> bool:
    """``gossip.frames``, and the entries and patches that stand in ENTRIES."""
    try:
        message = frames.decode(content)
    except ProtocolError:
        return False
    again = frames.encode(message)[4:]
    if isinstance(message, Hello | Bye):  # may have more fields than this version knows
        same(frames.decode(again), message, "a message is not what it encodes to")
    else:
        same(again, content, "a message encodes to other bytes")
    if isinstance(message, Entries):
        for item in message.items:
            judge_patch_alone(item.changes) if isinstance(item, Patch) else judge_entry(item)
    return True


def judge_patch_alone(changes: bytes) -> bool:
    """The fields of a patch, without its base."""
    try:
        patch.decode(changes)
    except BadEntry:
        return False
    return True


def judge_stream(raw: bytes) -> bool:
    """Frames cut from a stream: however it is cut, the same messages, and never more than a frame is held."""
    whole = _read(raw, len(raw) or 1)
    same(_read(raw, 7), whole, "cut otherwise, a stream says something else")
    return not whole[1]


def _read(raw: bytes, piece: int) -> tuple[list[Message], bool]:
    reader, found = frames.Frames(), list[Message]()
    try:
        for at in range(0, len(raw), piece):
            for message, _ in reader.feed(raw[at : at + piece]):
                found.append(message)
    except ProtocolError:
        return found, True
    return found, False


def judge_entry(raw: bytes) -> bool:
    """``gossip.entry``."""
    try:
        entry = decode(raw)
    except BadEntry:
        return False
    again = assemble(
        entry.author,
        entry.document,
        entry.feed,
        entry.scope,
        entry.seq,
        entry.stamp,
        entry.body,
        entry.previous,
        entry.signature,
    )
    same(again.raw, raw, "an entry encodes to other bytes")
    same(from_order_key(order_key(entry.document)), entry.document, "a document is not what its key names")
    return True


def judge_patch(raw: bytes) -> bool:
    """``gossip.patch``: an entry and a patch to be applied to it."""
    try:
        pair = canonical.decode(raw)
    except NotCanonical:
        return False
    match pair:
        case [bytes(before), bytes(changes)]:
            pass
        case _:
            return False
    try:
        made = patch.apply(decode(before), patch.decode(changes))
    except BadEntry:
        return False
    same(decode(made.raw), made, "a patched entry is not what it encodes to")
    return True


def judge_body(kind_name: str, raw: bytes) -> bool:
    """What ``gossip.ingest`` makes of an entry, the rule of its kind and its order, and who reads such bodies."""
    try:
        entry = decode(raw)
    except BadEntry:
        return False
    record = grammar.RECORDS.get(entry.author)
    if record is None or reason_against(entry, record, SCHEMA) is not None:
        return False
    kind = SCHEMA.get(entry.document.kind)
    if kind is None or kind.name != kind_name:
        return True
    state = kind.rule.from_entry(entry.author, entry.seq, entry.body)
    _law(kind.rule, state, entry)
    for read in READERS.get(kind_name, ()):
        read(entry)
    return True


_NEIGHBOUR: Final[dict[str, Rule]] = {}


def begin_block() -> None:
    """Forget what earlier blocks have left, so that a block is a function of its number."""
    _NEIGHBOUR.clear()


def _law(rule: type[Rule], state: Rule, entry: Entry) -> None:
    same(rule.from_body(state.body()), state, "a state is not what its body says")
    same(state.join(state), state, "joined with itself a state grows")
    # The state of another entry of the kind: the last one that was accepted.
    other = _NEIGHBOUR.get(entry.document.kind, rule.bottom())
    both = state.join(other)
    same(both, other.join(state), "the order of a join matters")
    if not (state.precedes(both) and other.precedes(both)):
        raise Differs("a join is not above what was joined")
    _NEIGHBOUR[entry.document.kind] = state


def _reads(read: Callable[[object], object]) -> Callable[[Entry], None]:
    def one(entry: Entry) -> None:
        try:
            read(entry.body)
        except InvalidBody:
            pass

    return one


def _reads_receipt(entry: Entry) -> None:
    try:
        receipt = Receipt.from_body(entry.body)
    except InvalidBody:
        return
    same(
        Receipt.from_body(canonical.decode(canonical.encode(receipt.body()))), receipt, "a receipt is not what it says"
    )
    Day().plus(receipt)


def _derives(derive: Callable[..., object]) -> Callable[[Entry], None]:
    """What a replica writes of its own accord when such an entry comes in."""

    def one(entry: Entry) -> None:
        log = MemoryLog(SCHEMA, bytes(16))
        with log.read() as reader:
            derive(reader, [Arrival(entry, grammar.AUTHORS[0])])

    return one


def _day_of(body: object) -> object:
    parts = cast("dict[int, Any]", body)
    return Day.from_counters({key: part for key, part in parts.items() if 1 <= key <= 22})


READERS: Final[Mapping[str, tuple[Callable[[Entry], None], ...]]] = {
    "journal": (_reads_receipt, _derives(partial(derive_journal, numbered_as=lambda _author: (12, 1, "a1")))),
    "variances": (_reads(lambda body: Variance.from_body(body).difference_minor),),
    "day": (_reads(_day_of),),
    "patrons": (_reads(lambda body: list(accounts_of(body))),),
    "catalogue": (_derives(derive_catalogue),),
    "claims": (_derives(derive_catalogue),),
}
"""Who reads bodies above the rule of their kind."""


def judge_element(raw: bytes) -> bool:
    """A roster's element."""
    try:
        record = from_element(canonical.decode(raw))
    except (NotCanonical, InvalidElement):
        return False
    if record is not None:
        same(from_element(element(record)), record, "a record is not what its element says")
    return True


def judge_certificate(der: bytes) -> bool:
    """A certificate or a root, as a peer shows it."""
    accepted = False
    for parse in (certificates.parse, certificates.parse_root):
        try:
            same(parse(der).der, der, "a certificate is not its bytes")
            accepted = True
        except CertificateError:
            pass
    try:
        certificates.verify_chain([der], _root())
    except CertificateError:
        pass
    return accepted


def judge_update(raw: bytes) -> bool:
    """A Yjs update."""
    try:
        yjs_update.parse(raw)
    except InvalidBody:
        return False
    return True


def judge_content(raw: bytes) -> bool:
    """What stands in questions and answers: none of it may do more than say nothing."""
    question = RightsQuestion.decode(raw)
    if question is not None:
        same(RightsQuestion.decode(question.encode()), question, "a question is not what it encodes to")
    granted, rows = decode_granted(raw), presence.decode(raw)
    shown = own_heads.decode_answer(raw, grammar.AUTHORS[1], grammar.KEYS[1].public)
    log = MemoryLog(SCHEMA, bytes(16))
    with log.read() as reader:
        own_heads.answer(reader, grammar.AUTHORS[1], raw)
    return question is not None or granted > 0 or bool(rows) or bool(shown)


def judge_sketch(raw: bytes) -> bool:
    """A sketch of feeds, against our own: it comes out or not."""
    cells = raw[: len(raw) - len(raw) % (CHOICES * CELL_BYTES)]
    return bool(cells) and differences(_feeds(), cells) is not None


def judge_line(raw: bytes) -> bool:
    """A line on the local socket."""
    try:
        message = local.decode_line(raw)
    except local.Declined:
        return False
    same(local.decode_line(local.encode_line(message)), message, "a line is not what it encodes to")
    return True


# --- machines --------------------------------------------------------------------------------------------------------


def judge_script(raw: bytes) -> bool:
    """Messages received one after the other by a session that began to share: events, an end with a reason, and no more."""
    try:
        script = canonical.decode(raw)
    except NotCanonical:
        return False
    session, log = _begun()
    if not isinstance(script, list):
        return False
    for content in cast("list[object]", script):
        if not isinstance(content, bytes):
            return False
        _hear(session, log, session.receive(len(content).to_bytes(4, "big") + content, 0))
        session.data_to_send()
        if session.ended:
            return False
    _hear(session, log, session.tick(20_000))
    session.data_to_send()
    return True


def _begun() -> tuple[Session, MemoryLog]:
    log = MemoryLog(SCHEMA, bytes(16), _filled().copy())
    session = Session(log, Me(grammar.COMPANY, grammar.AUTHORS[1], grammar.SCOPES), 0)
    return session, log


def _hear(session: Session, log: MemoryLog, events: Iterable[Any]) -> None:
    waiting = list(events)
    while waiting:
        match waiting.pop(0):
            case PeerSaidHello():
                waiting += session.admit(grammar.SCOPES)
            case EntriesReceived(batch, entries, cursor, _):
                arrivals = [Arrival(entry, grammar.AUTHORS[2], _against(entry)) for entry in entries]
                outcomes = log.append(arrivals, cursors=[cursor] if cursor else [])
                gaps = {
                    arrival.entry.feed_id
                    for arrival, done in zip(arrivals, outcomes, strict=True)
                    if done.outcome is Outcome.GAP
                }
                waiting += session.appended(batch, (), gaps)
                session.wake()
            case CursorMoved(cursor):
                log.append([], cursors=[cursor])
            case Asked(id_, _, content):
                session.answer(id_, content)
            case _:
                pass


def _against(entry: Entry) -> str | None:
    record = grammar.RECORDS.get(entry.author)
    return "nobody knows it" if record is None else reason_against(entry, record, SCHEMA)


def judge_ingest(raw: bytes) -> bool:
    """Entries that are really signed, or not, through ``gossip.ingest`` into two logs in different orders: they agree."""
    try:
        items = canonical.decode(raw)
    except NotCanonical:
        return False
    entries: list[Entry] = []
    for item in cast("list[object]", items) if isinstance(items, list) else []:
        try:
            entries.append(decode(cast("bytes", item)))
        except (BadEntry, TypeError):
            return False
    checked = check(entries[:2], grammar.AUTHORS[2], grammar.RECORDS.get, SCHEMA)
    # Two signatures are verified; of the others only what follows them.
    arrivals = [Arrival(entry, grammar.AUTHORS[2], _against(entry)) for entry in entries]
    one, other = MemoryLog(SCHEMA, bytes(16)), MemoryLog(SCHEMA, bytes(15) + b"\1")
    for arrival in reversed(arrivals):
        other.append([arrival])
    for _ in range(len(arrivals) + 1):
        if Outcome.GAP not in {done.outcome for log in (one, other) for done in log.append(arrivals)}:
            break
    with one.read() as ours, other.read() as theirs:
        for scope in (*grammar.SCOPES, COMPANY):
            same(ours.fingerprint(scope), theirs.fingerprint(scope), f"two logs of the same entries differ in {scope}")
    return bool(checked.arrivals)


# --- what they begin with --------------------------------------------------------------------------------------------

_KEPT: Final[dict[str, Any]] = {}


def _once(name: str, make: Callable[[], Any]) -> Any:
    if name not in _KEPT:
        _KEPT[name] = make()
    return _KEPT[name]


def _root() -> certificates.Root:
    return cast("certificates.Root", _once("root", _make_root))


def _make_root() -> certificates.Root:
    return certificates.create_root(grammar.KEYS[0], "Corner Shops", bytes(32))


def _chain() -> list[bytes]:
    def make() -> list[bytes]:
        root, office_key = _root(), SecretKey(bytes(31) + b"\7")
        office = certificates.issue_office(root, grammar.KEYS[0], office_key.public, "a")
        till = certificates.issue_till(root, office, office_key, grammar.KEYS[1].public, 12, 1, "a1")
        return [till.der, office.der, root.der]

    return cast("list[bytes]", _once("chain", make))


def _filled() -> Any:
    """A log of some entries, as a table to copy."""

    def make() -> Any:
        log, dice = MemoryLog(SCHEMA, bytes(16)), Random(0)  # noqa: S311
        log.append([Arrival(grammar.entry_of(dice, kind, seq=1)) for kind in SCHEMA.values()])
        return log.image()

    return _once("filled", make)


def _feeds() -> Any:
    def make() -> Any:
        log = MemoryLog(SCHEMA, bytes(16), _filled().copy())
        with log.read() as reader:
            return [one for scope in sorted(grammar.SCOPES) for one in coded(b"8 bytes.", reader.feeds(scope))]

    return _once("feeds", make)


def _draw_script(dice: Random) -> bytes:
    """HELLO, ADMITTED and CURSOR as they must come, then whatever."""
    hello = Hello(1, 1, grammar.COMPANY, grammar.AUTHORS[2], b"z" * 16, 5, grammar.SCOPES)
    opening: list[Message] = [
        hello,
        Admitted(grammar.SCOPES),
        Cursor(bytes(16), dice.choice((0, 1, len(SCHEMA), len(SCHEMA)))),
    ]
    # Most of what follows counts on from what it follows, as a peer that knows its trade would.
    batch, want, ask = 0, 0, 0
    for _ in range(dice.randrange(3, 12)):
        message = grammar.message(dice)
        match message:
            case Hello() | Bye() | Admitted() | Cursor() | Durable() | Answer() | Pong() if dice.random() < 0.95:
                continue
            case Ranges() | Fingerprints() if dice.random() < 0.7:
                continue
            case Entries() | Announce():
                batch += 1
                message = _with(message, batch=batch, **({"answers": 0} if isinstance(message, Entries) else {}))
            case Want():
                want += 1
                message = _with(message, number=want)
            case Ask():
                ask += 1
                message = _with(message, id=ask)
            case _:
                pass
        opening.append(message)
    return canonical.encode([frames.encode(message)[4:] for message in opening])


def _with(message: Message, **fields: object) -> Message:
    return dataclasses.replace(message, **fields)  # type: ignore[arg-type]


def _of_script(dice: Random, raw: bytes, others: Sequence[bytes]) -> bytes:
    """One message changed, left out, sent twice or too early."""
    script = cast("list[bytes]", list(cast("list[object]", _opened(raw))))
    at = dice.randrange(len(script)) if dice.random() < 0.2 else dice.randrange(min(3, len(script) - 1), len(script))
    match dice.randrange(6):
        case 0:
            del script[at]
        case 1:
            script.insert(at, script[dice.randrange(len(script))])
        case 2:
            other = cast("list[bytes]", _opened(dice.choice(others)))
            script.insert(at, other[dice.randrange(len(other))])
        case _:
            script[at] = _of_cbor(dice, script[at], script)
    return canonical.encode(script)


def _draw_entries(dice: Random) -> bytes:
    """Entries of few feeds: they follow each other, contradict each other, leave gaps."""
    chains: list[bytes] = []
    for _ in range(2):
        kind = SCHEMA[dice.choice(list(SCHEMA))]
        first = grammar.entry_of(dice, kind, seq=1)
        author = first.author
        key = grammar.KEYS[grammar.AUTHORS.index(author)]
        tips = [sign(key, author, first.document, kind.feed, kind.scope, 1, first.stamp, first.body)]
        for _ in range(dice.randrange(5)):
            before = dice.choice(tips)
            seq = before.seq + 1
            body = grammar.bodies(dice, kind, author)
            previous = before.hash if kind.feed else None
            tips.append(sign(key, author, first.document, kind.feed, kind.scope, seq, seq << 16, body, previous))
        chains += [entry.raw for entry in tips]
    dice.shuffle(chains)
    return canonical.encode(chains)


def _of_entries(dice: Random, raw: bytes, _others: Sequence[bytes]) -> bytes:
    items = cast("list[bytes]", list(cast("list[object]", _opened(raw))))
    at = dice.randrange(len(items))
    items[at] = _of_entry(dice, items[at], items)
    dice.shuffle(items)
    return canonical.encode(items)


def _draw_patch(dice: Random) -> bytes:
    before, _, changes = grammar.patched(dice)
    return canonical.encode([before.raw, changes])


def _of_patch(dice: Random, raw: bytes, others: Sequence[bytes]) -> bytes:
    before, changes = cast("list[bytes]", _opened(raw))
    other = cast("list[bytes]", _opened(dice.choice(others)))[1]
    return canonical.encode([before, _of_cbor(dice, changes, [other])])


def _draw_stream(dice: Random) -> bytes:
    return b"".join(frames.encode(grammar.message(dice)) for _ in range(dice.randrange(1, 5)))


def _draw_content(dice: Random) -> bytes:
    author = dice.choice(grammar.AUTHORS)
    match dice.randrange(4):
        case 0:
            asked = frozenset(dice.sample(grammar.AUTHORS, dice.randrange(3)))
            return RightsQuestion("points", dice.randbytes(8), dice.randrange(1, 99), author, asked).encode()
        case 1:
            return canonical.encode(dice.randrange(2**53))
        case 2:
            return canonical.encode([[one, dice.randrange(99), dice.random() < 0.5] for one in sorted(grammar.AUTHORS)])
        case _:
            return canonical.encode([grammar.entry(dice).raw])


def _draw_update(dice: Random) -> bytes:
    body = cast("dict[int, bytes]", grammar.bodies(dice, SCHEMA["catalogue"], dice.choice(grammar.AUTHORS)))
    return body[0]


def _draw_body(kind: Kind, dice: Random) -> bytes:
    return grammar.entry_of(dice, kind).raw


def _draw_message(code: int, dice: Random) -> bytes:
    return frames.encode(grammar.MESSAGES[code](dice))[4:]


def _draw_element(dice: Random) -> bytes:
    return canonical.encode(element(grammar.roster_record(dice)))


def _draw_line(dice: Random) -> bytes:
    do = dice.choice(("lookup", "sell", "open"))
    return local.encode_line({"version": 1, "do": do, "id": dice.randrange(9), "lines": [{"product": 1, "name": "ü"}]})


def _draw_sketch(dice: Random) -> bytes:
    return sketch(_feeds()[: dice.randrange(len(_feeds()))], 3 * dice.randrange(1, 20))


SHARES: Final[Mapping[str, int]] = {
    **{f"message {code}": 50 for code in range(len(grammar.MESSAGES))},
    **{f"message {code}": 25 for code in (1, 5, 6)},
    **{f"message {code}": 10 for code in (4, 9)},
    **{f"body {kind}": 3 for kind in SCHEMA},
    "value": 150,
    "stream": 10,
    "entry": 20,
    "patch": 5,
    "element": 60,
    "certificate": 5,
    "yjs": 90,
    "question": 20,
    "sketch": 3,
    "line": 90,
    "script": 3,
    "ingest": 2,
}
"""Of about a thousand cases: a decoder's take some 50 µs each, a session's or a log's a hundred times that."""


def targets() -> tuple[Target, ...]:
    """Every target, the messages and the kinds of the schema one by one."""
    made: list[tuple[str, Draw, Judge, Change]] = [
        *(
            (f"message {code}", partial(_draw_message, code), judge_message, _of_cbor)
            for code in range(len(grammar.MESSAGES))
        ),
        *(
            (f"body {name}", partial(_draw_body, kind), partial(judge_body, name), _of_entry)
            for name, kind in SCHEMA.items()
        ),
        ("value", lambda dice: canonical.encode(grammar.anything(dice)), judge_value, _of_cbor),
        ("stream", _draw_stream, judge_stream, _of_bytes),
        ("entry", lambda dice: grammar.entry(dice).raw, judge_entry, _of_entry),
        ("patch", _draw_patch, judge_patch, _of_patch),
        ("element", _draw_element, judge_element, _of_cbor),
        ("certificate", lambda dice: dice.choice(_chain()), judge_certificate, _of_bytes),
        ("yjs", _draw_update, judge_update, _of_bytes),
        ("question", _draw_content, judge_content, _of_cbor),
        ("sketch", _draw_sketch, judge_sketch, _of_bytes),
        ("line", _draw_line, judge_line, _of_bytes),
        ("script", _draw_script, judge_script, _of_script),
        ("ingest", _draw_entries, judge_ingest, _of_entries),
    ]
    return tuple(Target(*one, SHARES[one[0]]) for one in made)
