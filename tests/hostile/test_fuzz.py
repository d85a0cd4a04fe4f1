"""The fuzzer finds nothing here; the long run is ``crdt-pos fuzz``."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from crdt_pos.schema import SCHEMA
from gossip.messages import CODES
from tools.fuzz import BLOCK_CASES, Report, blocks, fuzz, run_block, run_kept
from tools.fuzzing.targets import targets


def test_every_message_and_every_kind_of_entry_has_cases() -> None:
    names = {target.name for target in targets()}
    assert {f"message {code}" for code in CODES.values()} <= names
    assert {f"body {kind}" for kind in SCHEMA} <= names
    assert {name for _, name, _ in blocks(1, 1_000)} == names
    assert sum(BLOCK_CASES for _ in blocks(1, 1_000_000)) >= 1_000_000


def test_what_was_a_finding_once_is_none_any_more() -> None:
    assert run_kept().findings == []


@pytest.mark.parametrize("target", [t.name for t in targets() if t.name not in ("script", "ingest", "body journal")])
def test_only_declared_errors_come_out(target: str) -> None:
    report = run_block((7, target, 0))
    assert report.findings == []
    assert 0 < report.accepted < report.cases == BLOCK_CASES


def test_a_reader_that_lets_an_error_out_is_found_with_the_input() -> None:
    first = targets()[0]

    def careless(raw: bytes) -> bool:
        return raw[1000] == 0

    report = Report()
    report.judge(replace(first, judge=careless), b"\x01")
    (finding,) = report.findings
    assert (finding.target, finding.input) == (first.name, "01")
    assert "IndexError" in finding.error


def test_the_command_says_how_many_were_tried_and_how_fast() -> None:
    done = CliRunner().invoke(fuzz, ["--cases", "1", "--processes", "2"])
    assert done.exit_code == 0, done.output
    assert "cases in" in done.output
    assert "a second" in done.output
