"""What every merge rule is put through: the laws of a lattice, and random schedules judged by a specification.

A file of laws subclasses ``LatticeLaws`` (or ``RuleLaws``) and says how states and operations are made; the tests are
inherited. ``follows_specification`` runs three or more replicas through operations, lost, doubled, reordered and cut-off
messages, and compares every replica with a specification that knows only the history of operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from merge_rules import canonical
from merge_rules.errors import InvalidBody, NotAllowed
from merge_rules.lattice import Author

AUTHORS: tuple[Author, ...] = tuple(Author(bytes([n]) * 8) for n in range(1, 6))

authors: st.SearchStrategy[Author] = st.sampled_from(AUTHORS)

FEW = settings(max_examples=30, deadline=None)
MANY = settings(max_examples=50, deadline=None)

_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-3, 5)
    | st.sampled_from([-(2**63), 2**40, 2**63, 2**64 - 1])
    | st.sampled_from([b"", b"a", b"\x01" * 8, b"\x02" * 8, b"\x00" * 16, b"\x07" * 32])
    | st.sampled_from(["", "a", "points", "é"])
)


def _containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.lists(children, max_size=4)
        | st.dictionaries(st.integers(0, 6), children, max_size=4)
        | st.dictionaries(st.sampled_from([*AUTHORS, b"", b"k"]), children, max_size=3)
        | st.dictionaries(st.sampled_from(["", "a", "b"]), children, max_size=3)
    )


rubbish: st.SearchStrategy[Any] = st.recursive(_leaves, _containers, max_leaves=12)
"""Values that canonical CBOR can hold, of the sizes and key types that bodies use: most are no body of the rule at hand."""


def tampered(body: object, choose: Callable[[int], int], replacement: object) -> object:
    """``body`` with one part, found by walking down as ``choose(count)`` says, replaced."""
    if isinstance(body, dict) and body:
        at = choose(len(body) + 1)
        if at == len(body):
            return replacement
        key = sorted(body)[at]
        return {**body, key: tampered(body[key], choose, replacement)}
    if isinstance(body, list | tuple) and body:
        at = choose(len(body) + 1)
        if at == len(body):
            return [*body, replacement]
        return [*body[:at], tampered(body[at], choose, replacement), *body[at + 1 :]]
    return replacement


def wire(body: object) -> object:
    """``body`` after a journey: encoded and decoded."""
    return canonical.decode(canonical.encode(body))


class LatticeLaws:
    """The laws of ``merge_rules.lattice``, as tests for a subclass that names a rule.

    ``states``: any states, also those that only a liar brings about. ``operations``: functions from a state to a delta; they
    may raise ``NotAllowed``. ``bottom`` and ``encoded`` are for lattices that are no rule of their own.
    """

    rule: ClassVar[Any]
    states: ClassVar[st.SearchStrategy[Any]]
    operations: ClassVar[st.SearchStrategy[Callable[[Any], Any]] | None] = None
    encoded: ClassVar[bool] = True

    @classmethod
    def bottom(cls) -> Any:
        return cls.rule.bottom()

    def test_join_is_commutative(self) -> None:
        @MANY
        @given(self.states, self.states)
        def law(a: Any, b: Any) -> None:
            assert a.join(b) == b.join(a)

        law()

    def test_join_is_associative(self) -> None:
        @MANY
        @given(self.states, self.states, self.states)
        def law(a: Any, b: Any, c: Any) -> None:
            assert a.join(b).join(c) == a.join(b.join(c))

        law()

    def test_join_is_idempotent_and_bottom_adds_nothing(self) -> None:
        bottom = self.bottom()

        @FEW
        @given(self.states)
        def law(a: Any) -> None:
            assert a.join(a) == a
            assert a.join(bottom) == a
            assert bottom.join(a) == a
            assert bottom.precedes(a)
            assert a.precedes(a)

        law()

    def test_precedes_is_the_order_that_join_defines(self) -> None:
        @MANY
        @given(self.states, self.states)
        def law(a: Any, b: Any) -> None:
            assert a.precedes(b) is (a.join(b) == b)
            assert a.precedes(a.join(b))
            assert b.precedes(a.join(b))

        law()

    def test_join_is_monotone(self) -> None:
        @FEW
        @given(self.states, self.states, self.states)
        def law(a: Any, b: Any, c: Any) -> None:
            assert a.join(c).precedes(a.join(b).join(c))

        law()

    def test_joined_deltas_equal_joined_states(self) -> None:
        if self.operations is None:
            return
        bottom = self.bottom()

        @FEW
        @given(
            self.states,
            self.states,
            st.lists(self.operations, min_size=1, max_size=8),
            st.randoms(use_true_random=False),
        )
        def law(here: Any, there: Any, operations: list[Callable[[Any], Any]], random: Any) -> None:
            after, deltas = here, []
            for operation in operations:
                try:
                    delta = operation(after)
                except NotAllowed:
                    continue
                after = after.join(delta)
                deltas.append(delta)
            random.shuffle(deltas)
            group = bottom
            for delta in deltas:
                group = group.join(delta)
            assert here.join(group) == after
            assert there.join(here).join(group) == there.join(after)

        law()

    def test_bodies_are_canonical_and_round_trip(self) -> None:
        if not self.encoded:
            return

        @MANY
        @given(self.states)
        def law(a: Any) -> None:
            body = a.body()
            again = self.rule.from_body(wire(body))
            assert again == a
            assert canonical.encode(again.body()) == canonical.encode(body)

        law()

    def test_equal_states_have_equal_bodies(self) -> None:
        if not self.encoded:
            return

        @FEW
        @given(self.states, self.states)
        def law(a: Any, b: Any) -> None:
            assert canonical.encode(a.join(b).body()) == canonical.encode(b.join(a).body())
            assert (a == b) is (canonical.encode(a.body()) == canonical.encode(b.body()))

        law()

    def test_rubbish_is_an_invalid_body_or_exactly_what_it_says(self) -> None:
        if not self.encoded:
            return

        @MANY
        @given(rubbish, self.states, st.data())
        def law(junk: object, state: Any, data: st.DataObject) -> None:
            for body in (junk, tampered(state.body(), lambda n: data.draw(st.integers(0, n - 1)), junk)):
                self.refuses_or_keeps(self.rule.from_body, body)

        law()

    @staticmethod
    def refuses_or_keeps(read: Callable[[object], Any], body: object) -> None:
        try:
            wired = wire(body)
        except canonical.NotCanonical:
            return
        try:
            state = read(wired)
        except InvalidBody:
            pass
        else:
            assert canonical.encode(state.body()) == canonical.encode(wired)
            assert state.join(state) == state


class RuleLaws(LatticeLaws):
    """Adds what holds for rules that are fed by entries."""

    honest_states: ClassVar[st.SearchStrategy[Any] | None] = None
    """States that honest authors bring about, where entries check more than the joined state can; else ``states``."""

    def test_an_entry_of_a_state_precedes_the_state(self) -> None:
        @FEW
        @given(self.states if self.honest_states is None else self.honest_states, authors)
        def law(state: Any, author: Author) -> None:
            seq = self.seq_of(state, author)
            if seq is not None:
                assert self.rule.from_entry(author, seq, wire(state.entry_body(author))).precedes(state)

        law()

    def seq_of(self, state: Any, author: Author) -> int | None:
        """The number of the entry that ``entry_body`` stands for, in rules that keep it; ``None`` if there is none."""
        return 1

    def test_rubbish_in_an_entry_is_an_invalid_body(self) -> None:
        @MANY
        @given(rubbish, self.states if self.honest_states is None else self.honest_states, authors, st.data())
        def law(junk: object, state: Any, author: Author, data: st.DataObject) -> None:
            body = tampered(state.entry_body(author), lambda n: data.draw(st.integers(0, n - 1)), junk)
            for candidate in (junk, body):
                try:
                    wired = wire(candidate)
                except canonical.NotCanonical:
                    continue
                try:
                    part = self.rule.from_entry(author, 7, wired)
                except InvalidBody:
                    pass
                else:
                    assert canonical.encode(part.entry_body(author)) == canonical.encode(wired)

        law()


# ---- Schedules ----------------------------------------------------------------------------------------------------------


class EventId(NamedTuple):
    """The ``number``-th operation of an author, from 1."""

    author: Author
    number: int


@dataclass(frozen=True)
class Event:
    """An operation, and which operations its replica had seen when it was performed."""

    id: EventId
    operation: Any
    seen: frozenset[EventId]

    @property
    def author(self) -> Author:
        return self.id.author


History = dict[EventId, Event]
"""Operations by id; a specification turns the visible ones into the value that a replica must show."""

S = TypeVar("S")


@dataclass(frozen=True)
class Trial(Generic[S]):
    """One rule against its specification.

    ``perform(state, author, operation)`` returns a delta or raises ``NotAllowed``; ``allowed`` is the specification's word on
    the same question. ``read(state)`` must equal ``specify(visible)``. With ``whole`` an entry is one delta; without, it is
    everything that its author has said so far, so that a newer one makes up for lost ones.
    """

    bottom: S
    operations: st.SearchStrategy[Any]
    perform: Callable[[S, Author, Any], S]
    read: Callable[[S], object]
    specify: Callable[[History], object]
    allowed: Callable[[History, Author, Any], bool] | None = None
    whole: bool = False
    replicas: int = 3
    steps_max: int = 40
    opening: tuple[tuple[Any, ...], ...] = ()
    """Steps before every schedule, so that what needs several in a row comes about."""
    invariant: Callable[[S, History, History], None] | None = None
    """Called after each step with a replica's state, what it sees, and everything that ever happened."""


@dataclass(frozen=True)
class _Message:
    sender: int
    receiver: int
    author: Author | None
    """Whose entry this is; ``None`` for a whole state."""
    seq: int
    content: bytes
    carries: frozenset[EventId]


class _Replicas(Generic[S]):
    def __init__(self, trial: Trial[S]) -> None:
        self.trial = trial
        self.rule: Any = type(trial.bottom)
        self.states: list[Any] = [trial.bottom] * trial.replicas
        self.visible: list[set[EventId]] = [set() for _ in range(trial.replicas)]
        self.history: History = {}
        self.entries: dict[EventId, bytes] = {}
        self.network: list[_Message] = []
        self.side: tuple[int, ...] = (0,) * trial.replicas

    def seen(self, replica: int) -> History:
        return {event: self.history[event] for event in self.visible[replica]}

    def operate(self, replica: int, operation: object) -> None:
        trial, author, state = self.trial, AUTHORS[replica], self.states[replica]
        permitted = trial.allowed is None or trial.allowed(self.seen(replica), author, operation)
        try:
            delta: Any = trial.perform(state, author, operation)
        except NotAllowed:
            assert trial.allowed is None or not permitted, f"refused what the specification allows: {operation}"
            return
        assert permitted, f"allowed what the specification refuses: {operation}"
        after = state.join(delta)
        if after == state:
            return  # nothing said, so nothing to sign
        event = EventId(author, 1 + sum(event.author == author for event in self.visible[replica]))
        self.history[event] = Event(event, operation, frozenset(self.visible[replica]))
        self.states[replica] = after
        self.visible[replica].add(event)
        self.entries[event] = canonical.encode((delta if trial.whole else after).entry_body(author))

    def send_entry(self, sender: int, receiver: int, author: Author, back: int) -> None:
        """Any entry that the sender has, also another's and an old one."""
        held = sorted(event.number for event in self.visible[sender] if event.author == author)
        if not held:
            return
        number = held[max(0, len(held) - 1 - back)]
        first = number if self.trial.whole else 1
        carries = frozenset(EventId(author, n) for n in range(first, number + 1))
        content = self.entries[EventId(author, number)]
        self.network.append(_Message(sender, receiver, author, number, content, carries))

    def send_state(self, sender: int, receiver: int) -> None:
        content = canonical.encode(self.states[sender].body())
        self.network.append(_Message(sender, receiver, None, 0, content, frozenset(self.visible[sender])))

    def deliver(self, at: int, *, keep: bool, lose: bool) -> None:
        if not self.network:
            return
        at %= len(self.network)
        message = self.network[at] if keep else self.network.pop(at)
        if lose or self.side[message.sender] != self.side[message.receiver]:
            return
        self.receive(message)

    def receive(self, message: _Message) -> None:
        body, rule, author = canonical.decode(message.content), self.rule, message.author
        part = rule.from_body(body) if author is None else rule.from_entry(author, message.seq, body)
        self.states[message.receiver] = self.states[message.receiver].join(part)
        self.visible[message.receiver] |= message.carries

    def restart(self, replica: int) -> None:
        self.states[replica] = self.rule.from_body(wire(self.states[replica].body()))

    def check(self, replica: int) -> None:
        seen = self.seen(replica)
        if self.trial.invariant is not None:
            self.trial.invariant(self.states[replica], seen, self.history)
        assert self.trial.read(self.states[replica]) == self.trial.specify(seen)

    def exchange_all(self) -> None:
        self.side = (0,) * self.trial.replicas
        for sender in range(self.trial.replicas):
            for event in sorted(self.visible[sender]):
                for receiver in range(self.trial.replicas):
                    carries = (
                        [event] if self.trial.whole else [EventId(event.author, n + 1) for n in range(event.number)]
                    )
                    self.receive(
                        _Message(sender, receiver, event.author, event.number, self.entries[event], frozenset(carries))
                    )


def schedules(trial: Trial[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """Lists of steps; operations and deliveries are likelier than cuts."""
    replica = st.integers(0, trial.replicas - 1)
    side = st.tuples(*[st.integers(0, 1)] * trial.replicas) | st.just((0,) * trial.replicas)
    steps: dict[str, tuple[int, tuple[st.SearchStrategy[Any], ...]]] = {
        "operate": (8, (replica, trial.operations)),
        "entry": (3, (replica, replica, replica, st.integers(0, 2))),
        "state": (1, (replica, replica)),
        "deliver": (5, (st.integers(0, 30), st.booleans(), st.integers(0, 5))),
        "meet": (3, (replica, replica)),
        "cut": (1, (side,)),
        "restart": (1, (replica,)),
    }
    # Drawn by name, since one_of would take each kind once, whatever its weight.
    names = [name for name, (weight, _) in steps.items() for _ in range(weight)]
    step = st.sampled_from(names).flatmap(lambda name: st.tuples(st.just(name), *steps[name][1]))
    # Hypothesis likes short lists, in which little comes together; so most are long.
    long = st.lists(step, min_size=trial.steps_max // 2, max_size=trial.steps_max)
    return st.lists(step, min_size=2, max_size=8) | long | long


def play(trial: Trial[Any], schedule: Sequence[tuple[Any, ...]]) -> _Replicas[Any]:
    """Run a schedule, checking after each step, then exchange everything and check that all replicas are equal."""
    replicas = _Replicas(trial)
    for step in (*trial.opening, *schedule):
        match step:
            case ("operate", int(replica), operation):
                replicas.operate(replica, operation)
                replicas.check(replica)
            case ("entry", int(sender), int(receiver), int(author), int(back)):
                replicas.send_entry(sender, receiver, AUTHORS[author], back)
            case ("state", int(sender), int(receiver)):
                replicas.send_state(sender, receiver)
            case ("deliver", int(at), bool(keep), int(luck)):
                replicas.deliver(at, keep=keep, lose=luck == 0)
                for replica in range(trial.replicas):
                    replicas.check(replica)
            case ("meet", int(one), int(other)):
                for pair in ((one, other), (other, one)):
                    replicas.send_state(*pair)
                    replicas.deliver(len(replicas.network) - 1, keep=False, lose=False)
                    replicas.check(pair[1])
            case ("cut", side):
                replicas.side = side
            case ("restart", int(replica)):
                replicas.restart(replica)
    replicas.exchange_all()
    for replica in range(trial.replicas):
        assert replicas.visible[replica] == set(replicas.history)
        replicas.check(replica)
        assert replicas.states[replica] == replicas.states[0], "replicas that have seen the same are equal"
    return replicas


def follows_specification(trial: Trial[Any], examples: int = 60) -> None:
    """Play random schedules; fails with the shortest schedule that shows a difference."""

    @settings(max_examples=examples, deadline=None)
    @given(schedules(trial))
    def every_schedule(schedule: list[tuple[Any, ...]]) -> None:
        play(trial, schedule)

    every_schedule()
