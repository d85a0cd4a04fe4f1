"""A bar for whoever waits: on standard error, only once it takes long, and gone when there is an answer."""

from __future__ import annotations

import sys
import time
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

SHOWN_AFTER_S: Final = 0.7


class Bar:
    """What is being done, and how far it is. ``stop`` takes it away."""

    def __init__(self, *, hidden: bool = False) -> None:
        """``hidden``: show nothing, as where no person looks."""
        self._began_s = time.monotonic()
        self._hidden = hidden or not sys.stderr.isatty()
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def show(self, doing: str, done: int, total: int) -> None:
        """So many of so many are done."""
        if self._hidden or (self._progress is None and time.monotonic() - self._began_s < SHOWN_AFTER_S):
            return
        if self._progress is None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:,} of {task.total:,}"),
            )
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._progress.start()
            self._task = self._progress.add_task(doing, total=total)
        self._progress.update(self._task, description=doing, completed=done, total=total)

    def stop(self) -> None:
        """The answer is there."""
        if self._progress is not None:
            self._progress.stop()
        self._progress = None
