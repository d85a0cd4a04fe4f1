"""The company's keys: on paper and sealed in the roster, and nowhere else."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crdt_pos.cli import crdt_pos
from crdt_pos.company_keys import RECOVERY, ROOT, CompanyKeys, unsealed
from crdt_pos.errors import KeysRefused
from crdt_pos.folder import open_folder
from crdt_pos.key_words import KEY_BYTES, to_words
from crdt_pos.kit import recovery_key_in, root_key_in
from crdt_pos.looking import look
from peers.keys import PassphraseCost

CHEAP = PassphraseCost(1, 8192)
SECRET = "correct horse battery"


def run(*words: object, said: str | None = None) -> Result:
    """Run a command; whatever it raises comes out."""
    return CliRunner().invoke(crdt_pos, list(map(str, words)), input=said, catch_exceptions=False)


def passphrase_file(at: Path, passphrase: str) -> Path:
    at.write_text(passphrase + "\n")
    at.chmod(0o600)
    return at


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A company by its command: ``office``, ``office-kit.txt``, and the passphrase's file ``secret``."""
    place = tmp_path_factory.mktemp("company")
    passphrase_file(place / "secret", SECRET)
    words = ["company", "create", "Corner Shops", "--at", place / "office", "--cost", "interactive"]
    done = run(*words, "--passphrase-file", place / "secret")
    assert "Print" in done.output
    return place


def keys_of(place: Path) -> CompanyKeys:
    kit, root = (place / "office-kit.txt").read_text(), open_folder(place / "office").root
    return CompanyKeys(root_key_in(kit, root), recovery_key_in(kit, root))


def stands_in(secret: bytes, held: bytes) -> bool:
    """Whether a key is among these bytes: raw, in digits, in words, or in base64 (of a PEM file: at any alignment)."""
    forms = [secret, secret.hex().encode(), " ".join(to_words(secret)[:3]).encode()]
    forms += [base64.b64encode(secret[shift:])[:32] for shift in range(3)]
    return any(form in held for form in forms)


def test_neither_key_stays_in_the_folder_in_any_form(place: Path) -> None:
    keys = keys_of(place)
    held = b"".join(path.read_bytes() for path in (place / "office").rglob("*") if path.is_file())
    assert stands_in(open_folder(place / "office").key.seed, held)  # the office's own key is there, and is found
    assert not stands_in(keys.root.seed, held)
    assert not stands_in(keys.recovery.secret, held)


def test_the_kit_is_its_owners_alone_and_never_written_over(place: Path, tmp_path: Path) -> None:
    for name in ("office-kit.txt", "office-kit.html"):
        assert stat.S_IMODE((place / name).stat().st_mode) == 0o600
    inside = ["company", "create", "X", "--at", tmp_path / "x", "--kit", tmp_path / "x" / "kit.txt"]
    assert "does not belong into" in run(*inside).output
    (tmp_path / "kit.html").write_text("mine")
    made = CliRunner().invoke(
        crdt_pos,
        [
            "company",
            "create",
            "X",
            "--cost",
            "interactive",
            "--at",
            str(tmp_path / "x"),
            "--kit",
            str(tmp_path / "kit.txt"),
        ],
    )
    assert isinstance(made.exception, KeysRefused)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kit.html"]


def test_a_passphrase_that_nobody_was_asked_for_is_made_and_stands_in_the_kit_alone(tmp_path: Path) -> None:
    said = run("company", "create", "X", "--at", tmp_path / "x", "--cost", "interactive").output
    lines = (tmp_path / "x-kit.txt").read_text().splitlines()
    made = lines[next(at for at, line in enumerate(lines) if "made for you" in line) + 1]
    assert len(made.split()) == 8
    assert made not in said
    passphrase_file(tmp_path / "made", made)
    added = run(
        "office", "add", "--office", tmp_path / "x", "--at", tmp_path / "b", "--passphrase-file", tmp_path / "made"
    )
    assert "office-b" in added.output


@pytest.mark.parametrize("how", ["kit", "page", "words typed in", "passphrase"])
def test_a_second_office_takes_the_root_key_from_wherever_it_is_kept(place: Path, tmp_path: Path, how: str) -> None:
    given: dict[str, tuple[list[object], str | None]] = {
        "kit": (["--kit", place / "office-kit.txt"], None),
        "page": (["--kit", place / "office-kit.html"], None),
        "words typed in": (["--kit", "-"], " ".join(word[:4] for word in to_words(keys_of(place).root.seed))),
        "passphrase": (["--passphrase-file", place / "secret"], None),
    }
    words, said = given[how]
    run("office", "add", "--office", place / "office", "--at", tmp_path / "next", *words, said=said)
    made = open_folder(tmp_path / "next")
    assert made.certificate.name.startswith("office-")
    assert made.root == open_folder(place / "office").root


def test_without_the_key_no_office_is_made_and_it_is_said_why(place: Path, tmp_path: Path) -> None:
    add = ["office", "add", "--office", place / "office", "--at", tmp_path / "next"]
    assert "say --kit FILE or --passphrase-file FILE" in run(*add).output
    wrong = passphrase_file(tmp_path / "wrong", "incorrect horse battery")
    with pytest.raises(KeysRefused, match="does not open the root key"):
        run(*add, "--passphrase-file", wrong)
    wrong.chmod(0o644)
    assert "can be read by others" in run(*add, "--passphrase-file", wrong).output
    others = CompanyKeys.generate()
    with pytest.raises(KeysRefused, match="not the root key of Corner Shops"):
        run(*add, "--kit", "-", said=" ".join(to_words(others.root.seed)))
    assert not (tmp_path / "next").exists()


def test_the_passphrase_can_be_changed_by_the_old_one_or_the_kit(place: Path, tmp_path: Path) -> None:
    root = open_folder(place / "office").root
    new = passphrase_file(tmp_path / "new", "a longer passphrase")
    change = ["company", "passphrase", "--office", place / "office", "--cost", "interactive"]
    run(*change, "--new-passphrase-file", new, "--passphrase-file", place / "secret")
    with look(place / "office") as looked:
        sealed = looked.directory.sealed_keys
    assert sorted(one.purpose for one in sealed) == [RECOVERY, ROOT]
    assert root_key_in(" ".join(to_words(unsealed(ROOT, sealed, "a longer passphrase"))), root)
    with pytest.raises(KeysRefused):
        unsealed(ROOT, sealed, SECRET)
    run(*change, "--new-passphrase-file", place / "secret", "--kit", place / "office-kit.txt")
    short = passphrase_file(tmp_path / "short", "short")
    with pytest.raises(KeysRefused, match="fewer than 12"):
        run(*change, "--new-passphrase-file", short, "--kit", place / "office-kit.txt")


def test_a_kit_can_be_checked_and_written_again(place: Path, tmp_path: Path) -> None:
    check = ["company", "kit", "--at", place / "office", "--check"]
    assert "holds the root key and the recovery key" in run(*check, place / "office-kit.html").output
    write = ["company", "kit", "--at", place / "office", "--write", tmp_path / "kit.txt"]
    run(*write, "--passphrase-file", place / "secret")
    assert "holds the root key" in run(*check, tmp_path / "kit.txt").output
    (tmp_path / "half.txt").write_text(" ".join(to_words(keys_of(place).root.seed)))
    with pytest.raises(KeysRefused, match="not the recovery key"):
        run(*check, tmp_path / "half.txt")


def test_sealed_copies_open_with_the_passphrase_and_neither_with_another_nor_for_another_company() -> None:
    keys = CompanyKeys.generate()
    sealed = keys.sealed(SECRET, CHEAP)
    assert unsealed(ROOT, sealed, SECRET) == keys.root.seed
    assert unsealed(RECOVERY, sealed, SECRET) == keys.recovery.secret
    assert len(unsealed(ROOT, sealed, SECRET)) == KEY_BYTES
    with pytest.raises(KeysRefused, match="does not open"):
        unsealed(ROOT, sealed, SECRET + " ")
    with pytest.raises(KeysRefused, match="No sealed copy"):
        unsealed(ROOT, (), SECRET)
    assert "seed" not in repr(keys)
