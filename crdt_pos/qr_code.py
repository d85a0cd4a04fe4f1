"""QR codes: in half blocks for a terminal or a printer, and as a picture."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Final

import segno

_QR_BORDER: Final = 2
_PIXELS: Final = 6
"""Of one module of a QR code, each way."""


def qr_text(payload: str) -> str:
    """A QR code for black ink on white: two rows of modules a line, in half blocks, with a quiet margin of two."""
    rows = [list(row) for row in segno.make(payload, error="l", micro=False).matrix_iter(border=_QR_BORDER)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return "\n".join(
        "".join(" ▄▀█"[2 * up + down] for up, down in zip(upper, lower, strict=True)) for upper, lower in pairs
    )


def write_qr(payload: str, path: Path) -> None:
    """The same as a PNG picture, readable by its owner only. Raises ``OSError``."""
    picture = io.BytesIO()
    segno.make(payload, error="m", micro=False).save(picture, kind="png", scale=_PIXELS, border=4)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(picture.getvalue())
