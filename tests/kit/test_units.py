"""The unit files for systemd."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from crdt_pos.cli import crdt_pos

UNITS = sorted((Path(__file__).parents[2] / "deploy" / "systemd").glob("*.service"))


def service(unit: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    return parser["Service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_what_a_unit_starts_is_a_command_of_ours_that_notifies_and_is_watched(unit: Path) -> None:
    said = service(unit)
    program, role, run, *options = said["ExecStart"].split()
    assert (Path(program).name, unit.name, run) == ("crdt-pos", f"crdt-pos-{role}@.service", "run")
    explained = CliRunner().invoke(crdt_pos, [role, run, "--help"]).output
    assert all(option in explained for option in options if option.startswith("-"))
    assert (said["Type"], said["Restart"], said["UMask"]) == ("notify", "on-failure", "0077")
    assert int(said["WatchdogSec"]) > 0
    assert {"NoNewPrivileges", "ProtectSystem", "PrivateDevices", "SystemCallFilter"} <= set(said)


def test_there_is_a_unit_for_every_role_that_runs() -> None:
    assert [unit.name.split("-")[2].partition("@")[0] for unit in UNITS] == ["office", "relay", "till"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        text = unit.read_text().replace("/opt/crdt-pos/bin/crdt-pos", shutil.which("true") or "/bin/true")
        (tmp_path / unit.name.replace("@", "@here")).write_text(text)
    files = sorted(map(str, tmp_path.iterdir()))
    checked = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
