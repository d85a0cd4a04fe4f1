"""``crdt-pos`` as a person meets it: real processes, in folders that have packages of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from crdt_pos import cli
from crdt_pos.errors import NotOpen

SOURCE = Path(cli.__file__).resolve().parent.parent


def run(
    *arguments: str, cwd: Path, command: list[str] | None = None, **kwargs: str
) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHONPATH", "_CRDT"))}
    return subprocess.run(
        [*(command or cli.child_command()), *arguments],
        cwd=cwd,
        env=environment | kwargs,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder whose own packages have our names, and would break anyone who imported them."""
    for name in ("tools", "peers", "gossip", "merge_rules", "click", "pathlib"):
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text(f"raise SystemExit('the wrong {name}')")
    return tmp_path


def test_help_lists_every_command_in_sections_and_imports_none(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = {name for _, lines in cli.SECTIONS for name in lines}
    for name in cli.command_names():
        assert name in listed, f"give '{name}' its line in cli.SECTIONS"
        assert f"\n  {name} " in done.stdout
    assert "For engineers:" in done.stdout
    script = "import sys; from crdt_pos import cli; cli.run(['--help']); print(*sys.modules, file=sys.stderr)"
    loaded = run(cwd=SOURCE, command=[sys.executable, "-c", script]).stderr.split()
    assert "crdt_pos.cli" in loaded
    assert not {"trio", "textual", "lmdb", "nacl", "zeroconf", "cryptography"} & set(loaded)


def test_without_a_command_the_help_is_shown(tmp_path: Path) -> None:
    done = run(cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: crdt-pos" in done.stdout


@pytest.mark.parametrize("arguments", [["sing"], ["--sing"], ["completion"], ["completion", "dos"]])
def test_a_mistyped_command_or_option_is_one_sentence_and_exit_2(tmp_path: Path, arguments: list[str]) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("crdt-pos: ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_calls_us(tmp_path: Path, shell: str) -> None:
    done = run("completion", shell, cwd=tmp_path)
    assert done.returncode == 0
    assert "_CRDT_POS_COMPLETE" in done.stdout


def test_completion_answers_the_shell(tmp_path: Path) -> None:
    asked = {"_CRDT_POS_COMPLETE": "bash_complete", "COMP_WORDS": "crdt-pos comp", "COMP_CWORD": "1"}
    assert "completion" in run(cwd=tmp_path, **asked).stdout


def test_the_version_is_printed(tmp_path: Path) -> None:
    done = run("--version", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("crdt-pos 0.")


def test_a_child_process_runs_from_a_folder_with_packages_of_the_same_names(foreign: Path) -> None:
    done = run("--help", cwd=foreign)
    assert done.returncode == 0, done.stderr


def test_python_m_runs_from_a_folder_with_packages_of_the_same_names(foreign: Path) -> None:
    # As an installed package: found on the path, behind the current folder.
    done = run("--help", cwd=foreign, command=[sys.executable, "-m", "crdt_pos"], PYTHONPATH=str(SOURCE))
    assert done.returncode == 0, done.stderr
    check = "import peers, tools, crdt_pos; print(peers.__file__, tools.__file__)"
    settled = f"import sys; sys.argv=['x']; from crdt_pos import __main__ as m; m._settle_path(); {check}"
    done = run(cwd=foreign, command=[sys.executable, "-c", settled], PYTHONPATH=str(SOURCE))
    assert done.stdout.split() == [str(SOURCE / "peers/__init__.py"), str(SOURCE / "tools/__init__.py")], done.stderr


def test_python_m_runs_from_the_source_tree_itself() -> None:
    done = run("--version", cwd=SOURCE, command=[sys.executable, "-m", "crdt_pos"])
    assert done.returncode == 0, done.stderr


def test_a_reader_that_goes_away_is_no_error_message(tmp_path: Path) -> None:
    command = cli.child_command()
    with subprocess.Popen([*command, "--help"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        said = child.stderr.read()
    assert said == b""
    assert child.returncode == cli.EXIT_READER_GONE


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[BaseException]:
    """What the command ``fail`` raises is put into this list."""
    raised: list[BaseException] = []

    @click.command()
    def fail() -> None:
        raise raised[0]

    monkeypatch.setitem(cli.crdt_pos.commands, "fail", fail)
    monkeypatch.setattr(cli.tempfile, "tempdir", str(tmp_path))
    return raised


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (cli.Refused("No such store."), 2, "crdt-pos: No such store.\n"),
        (NotOpen(), 2, "crdt-pos: No business date is open: open the till first.\n"),
        (ExceptionGroup("nursery", [ExceptionGroup("inner", [NotOpen()])]), 2, "open the till first"),
        (PermissionError(13, "Permission denied", "/shop/log"), 2, "Permission denied: /shop/log"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (KeyboardInterrupt(), 130, ""),
        (BaseExceptionGroup("nursery", [KeyboardInterrupt()]), 130, ""),
    ],
)
def test_what_a_person_can_mend_is_one_sentence_without_a_traceback(
    failing: list[BaseException], capfd: pytest.CaptureFixture[str], error: BaseException, code: int, words: str
) -> None:
    failing.append(error)
    assert cli.run(["fail"]) == code
    said = capfd.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert said.count("\n") == bool(words)


def test_a_mistake_of_ours_is_a_sentence_and_its_details_are_kept(
    failing: list[BaseException], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    failing.append(ExceptionGroup("nursery", [NotOpen(), ZeroDivisionError("by nought")]))
    assert cli.run(["fail"]) == cli.EXIT_OUR_MISTAKE
    said = capfd.readouterr().err
    (details,) = tmp_path.glob("crdt-pos-*.txt")
    assert str(details) in said
    assert said.count("\n") == 1
    assert "by nought" in details.read_text()
