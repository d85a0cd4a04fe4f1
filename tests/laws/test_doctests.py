"""The examples in the merge rules' own documentation, where replicas diverge and converge."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import merge_rules

RULES = ("claims", "clock", "counter", "document", "feed", "log", "record", "register", "set")
"""What modules of a merge rule are named for; each has an example. The others are what rules are made of."""
BASES = {"counter_authored"}
NAMES = [module.name for module in pkgutil.iter_modules(merge_rules.__path__)]


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_in_the_documentation_come_out(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"merge_rules.{name}"))
    assert failed == 0
    if name.split("_")[0] in RULES and name not in BASES:
        assert tried > 0, "every merge rule shows two replicas that diverge and converge"
