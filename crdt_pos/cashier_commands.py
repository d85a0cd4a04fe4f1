"""What a replica answers about cashiers, running or not: who works in a store, and at a till who has signed on.

A till or a manager's replica speaks for its own store; a head office for any, which the request then names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from crdt_pos.cashiers import Cashiers
from crdt_pos.local import Command, Declined, Message
from crdt_pos.local_shapes import Asked
from crdt_pos.staff import KEY_ID_BYTES, Cashier, Staff, StaffRole

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica

Answer = Callable[[Cashiers, Asked], Message]


def _listed(cashiers: Cashiers, asked: Asked) -> Message:
    asked.end()
    staff = cashiers.read()
    return {
        "on_duty": cashiers.on_duty,
        "cashiers": [_shown(cashiers, staff, name, one) for name, one in sorted(staff.cashiers.items())],
    }


def _shown(cashiers: Cashiers, staff: Staff, name: str, one: Cashier) -> Message:
    return {
        "cashier": name,
        "role": one.role.name.lower(),
        "left": one.left,
        "locked": one.public_key[:KEY_ID_BYTES] in staff.locked,
        "wrong_pins": cashiers.tries(one),
        "vouched_by": one.voucher,
        "key": one.public_key.hex(),
    }


def _add(cashiers: Cashiers, asked: Asked) -> Message:
    name, pin, role = asked.text("cashier"), asked.text("pin"), asked.text("role", "cashier").upper()
    manager, manager_pin = asked.text("manager"), asked.text("manager_pin")
    asked.end()
    if role not in StaffRole.__members__:
        raise Declined(f"A role is one of {', '.join(one.name.lower() for one in StaffRole)}.", "BadRequest")
    cashiers.add(cashiers.deciding(manager, manager_pin), name, pin, StaffRole[role])
    return {"cashier": name}


def _reset(cashiers: Cashiers, asked: Asked) -> Message:
    name, pin = asked.text("cashier"), asked.text("pin")
    manager, manager_pin = asked.text("manager"), asked.text("manager_pin")
    asked.end()
    cashiers.reset(cashiers.deciding(manager, manager_pin), name, pin)
    return {"cashier": name}


def _leave(cashiers: Cashiers, asked: Asked) -> Message:
    name, manager, manager_pin = asked.text("cashier"), asked.text("manager"), asked.text("manager_pin")
    asked.end()
    cashiers.leave(cashiers.deciding(manager, manager_pin), name)
    return {"cashier": name}


def _pin(cashiers: Cashiers, asked: Asked) -> Message:
    name, old, new = asked.text("cashier"), asked.text("old_pin"), asked.text("pin")
    asked.end()
    cashiers.change_pin(name, old, new)
    return {"cashier": name}


def _sign_on(cashiers: Cashiers, asked: Asked) -> Message:
    name, pin = asked.text("cashier"), asked.text("pin")
    asked.end()
    duty = cashiers.sign_on(name, pin)
    return {"cashier": duty.name, "role": duty.role.name.lower()}


def _sign_off(cashiers: Cashiers, asked: Asked) -> Message:
    asked.end()
    return {"cashier": cashiers.sign_off()}


ANSWERS: Final[Mapping[str, Answer]] = {
    "cashiers": _listed,
    "cashier_add": _add,
    "cashier_reset": _reset,
    "cashier_leave": _leave,
    "cashier_pin": _pin,
}
AT_A_TILL: Final[Mapping[str, Answer]] = {"sign_on": _sign_on, "sign_off": _sign_off}


class CashierCommands:
    """The requests about cashiers of a running replica."""

    def __init__(self, replica: RunningReplica) -> None:
        self._replica = replica

    def commands(self) -> dict[str, Command]:
        """Name → command."""
        answers = {**ANSWERS, **(AT_A_TILL if self._replica.till is not None else {})}
        return {name: self._command(answer) for name, answer in answers.items()}

    def _command(self, answer: Answer) -> Command:
        async def command(request: Message) -> Message:
            asked, replica = Asked(request), self._replica
            own, named = replica.certificate.store, asked.maybe_integer("store", low=1)
            if own is not None and named not in (None, own):
                raise Declined(
                    f"This is a replica of store {own}: ask one of store {named}, or a head office.", "OtherStore"
                )
            store = own or named
            if store is None or store not in replica.trust.directory.stores:
                raise Declined("Say which store, with --store; it must stand in the roster.", "UnknownStore")
            cashiers = replica.cashiers or replica.cashiers_of(store)
            answered = await replica.act(lambda: answer(cashiers, asked))
            replica.after_commit()
            return answered

        return command
