"""Who a replica is, and what its clock says."""

from __future__ import annotations

import datetime

from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers.keys import SecretKey

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Identity:
    """One incarnation of a till: its key, and its place in the company."""

    key: SecretKey
    author: Author
    store: int
    till: int
    incarnation: str
    """``<issuer letter><n>``, e.g. ``a1``."""
    company: bytes
    """First 16 bytes of SHA-256 of the company's root public key."""

    def number(self, series_letter: str, n: int) -> str:
        """The text of a receipt's number: ``12-3-a1-17``, with a letter before the last part outside the sales series."""
        return f"{self.store}-{self.till}-{self.incarnation}-{series_letter}{n}"


@dataclass(frozen=True, slots=True)
class Now:
    """A reading of the clock: milliseconds since 1970 UTC, and the local offset from UTC in minutes."""

    ms: int
    offset_minutes: int = 0

    def date(self) -> datetime.date:
        """The local date."""
        return (EPOCH + datetime.timedelta(milliseconds=self.ms, minutes=self.offset_minutes)).date()
