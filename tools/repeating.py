"""A screen that did not hear the answer: one request in five is sent again, and must be answered with the same receipt."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tools.town import TownError

REPEATED: Final = 1 / 5

Call = Callable[..., dict[str, Any]]
"""Asks a till: the command, then its fields by name; ``LocalClient.call``."""


@dataclass(slots=True)
class Repeating:
    """Asks tills, some things twice."""

    dice: random.Random
    requests: int = 0
    repeated: int = 0

    def ask(self, call: Call, do: str, **fields: object) -> dict[str, Any]:
        """An act that names itself (``once``); its answer. Raises ``TownError`` if asking again gave another receipt."""
        assert fields.get("once"), "only an act that names itself can be asked for again"
        answer = call(do, **fields)
        self.requests += 1
        if self.dice.random() < REPEATED:
            self.repeated += 1
            again = call(do, **fields)
            if again["receipt"] != answer["receipt"]:
                raise TownError(
                    f"{answer['receipt']['number']} became {again['receipt']['number']} when asked for again"
                )
        return answer
