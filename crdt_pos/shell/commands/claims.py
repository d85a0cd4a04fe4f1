"""``claims``: which products a code means, who says so, and what joining another or taking a claim back would do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click

from crdt_pos import claims_views, sharing, sharing_text
from crdt_pos.cli import Refused
from crdt_pos.columns import listing
from crdt_pos.errors import NothingHere
from crdt_pos.page import Page
from crdt_pos.sharing import Shared
from crdt_pos.shell import colours
from crdt_pos.shell.command import Argument, Command, Completes, Option
from crdt_pos.shell.replica import Replica
from merge_rules.claims import Code, Identities, Thing

JOIN = Option(
    "join", "Also what would come of it if the code was claimed for this product.", "PRODUCT", Completes.PRODUCT
)


def answer(replica: Replica, code: str = "", join: str = "") -> list[dict[str, Any]]:
    """The products that share a code; without one, every code that means several."""
    if join and not (code and join.isascii() and join.isdigit() and len(join) <= 15):
        raise Refused("Say which code, and with --join the number of a product.")
    said = sharing.said(replica.reader)
    return [
        {
            **sharing.plain(one),
            "claims": _claims(replica, one),
            "apart": _apart(replica, said, one),
            "joining": _joining(replica, said, one, code, int(join)) if join else None,
            "_shared": one,
        }
        for one in _found(replica, Identities.of(said), code)
    ]


def _found(replica: Replica, known: Identities, code: str) -> list[Shared]:
    reader, now_ms = replica.reader, replica.now_ms()
    if not code:
        return list(sharing.read(reader, known, now_ms))
    one = sharing.of_code(reader, known, code, now_ms)
    if one is None:
        raise NothingHere(f"No product has the code {code} here.")
    return [one]


def _claims(replica: Replica, shared: Shared) -> list[dict[str, Any]]:
    """Who says so: replicas for their stores, and the catalogue."""
    rows: list[dict[str, Any]] = []
    for meaning in shared.meanings:
        product = meaning.product.id
        for code, stores, listed in meaning.codes:
            for store in stores:
                claimants = claims_views.read(replica.reader, store).claimants(code, product)
                names = sorted(replica.name_of(one) for one in claimants)
                rows.append({"code": code, "product": product, "store": store, "by": names})
            if listed:
                rows.append({"code": code, "product": product, "store": None, "by": ["the catalogue"]})
    return rows


def _apart(replica: Replica, said: set[tuple[Code, Thing]], shared: Shared) -> list[dict[str, Any]]:
    """What taking each claim back, wherever it is made, would leave."""
    products = shared.products
    rows: list[dict[str, Any]] = []
    for code, thing in sorted(
        (code, thing) for code, thing in said if isinstance(code, str) and isinstance(thing, int)
    ):
        if thing in products and len(products) > 1:
            after = Identities.of(said - {(code, thing)})
            groups = _groups(after, products)
            if len(groups) > 1:
                differ = [_together(replica, group, shared.codes).differ for group in groups]
                rows.append({"code": code, "product": thing, "leaves": groups, "differ": differ})
    return rows


def _joining(
    replica: Replica, said: set[tuple[Code, Thing]], shared: Shared, code: str, product: int
) -> dict[str, Any]:
    known = Identities.of(said)
    claims = {*said, (code, product), *((code, one) for one in shared.products)}
    (group,) = _groups(Identities.of(claims), [shared.products[0]])
    joined = _together(replica, group, shared.codes)
    return {
        "product": product,
        "changes": product not in shared.products,
        "reads_as_one": group,
        "named_by": group[0],
        "differ": list(joined.differ),
        "was_one_with": [one for one in known.group(product) if one != product],
    }


def _together(replica: Replica, products: Iterable[int], codes: Iterable[str]) -> Shared:
    return sharing.together(replica.reader, list(products), list(codes), replica.now_ms())


def _groups(known: Identities, products: Iterable[int]) -> list[list[int]]:
    groups = {tuple(one for one in known.group(product) if isinstance(one, int)) for product in products}
    return [list(group) for group in sorted(groups)]


def lines(page: Page, answered: list[dict[str, Any]]) -> Iterator[str]:
    """Side by side; who says so; what would be if."""
    for one in answered:
        yield from sharing_text.lines(one["_shared"], page.looked.currencies(), page.width)
        for row in one["claims"]:
            store = "" if row["store"] is None else f", for store {row['store']}"
            yield f"  {row['code']} means {row['product']}: says {listing(row['by'])}{store}"
        for row in one["apart"]:
            text = f"taking back that {row['code']} means {row['product']} leaves {_said(row['leaves'])}"
            yield click.wrap_text(f"{text}; each keeps its own stock and sales", page.width, "  ", "    ")
        joining = one["joining"]
        if joining is not None:
            differ = f", and their {listing(joining['differ'])} would differ" if joining["differ"] else ""
            text = f"claimed for {joining['product']}, too, it would read {_said([joining['reads_as_one']])}{differ}"
            text = text if joining["changes"] else f"it means {joining['product']} already"
            yield (colours.pending if joining["differ"] else colours.safe)(
                click.wrap_text(text, page.width, "  ", "    ")
            )
    if not answered:
        yield "No code that is claimed means two products here."


def _said(groups: list[list[int]]) -> str:
    named = [listing([str(one) for one in group]) + (" as one" if len(group) > 1 else "") for group in groups]
    return "; ".join(named)


COMMAND = Command(
    "claims",
    "Which products a code means, who says so, and what taking a claim back or joining another product would do.",
    "claims 4006381333931 --join 101",
    answer,
    lines,
    (Argument("code", "A code as it is scanned; without one, all that several products share.", optional=True),),
    (JOIN,),
)
