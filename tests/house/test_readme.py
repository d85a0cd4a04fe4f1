"""What the README shows is what happens."""

import doctest
import re
from pathlib import Path

from click.testing import CliRunner

from crdt_pos.cli import command_names, crdt_pos

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_example_that_opens_the_readme_runs_as_printed() -> None:
    result = doctest.testfile(str(README), module_relative=False)
    assert result.attempted >= 8
    assert result.failed == 0


def test_every_command_and_option_that_the_readme_shows_exists() -> None:
    lines = [line for line in README.read_text().splitlines() if line.startswith("crdt-pos ")]
    assert len(lines) > 10
    runner = CliRunner()
    for line in lines:
        words = line.split("#")[0].split()[1:]
        assert words[0] in command_names(), line
        path = [word for word in words if re.fullmatch(r"[a-z]+", word)][:2]
        texts = [runner.invoke(crdt_pos, [*path[:depth], "--help"]).output for depth in range(1, len(path) + 1)]
        for option in (word for word in words if word.startswith("--")):
            assert any(option in text for text in texts), f"{option} in: {line}"
