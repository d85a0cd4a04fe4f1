"""Staff: the cashiers of a store, by id, each a register in ``staff/<store>``.

A cashier signs receipts with a key of his own. Its private half lies here sealed under his PIN and a secret of the till, so
that a stolen copy of the document opens nothing; his name lies sealed as well, so that it can be erased by destroying a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from crdt_pos.codec import Extra, Fields, sparse
from merge_rules.errors import InvalidBody

SEALED_BYTES_MAX = 400


class StaffRole(IntEnum):
    """What a cashier may do."""

    CASHIER = 0
    SUPERVISOR = 1
    """Also voids, refunds without a receipt, pays out."""
    MANAGER = 2


@dataclass(frozen=True, slots=True)
class Cashier:
    """The value of a cashier's register."""

    public_key: bytes
    """Ed25519, 32 bytes."""
    sealed_key: bytes = b""
    """The private key, sealed under PIN and till secret."""
    role: StaffRole = StaffRole.CASHIER
    sealed_name: bytes = b""
    left: bool = False
    """Works here no longer: signs nothing any more, but what was signed is still checked."""
    extra: Extra = ()

    def body(self) -> dict[int, object]:
        return sparse(
            {0: self.public_key, 1: self.sealed_key, 2: int(self.role), 3: self.sealed_name, 4: self.left}, self.extra
        )

    @classmethod
    def from_body(cls, body: object) -> Cashier:
        fields = Fields(body, "cashier")
        public_key = fields.octets(0, 32)
        if not public_key:
            raise InvalidBody("cashier: no public key")
        sizes = range(1, SEALED_BYTES_MAX + 1)
        return cls(
            public_key,
            fields.octets(1, *sizes),
            fields.choice(2, StaffRole),
            fields.octets(3, *sizes),
            fields.flag(4),
            fields.rest(),
        )
