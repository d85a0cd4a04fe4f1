"""The fuzzer finds nothing in a million cases; the long run is ``crdt-pos fuzz --minutes``."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace

import pytest
from click.testing import CliRunner

from crdt_pos.schema import SCHEMA
from gossip.messages import CODES
from tools.fuzz import BLOCK_CASES, Report, blocks, fuzz, run, run_kept
from tools.fuzzing.targets import targets


def test_every_message_and_every_kind_of_entry_has_cases() -> None:
    names = {target.name for target in targets()}
    assert {f"message {code}" for code in CODES.values()} <= names
    assert {f"body {kind}" for kind in SCHEMA} <= names
    assert {name for _, name, _ in blocks(1, 1_000)} == names
    assert sum(BLOCK_CASES for _ in blocks(1, 1_000_000)) >= 1_000_000


def test_what_was_a_finding_once_is_none_any_more() -> None:
    assert run_kept().findings == []


@pytest.mark.timeout(300)
def test_of_a_million_made_up_inputs_each_is_accepted_or_refused_with_a_declared_error() -> None:
    began, report = time.monotonic(), Report()
    for part in run(7, 1_000_000):
        report.add(part)
    print(f"{report.cases:,} cases in {time.monotonic() - began:.1f} s, {report.accepted:,} accepted")
    assert report.findings == []
    assert report.cases >= 1_000_000
    for target, cases in report.by_target.items():
        assert cases >= 2_000
        assert 0 < report.accepted_by_target[target] < cases, target


def test_a_reader_that_lets_an_error_out_is_found_with_the_input() -> None:
    first = targets()[0]

    def careless(raw: bytes) -> bool:
        return raw[1000] == 0

    report = Report()
    report.judge(replace(first, judge=careless), b"\x01")
    (finding,) = report.findings
    assert (finding.target, finding.input) == (first.name, "01")
    assert "IndexError" in finding.error
    assert json.loads(json.dumps(asdict(report)))["findings"][0]["input"] == "01"


def test_the_command_says_how_many_were_tried_and_how_fast() -> None:
    done = CliRunner().invoke(fuzz, ["--cases", "1", "--processes", "2"])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())  # wherever a narrow terminal wraps it
    assert "cases in" in said
    assert "a second" in said
