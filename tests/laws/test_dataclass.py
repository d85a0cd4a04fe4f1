"""What ``merge_rules.dataclass`` makes behaves as what the standard library makes of the same class."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merge_rules.dataclass import dataclass, replace

MAKERS: list[Callable[..., Any]] = [dataclasses.dataclass, dataclass]


def _classes(make: Callable[..., Any]) -> dict[str, Any]:
    @make(frozen=True, slots=True)
    class Frozen:
        """Said."""

        number: int
        text: str = "none"
        parts: list[int] = dataclasses.field(default_factory=list[int])
        aside: int = dataclasses.field(default=7, compare=False, repr=False)

    @make(frozen=True, slots=True)
    class Child(Frozen):
        more: int = 0

        def __post_init__(self) -> None:
            if self.more < 0:
                raise ValueError("less than nothing")

    @make(slots=True)
    class Open:
        number: int
        parts: list[int] = dataclasses.field(default_factory=list[int], init=False)

        def __repr__(self) -> str:
            return "open"

    @make(frozen=True)
    class Unslotted:
        number: int
        kept: list[int] = dataclasses.field(default_factory=list[int], init=False, compare=False)

    @make(frozen=True, slots=True)
    class Single:
        number: int

        def __hash__(self) -> int:
            return 5

    @make(frozen=True, slots=True, eq=False)
    class Itself:
        number: int

    @make(frozen=True, slots=True)
    class Nothing:
        pass

    return {cls.__name__: cls for cls in (Frozen, Child, Open, Unslotted, Single, Itself, Nothing)}


STANDARD, OURS = (_classes(make) for make in MAKERS)


def _did(act: Callable[[], object]) -> object:
    """What came of it, or what was raised."""
    try:
        return act()
    except Exception as error:  # noqa: BLE001  what it is is what is compared
        return type(error)


@given(st.integers(-2, 2), st.integers(-2, 2), st.sampled_from(["none", "a"]), st.lists(st.integers(0, 1), max_size=2))
def test_two_instances_compare_hash_and_print_as_the_librarys_do(a: int, b: int, text: str, parts: list[int]) -> None:
    def told(classes: dict[str, Any]) -> list[object]:
        frozen, child, single = classes["Frozen"], classes["Child"], classes["Single"]
        one, other = frozen(a, text, tuple(parts), aside=1), frozen(b, parts=tuple(parts))
        itself = classes["Itself"](a)
        return [
            (repr(one), one == other, one != other, (hash(one) == hash(other)) or one != other, one == a),
            _did(lambda: repr(child(a, text, more=b))),
            _did(lambda: child(a) == frozen(a)),
            (hash(single(a)), single(a) == single(b), classes["Nothing"]() == classes["Nothing"]()),
            (itself == itself, itself == classes["Itself"](a)),
            (classes["Unslotted"](a) == classes["Unslotted"](b), hash(classes["Unslotted"](a)) is not None),
            (repr(classes["Open"](a)), classes["Open"](a) == classes["Open"](b), classes["Open"].__hash__),
        ]

    assert [str(what) for what in told(OURS)] == [str(what) for what in told(STANDARD)]


@pytest.mark.parametrize("name", STANDARD)
def test_fields_slots_and_what_match_binds_are_the_librarys(name: str) -> None:
    standard, ours = STANDARD[name], OURS[name]
    assert [(one.name, one.init, one.repr, one.compare) for one in dataclasses.fields(ours)] == [
        (one.name, one.init, one.repr, one.compare) for one in dataclasses.fields(standard)
    ]
    assert ours.__match_args__ == standard.__match_args__
    assert getattr(ours, "__slots__", None) == getattr(standard, "__slots__", None)
    assert ours.__doc__ == standard.__doc__ or standard.__doc__.startswith(name)


@pytest.mark.parametrize("name", ["Frozen", "Child", "Unslotted", "Single", "Itself"])
def test_a_frozen_instance_refuses_every_change(name: str) -> None:
    one = OURS[name](1)
    for act in (lambda: setattr(one, "number", 2), lambda: delattr(one, "number"), lambda: setattr(one, "new", 2)):
        assert _did(act) is dataclasses.FrozenInstanceError
    assert one.number == 1


def test_what_is_given_wrongly_is_refused_at_the_first_instance_as_at_every_other() -> None:
    fresh = _classes(dataclass)
    for _ in range(2):
        assert _did(lambda: fresh["Frozen"]()) is TypeError
        assert _did(lambda: fresh["Frozen"](1, nothing=2)) is TypeError
        assert _did(lambda: fresh["Open"](1, [2])) is TypeError
        assert _did(lambda: fresh["Child"](1, more=-1)) is ValueError
        assert fresh["Child"](1).more == 0


def test_every_instance_has_a_default_of_its_own() -> None:
    for name, attribute in (("Frozen", "parts"), ("Open", "parts"), ("Unslotted", "kept")):
        one, other = OURS[name](1), OURS[name](1)
        getattr(one, attribute).append(3)
        assert (getattr(one, attribute), getattr(other, attribute)) == ([3], [])


@pytest.mark.parametrize("name", STANDARD)
def test_what_is_replaced_is_what_the_library_replaces(name: str) -> None:
    named = {"Child": {"number": 1, "text": "a", "more": 2}, "Frozen": {"number": 1, "aside": 9}, "Nothing": {}}
    one = OURS[name](**named.get(name, {"number": 1}))
    changes: list[dict[str, Any]] = [{}, {"number": 5}, {"text": "b", "more": 3}, {"more": -1}, {"nothing": 1}]
    for change in changes:
        ours, librarys = (_did(lambda by=by, what=change: by(one, **what)) for by in (replace, dataclasses.replace))
        assert str(ours) == str(librarys), change
        assert ours is not one


@dataclass(frozen=True, slots=True)
class Sent:
    """Goes from one process to another."""

    number: int
    parts: tuple[int, ...] = ()


def test_it_can_be_copied_replaced_and_sent_to_another_process() -> None:
    one = Sent(1, (2, 3))
    assert pickle.loads(pickle.dumps(one)) == copy.copy(one) == copy.deepcopy(one) == one
    assert dataclasses.replace(one, number=4) == Sent(4, (2, 3))
    assert dataclasses.asdict(one) == {"number": 1, "parts": (2, 3)}
