"""How often Python looks for garbage that holds itself: seldom, since little of what a replica makes does.

By default it looks after every 700 objects, which a sale makes several times over, and now and then at all there are: roster,
catalogue, libraries. That was a twelfth of a sale's time, and of some sales much more.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG: Final = 20_000
"""New objects between two looks at them; what they hold at the most is some megabytes."""
MIDDLE: Final = 20
OLD: Final = 20


def collect_seldom() -> None:
    """Called once, when a long-running process has loaded what it stands on: that is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
