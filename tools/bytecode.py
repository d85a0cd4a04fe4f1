"""Compiled modules for the processes that a benchmark, demonstration or test starts.

What is installed has them beside its sources. Where Python is told to write none, every process would compile everything again:
half a second of a processor each.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from typing import Final

_WRITE_NONE: Final = "PYTHONDONTWRITEBYTECODE"
_FOLDER: Final = "PYTHONPYCACHEPREFIX"


def keep_bytecode() -> None:
    """Let the processes that this one starts share a folder for it, until this one ends. Where they have one, nothing changes."""
    if os.environ.pop(_WRITE_NONE, "") and _FOLDER not in os.environ:
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix="crdt-pos-bytecode-")
        atexit.register(shutil.rmtree, os.environ[_FOLDER], ignore_errors=True)
