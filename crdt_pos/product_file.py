"""A shopkeeper's list of products, as CSV, and what has to be said in the catalogue to bring it about.

The first line names the columns, in any order; commas or semicolons part them, numbers have a point or a comma:

    product      its number                               unit         kg, l; empty: pieces
    name         what people call it                    decimals     of its quantities, 0 to 3, for ever: 3 sells 0.250 kg
    price        of one whole unit; empty: no change    department   where it stands in the shop
    tax          in percent, like 8.1; empty: none      components   of a dish: 133:4 134:0.2, in whole units of each
    code         barcodes, with spaces between

Product 0 is what the till sells when a price is typed in for goods that nobody has listed: say how it is taxed.
``product`` and ``name`` must be there; of a column that is not there, nothing changes. A product that is not in the file stays.
A percentage becomes a tax code of its own, the same at every office: tenths of a percent, or what is finer beyond 10,000.
Nothing is written here, and no float appears.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from crdt_pos import catalogue, catalogue_views
from crdt_pos.catalogue import Change, price_change
from crdt_pos.catalogue_views import CatalogueProducts, Facts
from crdt_pos.errors import ProductFileWrong
from crdt_pos.money import AMOUNT_MAX, RATE_ONE_PPM, Currency, parse_decimal
from crdt_pos.products import Price, Product
from crdt_pos.receipt import PRODUCT_MAX
from gossip.log import Reader
from merge_rules.dataclass import dataclass

NEEDED: Final = ("product", "name")
COLUMNS: Final = (*NEEDED, "price", "tax", "code", "unit", "decimals", "department", "components")
FILE_BYTES_MAX: Final = 1 << 26
NAME_CHARACTERS_MAX: Final = 200
WORD_CHARACTERS_MAX: Final = 40
DECIMALS_MAX: Final = 3
COMPONENTS_MAX: Final = 100
CODES_MAX: Final = 100
_PPM_DECIMALS: Final = 4
"""A percentage has millionths in its fourth decimal."""
_TENTH_PPM: Final = 1_000
_FINE_CODES: Final = 10_000
_ALIASES: Final = {"codes": "code", "number": "product"}

T = TypeVar("T")
K = TypeVar("K", int, str)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a file would change."""

    changes: tuple[Change, ...]
    products: int
    """How many the file has."""
    new: int
    changed: int
    """Known products of which something other than the price changes."""
    prices: int
    """Prices that are new or change."""
    taxes: int
    """Tax rates that are new."""


def plan(reader: Reader, file: bytes, currency: Currency, now_ms: int) -> Plan:
    """What ``file`` changes in the catalogue as it is here; prices in ``currency``, from ``now_ms`` on.

    The first price of a product holds from ever. Raises ``ProductFileWrong`` with the line: then nothing is to be written.
    """
    rows = _rows(file)
    known = CatalogueProducts(currency.code)
    decimals = {row.product: row.read("decimals", _decimals) for row in rows}

    def exponent_of(product: int) -> int | None:
        """The decimals of a component's quantities; ``None`` for a product that nobody knows."""
        held = known.find(reader, product)
        if held is None and product not in decimals:
            return None
        return decimals.get(product) or (held.quantity_exponent if held else 0)

    changes: list[Change] = []
    rates: set[int] = set()
    new = changed = prices = 0
    for row in rows:
        held = catalogue_views.read_facts(reader, row.product)
        wanted = dict(_facts(row, held, exponent_of))
        differing = [Change(row.product, fact, value) for fact, value in wanted.items() if held.get(fact) != value]
        price = _price_change(row, known.find(reader, row.product), currency, now_ms)
        new, changed, prices = new + (not held), changed + bool(held and differing), prices + len(price)
        changes += [*differing, *price]
        rates.add(row.read("tax", _rate_ppm) or 0)
    taxes = [_tax_change(reader, rate, now_ms) for rate in sorted(rates) if _rate_here(reader, rate, now_ms) != rate]
    # By shard, so that writing a long file in parts reads each shard once or twice; a rate before what is sold at it.
    changes.sort(key=lambda change: change.shard)
    return Plan((*taxes, *changes), len(rows), new, changed, prices, len(taxes))


def tax_code(rate_ppm: int) -> int:
    """The code of a rate.

    >>> tax_code(70_000), tax_code(81_000), tax_code(77_750)  # 7 %, 8.1 %, 7.775 %
    (70, 81, 87750)
    """
    tenths, finer = divmod(rate_ppm, _TENTH_PPM)
    return _FINE_CODES + rate_ppm if finer else tenths


# --- what rows say ---------------------------------------------------------------------------------------------------


def _facts(row: _Row, held: Facts, exponent_of: Callable[[int], int | None]) -> Iterator[tuple[str, object]]:
    """Every fact that a row states but its price; ``None``: no longer."""
    yield "name", row.read("name", _name)
    for column in ("unit", "department"):
        if column in row.cells:
            yield column, row.read(column, _word)
    if "tax" in row.cells:
        yield "tax", tax_code(row.read("tax", _rate_ppm) or 0) or None
    exponent = row.read("decimals", _decimals)
    if exponent is not None and held and exponent != held.get("exponent", 0):
        raise row.wrong(f"product {row.product} has {held.get('exponent', 0)} decimals, which can never change")
    if exponent and not held:
        yield "exponent", exponent
    if "components" in row.cells:
        yield "recipe", row.read("components", lambda text: _recipe(text, exponent_of))
    if "code" in row.cells:
        codes = {f"code/{code}" for code in row.codes()}
        for fact in sorted(codes | {fact for fact in held if fact.startswith("code/")}):
            yield fact, True if fact in codes else None


def _price_change(row: _Row, held: Product | None, currency: Currency, now_ms: int) -> list[Change]:
    amount_minor = row.read("price", lambda text: _amount(text, currency))
    if amount_minor is None:
        return []
    if held is None or not held.prices:
        return [price_change(row.product, Price(amount_minor), currency.code)]
    valid = held.price_at(now_ms)
    if valid is not None and (valid.amount_minor, valid.exponent) == (amount_minor, 0):
        return []
    return [price_change(row.product, Price(amount_minor, now_ms), currency.code)]


def _rate_here(reader: Reader, rate_ppm: int, now_ms: int) -> int:
    return CatalogueProducts().tax_rate_ppm(reader, tax_code(rate_ppm), now_ms)


def _tax_change(reader: Reader, rate_ppm: int, now_ms: int) -> Change:
    stated = _rate_here(reader, rate_ppm, now_ms) != 0
    return catalogue.tax_change(tax_code(rate_ppm), rate_ppm, now_ms if stated else 0)


# --- cells -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    product: int
    cells: Mapping[str, str]

    def read(self, column: str, parse: Callable[[str], T]) -> T | None:
        """What a cell says; ``None`` where it is empty, or the column is not there. Raises ``ProductFileWrong``."""
        text = self.cells.get(column, "")
        try:
            return parse(text) if text else None
        except ValueError as error:
            raise self.wrong(str(error)) from error

    def codes(self) -> tuple[str, ...]:
        """The codes that mean this product."""
        return self.read("code", _codes) or ()

    def wrong(self, what: str) -> ProductFileWrong:
        """What is wrong in this line."""
        return ProductFileWrong(f"Line {self.line}: {what}.")


def _rows(file: bytes) -> list[_Row]:
    """The rows below the header, each product and each code once. Raises ``ProductFileWrong``."""
    if len(file) > FILE_BYTES_MAX:
        raise ProductFileWrong(f"The file has more than {FILE_BYTES_MAX >> 20} MB: split it.")
    try:
        text = file.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.count(b"\n", 0, error.start) + 1
        raise ProductFileWrong(f"Line {line}: this is not UTF-8: save the file as CSV UTF-8.") from error
    first = text.partition("\n")[0]
    lines = csv.reader(
        io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ",", strict=True
    )
    rows: list[_Row] = []
    products: dict[int, int] = {}
    codes: dict[str, int] = {}
    try:
        header = _header(next(lines, list[str]()))
        for cells in lines:
            if any(cell.strip() for cell in cells):
                rows.append(_row(lines.line_num, header, cells))
                _once(rows[-1], "product", [rows[-1].product], products)
                _once(rows[-1], "code", rows[-1].codes(), codes)
    except csv.Error as error:
        raise ProductFileWrong(f"Line {lines.line_num}: this is not CSV: {error}.") from error
    if not rows:
        raise ProductFileWrong("The file has no product below its first line.")
    return rows


def _header(cells: Sequence[str]) -> list[str]:
    names = [_ALIASES.get(name, name) for name in (cell.strip().lower() for cell in cells)]
    for name in names:
        if name not in COLUMNS or names.count(name) > 1:
            why = "stands there twice" if name in COLUMNS else "is not known"
            raise ProductFileWrong(f"Line 1: the column '{name}' {why}; there are {', '.join(COLUMNS)}.")
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise ProductFileWrong(f"Line 1: the column '{missing[0]}' is missing; the first line names the columns.")
    return names


def _row(line: int, header: Sequence[str], cells: Sequence[str]) -> _Row:
    if len(cells) > len(header):
        raise ProductFileWrong(f"Line {line}: there are {len(cells)} cells, and only {len(header)} columns.")
    row = _Row(line, 0, dict(zip(header, (cell.strip() for cell in (*cells, *[""] * len(header))), strict=False)))
    product = row.read("product", _product)
    if product is None:
        raise row.wrong("the product's number is missing")
    if not row.cells["name"]:
        raise row.wrong("the product's name is missing")
    return _Row(line, product, row.cells)


def _once(row: _Row, what: str, found: Iterable[K], lines: dict[K, int]) -> None:
    for one in found:
        before = lines.setdefault(one, row.line)
        if before != row.line:
            raise row.wrong(f"{what} {one} stands in line {before} already")


def _product(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= PRODUCT_MAX):
        raise ValueError(f"'{text}' is no product number: a whole number")
    return int(text)


def _name(text: str) -> str:
    return _text(text, NAME_CHARACTERS_MAX)


def _word(text: str) -> str:
    return _text(text, WORD_CHARACTERS_MAX)


def _text(text: str, characters_max: int) -> str:
    if len(text) > characters_max or not text.isprintable():
        raise ValueError(f"'{text[:20]}' is longer than {characters_max} characters, or not one line")
    return text


def _decimal(text: str, exponent: int, what: str) -> int:
    try:
        value = parse_decimal(text.replace(",", "."), exponent)
    except ValueError as error:
        decimals = f"with at most {exponent} decimals" if exponent else "without decimals"
        raise ValueError(f"'{text}' is no {what}: a number {decimals}") from error
    if not 0 <= value <= AMOUNT_MAX:
        raise ValueError(f"'{text}' is no {what}: it is negative, or too large")
    return value


def _amount(text: str, currency: Currency) -> int:
    return _decimal(text, currency.exponent, f"price in {currency.code}")


def _rate_ppm(text: str) -> int:
    rate_ppm = _decimal(text.removesuffix("%").strip(), _PPM_DECIMALS, "tax in percent")
    if rate_ppm > RATE_ONE_PPM:
        raise ValueError(f"'{text}' is no tax in percent: it is more than 100")
    return rate_ppm


def _decimals(text: str) -> int:
    decimals = _decimal(text, 0, "number of decimals")
    if decimals > DECIMALS_MAX:
        raise ValueError(f"'{text}' is no number of decimals: 0 to {DECIMALS_MAX}")
    return decimals


def _codes(text: str) -> tuple[str, ...]:
    codes = tuple(dict.fromkeys(text.split()))
    for code in codes:
        if not catalogue.is_code(code):
            raise ValueError(f"'{code[:20]}' is no code: at most {catalogue.CODE_BYTES_MAX} characters without a slash")
    if len(codes) > CODES_MAX:
        raise ValueError(f"a product has at most {CODES_MAX} codes")
    return codes


def _recipe(text: str, exponent_of: Callable[[int], int | None]) -> list[list[int]]:
    recipe: list[list[int]] = []
    for part in text.split():
        number, colon, quantity = part.partition(":")
        if not colon:
            raise ValueError(f"'{part}' is no component: write product:quantity, like 133:4")
        product = _product(number)
        exponent = exponent_of(product)
        if exponent is None:
            raise ValueError(f"component {product} is neither in the file nor in the catalogue")
        recipe.append([product, _decimal(quantity, exponent, f"quantity of product {product}")])
    if len(recipe) > COMPONENTS_MAX:
        raise ValueError(f"a dish has at most {COMPONENTS_MAX} components")
    return recipe
