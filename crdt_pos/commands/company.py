"""``crdt-pos company``: found one, and look after its keys."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

import click

from crdt_pos.cli import Refused
from crdt_pos.clock import system_ms
from crdt_pos.commands.key_options import FILE_HELP, KeySource, first_line, is_asked, key_options, read_text
from crdt_pos.commands.replica_options import FOLDER, office_option, replica_options
from crdt_pos.company_keys import PASSPHRASE_LEAST, CompanyKeys
from crdt_pos.enrolment import certified, create_company, seal_keys
from crdt_pos.folder import OFFICE_PORT, Settings, open_folder, refuse_used
from crdt_pos.key_words import word_list
from crdt_pos.kit import recovery_key_in, root_key_in, write_kit
from crdt_pos.looking import look
from peers.keys import INTERACTIVE, MODERATE, SENSITIVE

MADE_WORDS: Final = 8
"""Of a passphrase that is made: 88 bits."""
COSTS: Final = {"interactive": INTERACTIVE, "moderate": MODERATE, "sensitive": SENSITIVE}

_COST = click.option(
    "--cost",
    type=click.Choice(list(COSTS)),
    default="moderate",
    show_default=True,
    help="What each try of the passphrase costs, a thief as well as you: about 0.1 s and 64 MB, 0.7 s and 256 MB, "
    "or 4 s and 1 GB.",
)


@click.group()
def company() -> None:
    """Found a company, and look after its keys: they are printed, and no computer keeps them."""


@company.command()
@click.argument("name")
@click.option("--kit", type=FOLDER, help="Where the kit is written, to be printed: by default DIR-kit.txt beside DIR.")
@click.option("--passphrase-file", type=FOLDER, help=FILE_HELP)
@_COST
@replica_options(f":{OFFICE_PORT}")
def create(
    name: str, kit: Path | None, passphrase_file: Path | None, cost: str, path: Path, settings: Settings
) -> None:
    """Found the company NAME, once: its root and recovery key, and its first head office, in a new folder.

    The keys are written into a kit, to be printed and deleted: a text file, and a page for a browser beside it. Copies
    sealed under a passphrase stand in the roster, which every replica has. The passphrase is asked for; where nobody can
    answer, and for an empty answer, one is made and stands in the kit.

    Then add stores, enrol their tills, and start the head office: each command says what comes next.
    """
    refuse_used(path)
    file = kit or path.absolute().with_name(f"{path.absolute().name}-kit.txt")
    if path.absolute() in file.absolute().parents:
        raise Refused("The kit does not belong into the head office's folder: name a file elsewhere with --kit.")
    chosen = first_line(passphrase_file) if passphrase_file else _new_passphrase()
    made = "" if chosen else _made_passphrase()
    keys = CompanyKeys.generate()
    sealed = keys.sealed(chosen or made, COSTS[cost])
    written = write_kit(file, certified(keys, name), keys, made)
    try:
        office = create_company(name, path, settings, system_ms(), keys, sealed)
    except BaseException:
        for one in written:
            one.unlink()
        raise
    click.echo(
        f"Founded {office.root.name} (company {office.root.company.hex()}) with head office {office.certificate.name}."
    )
    click.echo(f"Print {written[0]} (or {written[1]}), put it into a safe, and delete both: whoever has it can do all.")
    if made:
        click.echo("A passphrase for the sealed copies was made, and stands in the kit.")
    click.echo(f"Next: crdt-pos store add --office {path} --store 1")


@company.command()
@office_option
@click.option("--new-passphrase-file", type=FOLDER, help=FILE_HELP)
@_COST
@key_options
def passphrase(office: Path, new_passphrase_file: Path | None, cost: str, keys: KeySource) -> None:
    """Seal the company's keys in the roster under another passphrase.

    That takes the kit or the old passphrase. The old one still opens copies of the old roster, wherever there are some:
    changing it helps those who forgot it, not those from whom it was stolen together with a replica.
    """
    folder = open_folder(office)
    with look(office) as looked:
        had = keys.both(folder.root, looked.directory.sealed_keys)
    said = first_line(new_passphrase_file) if new_passphrase_file else _new_passphrase()
    if not said:
        raise Refused("A passphrase is needed: say --new-passphrase-file FILE.")
    seal_keys(folder, had.sealed(said, COSTS[cost]), system_ms())
    click.echo(f"The root and recovery keys of {folder.root.name} are sealed under the new passphrase.")


@company.command()
@click.option("--at", "path", type=FOLDER, required=True, help="The folder of any replica of the company.")
@click.option(
    "--check", "checked", type=FOLDER, help="A kit, or its words typed in again: are they the company's keys?"
)
@click.option("--write", "file", type=FOLDER, help="Write the kit again, from another kit or the passphrase.")
@key_options
def kit(path: Path, checked: Path | None, file: Path | None, keys: KeySource) -> None:
    """Check a kit (--check FILE), or write it again (--write FILE)."""
    if (checked is None) is (file is None):
        raise click.UsageError("Say --check FILE or --write FILE.")
    with look(path) as looked:
        root, sealed = looked.folder.root, looked.directory.sealed_keys
    if checked is not None:
        text = read_text(checked)
        root_key_in(text, root)
        recovery_key_in(text, root)
        click.echo(f"{checked} holds the root key and the recovery key of {root.name}.")
    elif file is not None:
        written = write_kit(file, root, keys.both(root, sealed))
        click.echo(f"Print {written[0]} (or {written[1]}), put it into a safe, and delete both.")


def _new_passphrase() -> str:
    if not is_asked():
        return ""
    question = (
        f"A passphrase for the sealed copies of the keys, of {PASSPHRASE_LEAST} characters at least (empty: make one)"
    )
    return str(click.prompt(question, default="", show_default=False, hide_input=True, confirmation_prompt=True))


def _made_passphrase() -> str:
    return " ".join(secrets.choice(word_list()) for _ in range(MADE_WORDS))
