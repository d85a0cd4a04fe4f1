"""``dataclass`` as in the standard library, made in a tenth of the time.

The library writes source text for up to six methods of every class, and compiles it where the class is defined: a millisecond
each, and a till's process defines two hundred. Here comparing, hashing, printing and refusing changes need no source text, and
``__init__`` is compiled when the first instance is made, which most classes of a process never see. It sets slots directly,
so that making an instance takes less than half the time, too, and ``replace`` a third. Everything else is the library's:
``fields``, slots, ``match``. What our classes do not use (``order``, ``kw_only``, ``InitVar``) is not here.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import replace as replace
else:

    def dataclass(cls=None, /, *, frozen=False, slots=False, eq=True):
        """Make a dataclass of ``cls``. The arguments are those of ``dataclasses.dataclass``."""
        if cls is None:
            return lambda cls: _made(cls, frozen=frozen, slots=slots, eq=eq)
        return _made(cls, frozen=frozen, slots=slots, eq=eq)

    def replace(instance, /, **changes):
        """``dataclasses.replace`` for instances of such classes."""
        return instance.__class__(**(instance._fields_now() | changes))


def _made(cls: type[Any], *, frozen: bool, slots: bool, eq: bool) -> type[Any]:
    own = set(vars(cls))
    if vars(cls).get("__hash__") is None:
        own.discard("__hash__")  # as Python leaves it to a class that only says what is equal
    made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
    methods: dict[str, Any] = {"__init__": _init_later(made, frozen=frozen), "__repr__": _repr}
    methods["_fields_now"] = _fields_now([field.name for field in dataclasses.fields(made) if field.init])
    if eq:
        methods |= _comparing([field.name for field in dataclasses.fields(made) if field.compare], frozen=frozen)
    if frozen:
        methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
    if frozen and slots:
        methods |= {"__getstate__": _state, "__setstate__": _set_state}
    for name in methods.keys() - own:
        setattr(made, name, methods[name])
    return made


def _fields_now(names: list[str]) -> Any:
    values: Any = attrgetter(*names) if names else None

    def fields_now(self: Any) -> dict[str, Any]:
        if len(names) < 2:
            return {name: getattr(self, name) for name in names}
        return dict(zip(names, values(self), strict=True))

    return fields_now


def _comparing(names: list[str], *, frozen: bool) -> dict[str, Any]:
    # attrgetter gives the value of one field, and a tuple of several, as fast as source text would.
    values: Any = attrgetter(*names) if names else type

    def equal(self: Any, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: Any) -> int:
        return hash(values(self))

    return {"__eq__": equal, "__hash__": hashed if frozen else None}


def _init_later(cls: type[Any], *, frozen: bool) -> Any:
    def init(self: Any, *values: Any, **named: Any) -> None:
        cls.__init__ = _init(cls, frozen=frozen)
        cls.__init__(self, *values, **named)

    return init


def _init(cls: type[Any], *, frozen: bool) -> Any:
    known: dict[str, Any] = {"_missing": dataclasses.MISSING, "_set": object.__setattr__}
    parameters, lines = ["self"], list[str]()
    for field in dataclasses.fields(cls):
        name, default, value = field.name, "", field.name
        if field.default is not dataclasses.MISSING:
            known[f"_default_{name}"] = field.default
            default = f"=_default_{name}"
        elif field.default_factory is not dataclasses.MISSING:
            known[f"_make_{name}"] = field.default_factory
            default, value = "=_missing", f"_make_{name}() if {name} is _missing else {name}"
        if field.init:
            parameters.append(name + default)
        elif default:
            value = f"_default_{name}" if field.default is not dataclasses.MISSING else f"_make_{name}()"
        else:
            continue  # ``__post_init__`` sets it
        if not frozen:
            lines.append(f" self.{name} = {value}")
        elif hasattr(vars(cls).get(name), "__set__"):
            known[f"_set_{name}"] = vars(cls)[name].__set__  # of a slot: a third of the time of object.__setattr__
            lines.append(f" _set_{name}(self, {value})")
        else:
            lines.append(f" _set(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    exec("\n".join([f"def __init__({', '.join(parameters)}):", *(lines or [" pass"])]), known)  # noqa: S102
    return known["__init__"]


def _repr(self: Any) -> str:
    fields = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(fields)})"


def _refuse_to_set(_self: Any, name: str, _value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, values: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), values, strict=True):
        object.__setattr__(self, field.name, value)
