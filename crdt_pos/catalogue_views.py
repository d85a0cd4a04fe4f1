"""The catalogue at a till: projected into views, so that nothing of it has to stay in memory.

    b"product/" ‖ product: 8 bytes                        →  CBOR map of its facts: {"name": "Milk 1 l", "price//0": [119, 0], …}
    b"code/" …                                            →  see ``crdt_pos.code_views``
    b"word/" …                                            →  see ``crdt_pos.words``
    b"tax/" ‖ code: 8 bytes ‖ from ms: 8 bytes            →  millionths, as CBOR

Only products that a batch changes are projected again. What stores claim is projected with it: ``crdt_pos.claims_views``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from crdt_pos import catalogue, claims_views, code_views, words
from crdt_pos.catalogue import Change
from crdt_pos.money import RATE_PPM_MAX
from crdt_pos.products import Component, Price, Product
from crdt_pos.schema import CATALOGUE
from gossip.document import Document
from gossip.entry import Entry
from gossip.log import Arrival, Log, Reader, View
from merge_rules import canonical
from merge_rules.dataclass import dataclass
from merge_rules.document_yjs import OpenDocument
from merge_rules.errors import InvalidBody, NotCanonical
from merge_rules.lattice import Author
from peers.keys import SecretKey

PRODUCT: Final = b"product/"
TAX: Final = b"tax/"
_ID_BYTES: Final = 8
_FEW_KEYS: Final = 200
_ARRAY_OF_ONE: Final = b"\x81"
_REMEMBERED: Final = 4_096
"""Products that were read lately: what a till sells again within the hour need not be taken apart again."""

Facts = dict[str, Any]
"""What a document says of one product: fact → value, as in ``crdt_pos.catalogue``."""


def derive(reader: Reader, arrivals: Sequence[Arrival]) -> list[View]:
    """The views that the ``catalogue`` and ``claims`` entries of a batch change, to be appended with it in one transaction.

    Entries that will wait for a missing one before them count when they are appended, not now.
    """
    index = words.Changes(reader)
    views: dict[bytes, bytes | None] = {}
    for shard, changed in _changes(reader, arrivals):
        views.update(_views(reader, shard, changed, index))
    return [*views.items(), *index.views(), *claims_views.derive(reader, arrivals)]


def project(reader: Reader, shard: int, values: Keys) -> list[View]:
    """The views of a shard in which these keys have these values, whatever was projected before."""
    index = words.Changes(reader)
    return [*_views(reader, shard, values, index), *index.views()]


def _views(reader: Reader, shard: int, changed: Keys, index: words.Changes) -> Iterator[View]:
    return _tax_views(changed) if shard == catalogue.COMPANY_SHARD else _product_views(reader, shard, changed, index)


def append(log: Log, key: SecretKey, author: Author, changes: Iterable[Change], now_ms: int) -> int:
    """Write what ``changes`` bring about, with its views, in one transaction; how many entries were signed.

    Raises ``NotAllowed`` as ``catalogue.write`` does, ``LogFull``.
    """
    with log.read() as reader:
        arrivals = [Arrival(entry) for entry in catalogue.write(reader, key, author, changes, now_ms << 16)]
        views = derive(reader, arrivals)
    if arrivals:
        log.append(arrivals, views, received_ms=now_ms)
    return len(arrivals)


def changed_prices(reader: Reader, arrivals: Sequence[Arrival], currency: str) -> dict[int, tuple[Product, int]]:
    """The products whose prices a batch changes, each as it will be, and from when on (ms) its prices differ."""
    read_as = CatalogueProducts(currency)
    found: dict[int, tuple[Product, int]] = {}
    for shard, changed in _changes(reader, arrivals):
        for product, facts in _by_product(changed).items() if shard != catalogue.COMPANY_SHARD else ():
            old = read_facts(reader, product)
            before, after = _prices(old, currency), _prices(_updated(old, facts), currency)
            differing = {price.valid_from_ms for price in set(before) ^ set(after)}
            if differing:
                found[product] = read_as.product(product, _updated(old, facts)), min(differing)
    return found


Keys = Mapping[str, bytes | None]
"""Keys of a Yjs map and their new values."""


def _changes(reader: Reader, arrivals: Sequence[Arrival]) -> Iterator[tuple[int, Keys]]:
    fresh: dict[Document, list[Entry]] = {}
    for arrival in arrivals:
        entry = arrival.entry
        if entry.document.kind == CATALOGUE and arrival.quarantine is None:
            fresh.setdefault(entry.document, []).append(entry)
    for document, entries in fresh.items():
        shard = document.keys[0] if document.keys else None
        if isinstance(shard, int) and 0 <= shard <= catalogue.PRODUCT_SHARDS:
            yield shard, _changed(reader, shard, claims_views.connected(reader, entries))


def _changed(reader: Reader, shard: int, entries: Sequence[Entry]) -> Keys:
    if not catalogue.is_forked(reader, shard) and not any(_contradicts(reader, entry) for entry in entries):
        try:
            return _touched(catalogue.open_shard(reader, shard), entries)
        except InvalidBody:
            pass  # what the library cannot take is left out by the join, on every replica alike
    before = catalogue.read(reader, shard)
    old, new = before.items(), before.join(catalogue.join_entries(entries)).items()
    return {key: new.get(key) for key in (*new, *old) if new.get(key) != old.get(key)}


def _touched(document: OpenDocument, entries: Iterable[Entry]) -> Keys:
    """Of honest authors' entries: apply them one after the other, and look only at the keys that they touch."""
    touched: set[str] = set()
    for entry in entries:
        touched |= document.apply(catalogue.update_of(entry))
    get = document.items().get if len(touched) > _FEW_KEYS else document.get
    return {key: get(key) for key in sorted(touched)}


def _contradicts(reader: Reader, entry: Entry) -> bool:
    known = max((head.seq for head in reader.heads(entry.feed_id)), default=0)
    return catalogue.is_snapshot(entry) or (entry.seq <= known and reader.find(entry.hash) is None)


def _tax_views(changed: Keys) -> Iterator[View]:
    for key, value in changed.items():
        parts = key.split("/")
        if len(parts) == 3 and parts[0] == "tax":
            code, valid_from_ms = _number(parts[1]), _number(parts[2])
            if code is not None and valid_from_ms is not None:
                yield tax_key(code, valid_from_ms), value


def _product_views(reader: Reader, shard: int, changed: Keys, index: words.Changes) -> Iterator[View]:
    codes: dict[str, set[int]] = {}
    for product, facts in _by_product(changed).items():
        old = read_facts(reader, product)
        new = _updated(old, facts)
        yield product_key(product), canonical.encode(new) if new else None
        index.replace(shard, product, _weights(old), _weights(new))
        _move_codes(reader, shard, product, _codes(old), _codes(new), codes)
    for code, products in codes.items():
        yield code_views.view(code, code_views.shard_source(shard), products)


def _by_product(changed: Keys) -> dict[int, dict[str, bytes | None]]:
    found: dict[int, dict[str, bytes | None]] = {}
    for key, value in changed.items():
        name, _, fact = key.partition("/")
        product = _number(name)
        if product is not None:
            found.setdefault(product, {})[fact] = value
    return found


def _updated(old: Facts, facts: Keys) -> Facts:
    new = dict(old)
    for fact, encoded in facts.items():
        value = _value(encoded)
        if value is None:
            new.pop(fact, None)
        else:
            new[fact] = value
    return new


def _move_codes(
    reader: Reader, shard: int, product: int, old: set[str], new: set[str], codes: dict[str, set[int]]
) -> None:
    for code in old ^ new:
        if code not in codes:
            codes[code] = set(code_views.said_by(reader, code, code_views.shard_source(shard)))
        if code in new:
            codes[code].add(product)
        else:
            codes[code].discard(product)


def _weights(facts: Facts) -> dict[str, int]:
    if "retired" in facts:
        return {}
    return words.weights(_text(facts, "name"), [_text(facts, "department")])


def _codes(facts: Facts) -> set[str]:
    codes = {fact[5:] for fact in facts if fact.startswith("code/")}
    return set() if "retired" in facts else {code for code in codes if catalogue.is_code(code)}


def product_key(product: int) -> bytes:
    """The view that holds a product's facts."""
    return PRODUCT + product.to_bytes(_ID_BYTES, "big")


def tax_key(code: int, valid_from_ms: int) -> bytes:
    """The view that holds a rate."""
    return TAX + code.to_bytes(8, "big") + valid_from_ms.to_bytes(8, "big")


def tax_rates_ppm(reader: Reader, ms: int) -> dict[int, int]:
    """Every tax code with its rate at ``ms``, in millionths."""
    codes = dict.fromkeys(int.from_bytes(key[len(TAX) : -8], "big") for key, _ in reader.views(TAX))
    return {code: CatalogueProducts().tax_rate_ppm(reader, code, ms) for code in codes}


def read_facts(reader: Reader, product: int) -> Facts:
    """What the catalogue says of a product; empty for an unknown one."""
    held = reader.view(product_key(product))
    return {} if held is None else _facts(held)


def _facts(held: bytes) -> Facts:
    return cast("Facts", canonical.decode_own(held))


def products(reader: Reader) -> Iterator[int]:
    """Every product that is known here, ascending."""
    for key, _ in reader.views(PRODUCT):
        yield int.from_bytes(key[len(PRODUCT) :], "big")


@dataclass(frozen=True, slots=True)
class CatalogueProducts:
    """The catalogue's views as the till reads them; keeps nothing in memory.

    ``currency`` is the store's: prices in another do not exist here. ``store`` is where the till stands: of a code that is
    claimed for several products its own store's comes first.
    """

    currency: str = ""
    store: int | None = None

    def find(self, reader: Reader, product: int) -> Product | None:
        """The product, or ``None``."""
        if not 0 <= product < 2**64:
            return None
        held = reader.view(product_key(product))
        return None if held is None else _product(product, held, self.currency)

    def tax_rate_ppm(self, reader: Reader, code: int, ms: int) -> int:
        """The rate of a tax code at ``ms``, in millionths, from 0 to ``RATE_PPM_MAX``; 0 for an unknown code.

        A rate outside these bounds, whoever signed it, does not exist here: the one before it goes on.
        """
        rate = 0
        for key, value in reader.views(TAX + code.to_bytes(8, "big")):
            if int.from_bytes(key[-8:], "big") > ms:
                break
            stated = _rate_ppm(value)
            rate = stated if 0 <= stated <= RATE_PPM_MAX else rate
        return rate

    def by_code(self, reader: Reader, code: str) -> list[Product]:
        """The products of a scanned code; empty for an unknown code.

        The first is what the code sells: what the own store claims, else the smallest id. Those without a price here
        come last, since a code that several stores claim need not be sold in every currency.
        """
        found = [one for product in code_views.find(reader, code, self.store) if (one := self._sold(reader, product))]
        return sorted(found, key=lambda product: not product.prices) if len(found) > 1 else found

    def _sold(self, reader: Reader, product: int) -> Product | None:
        # The catalogue gives a retired product no code; a claim of it may still stand.
        facts = read_facts(reader, product)
        return self.product(product, facts) if facts and "retired" not in facts else None

    def by_words(self, reader: Reader, text: str, limit: int = 20) -> list[Product]:
        """The best ``limit`` products that have every word of ``text``, or a word that begins with it."""
        return [found for product in words.search(reader, text, limit) if (found := self.find(reader, product))]

    def product(self, product: int, facts: Facts) -> Product:
        """A product of these facts. What is missing or no fact is left out, whoever wrote it."""
        return Product(
            id=product,
            name=_text(facts, "name") or f"#{product}",
            unit=_text(facts, "unit"),
            quantity_exponent=_integer(facts.get("exponent")),
            prices=tuple(_prices(facts, self.currency)),
            tax_code=_integer(facts.get("tax")),
            recipe=tuple(_recipe(facts.get("recipe"))),
            department=_text(facts, "department"),
            liability=_text(facts, "liability"),
        )


@functools.lru_cache(_REMEMBERED)
def _product(product: int, held: bytes, currency: str) -> Product | None:
    facts = _facts(held)
    return CatalogueProducts(currency).product(product, facts) if facts else None


@functools.lru_cache(_REMEMBERED)
def _rate_ppm(held: bytes) -> int:
    return _integer(_value(held))


def _prices(facts: Facts, currency: str) -> list[Price]:
    found: dict[int, Price] = {}
    for fact, value in sorted(facts.items()):
        parts = fact.split("/")
        # Sorted by text, so a price in the store's own currency replaces one for any currency.
        valid_from_ms = _number(parts[-1])
        if len(parts) == 3 and parts[0] == "price" and parts[1] in ("", currency) and valid_from_ms is not None:
            pair = cast("list[object]", value) if isinstance(value, list) else []
            if len(pair) == 2:
                found[valid_from_ms] = Price(_integer(pair[0]), valid_from_ms, _integer(pair[1]))
    return [found[ms] for ms in sorted(found)]


def _recipe(value: object) -> Iterator[Component]:
    for part in cast("list[object]", value) if isinstance(value, list) else []:
        pair = cast("list[object]", part) if isinstance(part, list) else []
        if len(pair) == 2:
            yield Component(_integer(pair[0]), _integer(pair[1]))


def _text(facts: Facts, fact: str) -> str:
    value = facts.get(fact)
    return value if isinstance(value, str) else ""


def _integer(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _number(text: str) -> int | None:
    """What an office wrote is not to be trusted: a number that does not fit is no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < 2**64 else None


def _value(encoded: bytes | None) -> object:
    try:
        # As the only item of an array, so that it is not nested too deep for the map of facts it will stand in.
        return None if encoded is None else cast("list[object]", canonical.decode(_ARRAY_OF_ONE + encoded))[0]
    except NotCanonical:
        return None
