"""Money: integers in minor units, with a currency that says how many decimals that is. No float touches an amount.

Every division rounds half away from zero (``round_half_up``): 0.5 becomes 1 and -0.5 becomes -1, so that a refund is the
exact mirror of the sale it undoes.
"""

from __future__ import annotations

from typing import Final

from merge_rules.dataclass import dataclass

AMOUNT_MAX: Final = 2**53
"""The largest amount or quantity, either sign: the largest that JSON readers everywhere keep exact."""
RATE_ONE_PPM: Final = 1_000_000
RATE_PPM_MAX: Final = 10 * RATE_ONE_PPM
"""1,000 %: a catalogue that says more is not believed."""


EXPONENTS: Final = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"), 0),
    **dict.fromkeys(("PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""ISO 4217: the currencies in use whose minor unit is not a hundredth."""


def exponent_of(currency: str) -> int:
    """How many decimals amounts of a currency have, by ISO 4217.

    >>> exponent_of("CHF"), exponent_of("JPY"), exponent_of("KWD")
    (2, 0, 3)
    """
    return EXPONENTS.get(currency, 2)


@dataclass(frozen=True, slots=True)
class Currency:
    """An ISO 4217 code and how many decimals its amounts have: ``Currency("EUR", 2)``."""

    code: str
    exponent: int = 2

    @property
    def unit_minor(self) -> int:
        """One whole unit in minor units: 100 for EUR."""
        unit: int = 10**self.exponent
        return unit

    def text(self, amount_minor: int) -> str:
        """``-12.50 EUR``."""
        return f"{decimal_text(amount_minor, self.exponent)} {self.code}"


def decimal_text(value: int, exponent: int) -> str:
    """An integer of 10**-exponent units as decimal text.

    >>> decimal_text(-5, 2), decimal_text(1500, 3), decimal_text(7, 0)
    ('-0.05', '1.500', '7')
    """
    sign = "-" if value < 0 else ""
    if not exponent:
        return f"{sign}{abs(value)}"
    whole, part = divmod(abs(value), 10**exponent)
    return f"{sign}{whole}.{part:0{exponent}d}"


def parse_decimal(text: str, exponent: int) -> int:
    """The integer of 10**-exponent units that ``text`` says. Raises ``ValueError`` for anything else, or more decimals.

    >>> parse_decimal("-12.5", 2), parse_decimal("3", 2)
    (-1250, 300)
    """
    negative = text.startswith("-")
    whole, _, part = text.removeprefix("-").partition(".")
    digits = whole + part
    if not (digits.isascii() and digits.isdigit() and whole) or len(part) > exponent:
        raise ValueError(f"not a number with at most {exponent} decimals: {text!r}")
    value = int(whole + part.ljust(exponent, "0"))
    return -value if negative else value


def round_half_up(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` to the nearest integer, halves away from zero. ``denominator`` > 0.

    >>> round_half_up(5, 2), round_half_up(-5, 2), round_half_up(7, 3)
    (3, -3, 2)
    """
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return -magnitude if numerator < 0 else magnitude


def round_to_step(amount_minor: int, step_minor: int) -> int:
    """The nearest amount that can be paid in coins of ``step_minor``.

    >>> round_to_step(1237, 5), round_to_step(1238, 5), round_to_step(-1238, 5)
    (1235, 1240, -1240)
    """
    return amount_minor if step_minor <= 1 else round_half_up(amount_minor, step_minor) * step_minor


def tax_within(gross_minor: int, rate_ppm: int) -> int:
    """The tax that a price with tax contains."""
    return round_half_up(gross_minor * rate_ppm, RATE_ONE_PPM + rate_ppm)


def tax_upon(net_minor: int, rate_ppm: int) -> int:
    """The tax that comes on top of a price without tax."""
    return round_half_up(net_minor * rate_ppm, RATE_ONE_PPM)


def share(total: int, done: int, part: int, whole: int) -> int:
    """The next ``part`` of ``whole`` of an amount of which ``done`` has been taken: the shares always add up to ``total``.

    >>> [share(100, done, 1, 3) for done in range(3)]
    [33, 34, 33]
    """
    return round_half_up(total * (done + part), whole) - round_half_up(total * done, whole)
