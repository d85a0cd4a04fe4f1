"""What counts has changed: the views that follow from catalogue and claims are derived again, for every product and code touched.

Most of what is derived asks what counts when it is read. Products and codes are looked up at every scan, so they do not: after
a revocation or a readmission they are projected anew, where the authors concerned wrote. Idempotent.
"""

from __future__ import annotations

from typing import Final

from crdt_pos import catalogue, catalogue_views, claims_views, code_views
from crdt_pos.schema import CATALOGUE, CLAIMS
from gossip.document import Document
from gossip.entry import FeedId
from gossip.log import Log, Reader, View

_PROJECTED: Final = b"cut-off/projected"
"""``Reader.cut_off_digest`` of what the views say."""


def due(reader: Reader) -> bool:
    """Whether something was revoked or readmitted since the views were derived."""
    return reader.cut_off_digest() != (reader.view(_PROJECTED) or b"")


def project(log: Log) -> None:
    """Derive again, and write."""
    with log.read() as counted, log.read_all() as everything:
        if due(counted):
            views: list[View] = [*_products(counted, everything), *_codes(counted, everything)]
            log.append((), [*views, (_PROJECTED, counted.cut_off_digest())])


def _products(counted: Reader, everything: Reader) -> list[View]:
    views: list[View] = []
    for document in list(everything.documents(CATALOGUE)):
        shard = document.keys[0] if document.keys else None
        if _touched(document, counted, everything) and isinstance(shard, int):
            ever = catalogue.read(everything, shard).items()
            now = catalogue.read(counted, shard).items()
            views += catalogue_views.project(counted, shard, {key: now.get(key) for key in (*now, *ever)})
    return views


def _touched(document: Document, counted: Reader, everything: Reader) -> bool:
    return any(everything.heads(FeedId(document, one)) for one in counted.revoked())


def _codes(counted: Reader, everything: Reader) -> list[View]:
    views: list[View] = []
    for document in list(everything.documents(CLAIMS)):
        store = document.keys[0] if document.keys else None
        if _touched(document, counted, everything) and isinstance(store, int):
            ever = claims_views.products(claims_views.read(everything, store))
            now = claims_views.products(claims_views.read(counted, store))
            for code in sorted({code for code, _ in ever | now if catalogue.is_code(code)}):
                meant = [product for known, product in now if known == code]
                views.append(code_views.view(code, code_views.store_source(store), meant))
    return views
