"""Saying that a code means a product, and taking it back: entries of ``claims/<store>``, with the views that follow.

A till speaks for its own store, a head office for any. Claiming joins products for whoever reads; the books keep each
product's own id, so retracting pulls them apart again, each with the stock that it had. Nobody waits for either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crdt_pos import catalogue, catalogue_views, claims_views
from crdt_pos.columns import listing
from crdt_pos.errors import ProductRefused
from crdt_pos.schema import CLAIMS, SCHEMA
from gossip.log import Arrival, Reader, View
from gossip.own_feed import OwnFeed
from merge_rules.claims import Claims
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers.keys import SecretKey


@dataclass(frozen=True, slots=True)
class Writer:
    """Whose entries are signed."""

    key: SecretKey
    author: Author

    def sign(self, reader: Reader, store: int, body: object, now_ms: int) -> Arrival:
        """The next entry in ``claims/<store>``."""
        feed = OwnFeed.read(reader, self.key, self.author, claims_views.document(store), SCHEMA[CLAIMS])
        return Arrival(feed.sign(body, now_ms << 16))


@dataclass(frozen=True, slots=True)
class Batch:
    """What to append in one transaction; nothing, if all of it is so already."""

    arrivals: Sequence[Arrival]
    views: Sequence[View]

    @classmethod
    def of(cls, reader: Reader, arrivals: Sequence[Arrival]) -> Batch:
        """These entries, and the views that they change."""
        return cls(arrivals, catalogue_views.derive(reader, arrivals))


def claim(reader: Reader, writer: Writer, store: int, code: str, product: int, now_ms: int) -> Batch:
    """A store says that ``code`` means ``product``. Raises ``ProductRefused``."""
    checked_code(code)
    if not catalogue_views.read_facts(reader, product):
        raise ProductRefused(f"There is no product {product} here: look it up first.")
    if (code, product) in claims_views.products(claims_views.read(reader, store)):
        return Batch((), ())
    return Batch.of(reader, [writer.sign(reader, store, Claims.claim_body(code, product), now_ms)])


def retract(reader: Reader, writer: Writer, stores: Iterable[int], code: str, product: int, now_ms: int) -> Batch:
    """Each of ``stores`` takes back that ``code`` means ``product``, whoever said so there. Raises ``ProductRefused``."""
    states = {store: claims_views.read(reader, store) for store in claims_views.stores(reader)}
    standing = [store for store, state in states.items() if (code, product) in claims_views.products(state)]
    own = sorted({*standing} & {*stores})
    if not own:
        raise ProductRefused(_nothing_to_retract(code, product, standing))
    return Batch.of(
        reader,
        [writer.sign(reader, store, states[store].refute_claim_body(code, product), now_ms) for store in own],
    )


def checked_code(code: str) -> str:
    """The code itself. Raises ``ProductRefused`` for what no scanner reads."""
    if not catalogue.is_code(code) or not code.isprintable() or code != code.strip():
        raise ProductRefused(f"'{code}' is no code: 1 to {catalogue.CODE_BYTES_MAX} characters without a slash.")
    return code


def _nothing_to_retract(code: str, product: int, standing: Sequence[int]) -> str:
    if not standing:
        return f"Nobody claims that {code} means product {product}; the catalogue is changed at a head office."
    who = f"store{'s' if len(standing) > 1 else ''} {listing([str(store) for store in standing])}"
    return f"Only {who} said that {code} means product {product}: take it back there, or at a head office."
