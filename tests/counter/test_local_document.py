"""docs/local-socket.md says what the replicas answer: its requests are theirs, and its examples are answered."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

from crdt_pos.local import LocalClient
from crdt_pos.office_commands import OfficeCommands
from tools.practice_shop import PracticeShop

DOCUMENT = Path(__file__).parents[2] / "docs" / "local-socket.md"


def requests_of(section: str) -> set[str]:
    """The requests in the first column of the table below a heading."""
    text = DOCUMENT.read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_the_document_names_every_request_of_a_till_and_no_other() -> None:
    # The replica adds its connections, which a shop without a network does not have.
    assert requests_of("What a till answers") == {*PracticeShop().commands().commands(), "connections"}


def test_the_document_names_every_request_of_a_head_office_and_no_other() -> None:
    assert requests_of("What a head office answers") == set(OfficeCommands(cast("Any", None)).commands())


def test_every_example_of_the_document_is_answered(tmp_path: Path) -> None:
    examples = [json.loads(line[2:]) for line in DOCUMENT.read_text().splitlines() if line.startswith("→ ")]
    shop = PracticeShop()
    with shop.served(tmp_path), LocalClient(tmp_path) as client:
        for example in examples:
            del example["version"]
            answer = client.call(example.pop("do"), **{name: example[name] for name in example if name != "id"})
            assert answer["ok"] is True
        assert answer["report"]["difference_minor"] == 0
