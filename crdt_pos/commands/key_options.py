"""How a command comes by the company's root or recovery key, which no folder holds: a kit's file, words, or a passphrase."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from crdt_pos.cli import Refused
from crdt_pos.company_keys import RECOVERY, ROOT, CompanyKeys, recovery_key_of, root_key_of, unsealed
from crdt_pos.errors import KeysRefused
from crdt_pos.key_words import WORDS, keys_in
from crdt_pos.kit import recovery_key_in, root_key_in
from merge_rules.dataclass import dataclass
from peers.certificates import Root
from peers.keys import SealingKey, SecretKey
from peers.roster import SealedKey

_Key = TypeVar("_Key", SecretKey, SealingKey)
_Command = Callable[..., None]

READ_BYTES_MAX: Final = 1 << 20
FILE_HELP: Final = "A file whose first line is the passphrase, of 12 characters at least."


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a person says the keys are. Asks on the terminal if nothing was said, once for each key."""

    kit: Path | None
    """A file with the words of the kit; ``-`` is the standard input."""
    passphrase_file: Path | None

    def root_key(self, root: Root, sealed: Iterable[SealedKey] = ()) -> SecretKey:
        """The company's root key; ``sealed``: the roster's copies. Raises ``KeysRefused`` and ``Refused``."""
        return self._key(ROOT, root, sealed, root_key_in, root_key_of)

    def recovery_key(self, root: Root, sealed: Iterable[SealedKey] = ()) -> SealingKey:
        """The company's recovery key; ``sealed``: the roster's copies. Raises ``KeysRefused`` and ``Refused``."""
        return self._key(RECOVERY, root, sealed, recovery_key_in, recovery_key_of)

    def both(self, root: Root, sealed: Iterable[SealedKey] = ()) -> CompanyKeys:
        """Both."""
        copies = tuple(sealed)
        return CompanyKeys(self.root_key(root, copies), self.recovery_key(root, copies))

    def _key(
        self,
        purpose: str,
        root: Root,
        sealed: Iterable[SealedKey],
        read: Callable[[str, Root], _Key],
        proven: Callable[[bytes, Root], _Key | None],
    ) -> _Key:
        if self.kit is not None:
            return read(read_text(self.kit), root)
        if self.passphrase_file is not None:
            said = first_line(self.passphrase_file)
        else:
            said = _asked(f"The {purpose} key's {WORDS} words, or the passphrase of its sealed copy")
            if next(keys_in(said), None) is not None:
                return read(said, root)
        key = proven(unsealed(purpose, sealed, said), root)
        if key is None:
            raise KeysRefused(f"The sealed copy in the roster is not the {purpose} key of {root.name}.")
        return key


def key_options(command: _Command) -> _Command:
    """``--kit`` and ``--passphrase-file``, which the command takes together as ``keys``: a ``KeySource``."""

    @functools.wraps(command)
    def with_keys(*, kit: Path | None, passphrase_file: Path | None, **rest: Any) -> None:
        if kit is not None and passphrase_file is not None:
            raise click.UsageError("Give --kit or --passphrase-file, not both.")
        command(keys=KeySource(kit, passphrase_file), **rest)

    file = click.Path(path_type=Path)
    decorated = click.option("--passphrase-file", type=file, help=FILE_HELP)(with_keys)
    return click.option(
        "--kit",
        type=file,
        help="The company's kit: a file in which its words stand; - reads them from here. Without --kit and "
        "--passphrase-file you are asked.",
    )(decorated)


def read_text(path: Path) -> str:
    """The text of a file that a person names, or of the standard input for ``-``. Raises ``Refused``."""
    try:
        if str(path) == "-":
            return sys.stdin.read(READ_BYTES_MAX)
        with path.open("rb") as file:
            return file.read(READ_BYTES_MAX).decode("utf-8", "replace")
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error


def first_line(path: Path) -> str:
    """The passphrase in a file. Raises ``Refused``, also for one that others may read."""
    if str(path) != "-" and path.is_file() and path.stat().st_mode & 0o077:
        raise Refused(f"{path} can be read by others: run chmod 600 {path}")
    line = next(iter(read_text(path).splitlines()), "")
    if not line:
        raise Refused(f"{path} is empty: its first line should be the passphrase.")
    return line


def is_asked() -> bool:
    """Whether somebody sits here who can answer."""
    return sys.stdin.isatty()


def _asked(question: str) -> str:
    if not is_asked():
        raise Refused("The company's keys are needed: say --kit FILE or --passphrase-file FILE.")
    return str(click.prompt(question, hide_input=True))
