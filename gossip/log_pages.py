"""A look at the pages of an LMDB file, before LMDB trusts them: some damage would end the process instead of raising.

Every page that the tree reaches is one of its level and knows its own number, and its nodes lie within it. That takes a
quarter of a second for 100 MB; what the nodes hold, entries prove by hash and signature. The layout is that of LMDB 0.9 on a
64-bit machine with its own byte order; another file is left to LMDB (``lmdb.h``, ``mdb.c``: MDB_page, MDB_meta, MDB_db).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

_MAGIC: Final = 0xBEEFC0DE
_VERSION: Final = 1
_PAGE: Final = struct.Struct("=QHHHH")
_META: Final = struct.Struct("=II16x48s48sQQ")
_TREE: Final = struct.Struct("=IHH32xQ")
_NODE: Final = struct.Struct("=IHH")
_OVERFLOWING: Final = struct.Struct("=Q")
_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4
_KIND: Final = _BRANCH | _LEAF | _OVERFLOW
_NO_PAGE: Final = 2**64 - 1
_IN_OVERFLOW: Final = 1


class _Tree(NamedTuple):
    depth: int
    root: int


class _Meta(NamedTuple):
    transaction: int
    page_bytes: int
    last_page: int
    trees: tuple[_Tree, _Tree]


class DamagedPage(Exception):
    """A page is not what the tree says it is; says which."""


def check_pages(file: Path) -> None:
    """Look at every page that is in use. Raises ``DamagedPage``.

    While another process writes, the caller holds a read transaction open, so that no page is used again meanwhile.
    """
    descriptor = os.open(file, os.O_RDONLY)
    try:
        meta = _newest(descriptor)
        if meta is None:
            return
        if os.fstat(descriptor).st_size < (meta.last_page + 1) * meta.page_bytes:
            raise DamagedPage("the file is cut short")
        for tree in meta.trees:
            _check_tree(descriptor, meta, tree)
    finally:
        os.close(descriptor)


def _newest(descriptor: int) -> _Meta | None:
    """The meta page that LMDB goes by; ``None`` if the file is of another layout."""
    first = _meta(os.pread(descriptor, _PAGE.size + _META.size, 0))
    if first is None:
        return None
    second = _meta(os.pread(descriptor, _PAGE.size + _META.size, first.page_bytes))
    return first if second is None or second.transaction < first.transaction else second


def _meta(page: bytes) -> _Meta | None:
    if len(page) < _PAGE.size + _META.size:
        return None
    magic, version, *trees, last_page, transaction = _META.unpack_from(page, _PAGE.size)
    if (magic, version) != (_MAGIC, _VERSION):
        return None
    (page_bytes, _, depth_free, root_free), (_, _, depth, root) = (_TREE.unpack(tree) for tree in trees)
    return _Meta(transaction, page_bytes, last_page, (_Tree(depth_free, root_free), _Tree(depth, root)))


def _check_tree(descriptor: int, meta: _Meta, tree: _Tree) -> None:
    if tree.root == _NO_PAGE:
        return
    level = [tree.root]
    seen = 0
    for depth in range(1, tree.depth + 1):
        kind = _LEAF if depth == tree.depth else _BRANCH
        below: list[int] = []
        for number in level:
            page = os.pread(descriptor, meta.page_bytes, number * meta.page_bytes)
            below.extend(_check_page(page, number, kind, meta))
        seen += len(level)
        if seen > meta.last_page:
            raise DamagedPage("a page is reached twice")
        level = below


def _check_page(page: bytes, number: int, kind: int, meta: _Meta) -> Iterable[int]:
    """The pages below a branch page."""
    if len(page) < meta.page_bytes:
        raise DamagedPage(f"page {number} lies beyond the end")
    own_number, _, flags, lower, upper = _PAGE.unpack_from(page)
    if own_number != number or flags & _KIND != kind or not _PAGE.size <= lower <= upper <= meta.page_bytes:
        raise DamagedPage(f"page {number} has no head of its kind")
    places = struct.unpack_from(f"={(lower - _PAGE.size) // 2}H", page, _PAGE.size)
    if not places or min(places) < upper or max(places) > meta.page_bytes - _NODE.size:
        raise DamagedPage(f"the nodes of page {number} do not lie within it")
    below: list[int] = []
    used = 0
    for place in places:
        low, high, key_bytes = _NODE.unpack_from(page, place)
        after_key = place + _NODE.size + key_bytes
        if kind == _BRANCH:
            if after_key > meta.page_bytes:
                raise DamagedPage(f"a key of page {number} does not lie within it")
            below.append(low | high << 32)
            size = 0
        elif high & _IN_OVERFLOW:
            if after_key + _OVERFLOWING.size > meta.page_bytes:
                raise DamagedPage(f"a key of page {number} does not lie within it")
            (first,) = _OVERFLOWING.unpack_from(page, after_key)
            pages = (_PAGE.size - 1 + low) // meta.page_bytes + 1
            if not 1 < first <= meta.last_page + 1 - pages:
                raise DamagedPage(f"a value of page {number} lies beyond the end")
            size = _OVERFLOWING.size
        elif after_key + low > meta.page_bytes:
            raise DamagedPage(f"a value of page {number} does not lie within it")
        else:
            size = low
        used += (_NODE.size + key_bytes + size + 1) & ~1
    if used != meta.page_bytes - upper:
        raise DamagedPage(f"the nodes of page {number} are not all of it")
    return below
