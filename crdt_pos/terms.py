"""The terms on which a store sells: what the roster says of it, and the loyalty programme."""

from __future__ import annotations

from dataclasses import field

from crdt_pos.loyalty import Programme, programme_in
from crdt_pos.money import Currency
from merge_rules.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """Fixed for a business date."""

    legal_entity: str = ""
    currency: Currency = field(default_factory=lambda: Currency("EUR", 2))
    cash_step_minor: int = 1
    """The smallest coin: 5 in Switzerland."""
    prices_with_tax: bool = True
    programme: Programme = field(default_factory=Programme)
    store_name: str = ""
    address: str = ""
    tax_id: str = ""

    def balances(self, programme: str) -> str:
        """The name of a programme's balances in the store's currency."""
        return programme_in(programme, self.currency.code)
