"""pyarrow, which says nothing about its types: whatever is read through it is cast where it is read."""

from __future__ import annotations

import importlib
from typing import Any

pa: Any = importlib.import_module("pyarrow")
pc: Any = importlib.import_module("pyarrow.compute")
pq: Any = importlib.import_module("pyarrow.parquet")

Table = Any
"""A ``pyarrow.Table``."""
