"""The frame of ``crdt-pos``: finds commands, lists them, and turns every failure into a sentence and an exit code.

A command is a click command named in the entry-point group ``crdt_pos.commands``; its module is imported only when it is
asked for. A source tree that is not installed has no entry points: there they are read from its ``pyproject.toml``.

Exit codes: 0 done; 1 a check found something (``verify``, ``demo``); 2 a person's mistake or the weather, one sentence;
70 a mistake of ours, with a file that holds the details; 130 interrupted; 141 whoever read our output has gone.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
import tempfile
import tomllib
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

import click
from click.shell_completion import CompletionItem, get_completion_class, shell_complete

NAME: Final = "crdt-pos"
GROUP: Final = "crdt_pos.commands"
SHELL_GROUP: Final = "crdt_pos.shell"
EXIT_REFUSED: Final = 2
EXIT_OUR_MISTAKE: Final = 70
EXIT_INTERRUPTED: Final = 128 + signal.SIGINT
EXIT_READER_GONE: Final = 128 + signal.SIGPIPE
_COMPLETE: Final = "_CRDT_POS_COMPLETE"

# Listing must not import the commands, so that --help answers at once: the one line of each stands here.
SECTIONS: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    (
        "Start here",
        {
            "demo": "Sell a week of real baskets at many tills and check the books to the cent.",
            "company": "Found a company, and look after its keys.",
            "office": "Create a head office, and run it.",
            "store": "Say which stores there are, and on what terms they sell.",
            "till": "Enrol a till in a store, and run it.",
            "manager": "Add a store's back office, which says who works there, and run it.",
            "relay": "Add a relay, which keeps and passes on what it cannot read, and run it.",
            "invite": "Make a one-time ticket, with which a new till, relay or head office joins.",
            "join": "Join a company with a ticket, on the new machine.",
            "admit": "Let somebody join by a file, or a head office that waits for the root key.",
            "recover": "Bring back a till, a store or a head office that was lost.",
            "revoke": "Keep a replica out that is lost, stolen, copied or lying.",
        },
    ),
    (
        "Every day",
        {
            "sell": "Sell at a running till: a keyboard till in the terminal.",
            "books": "Takings, tax, tenders, goods and points, on any replica's folder.",
            "variances": "What was sold at another price than was due, before a till had heard of the new one.",
            "cashier": "Say who works in a store, and give cashiers their PINs.",
            "person": "Say who a member is, and look it up.",
            "erase": "Erase a person: destroy name, phone and the key to them everywhere.",
            "points": "What a member or card has, and what head office credits for what was lost.",
            "product": "Make a product at a till; say which products one code means, and settle where they differ.",
        },
    ),
    (
        "Looking inside",
        {
            "status": "How a running replica is: with whom, what is safe elsewhere, what is wrong.",
            "shell": "Why is this value so? Look into a replica, entry by entry; it changes nothing.",
            "quarantine": "What is held and does not count: what a revoked replica signed after.",
            "readmit": "Let what is in quarantine count again.",
            "verify": "Check every signature, chain and sum again.",
        },
    ),
    (
        "For engineers",
        {
            "completion": "Print the shell's completion script: bash, zsh or fish.",
            "bench": "Measure speeds and sizes on this machine.",
            "replay": "Sell a year of real baskets through real tills, and check the books to the cent.",
            "simulate": "Shops in every kind of trouble, simulated from a seed; hunts for seeds that go wrong.",
            "fuzz": "Try made-up messages and entries on everything that reads what a peer sends.",
            "stories": "Make six faults for real, have the shell find each, and write their pages.",
            "screenshots": "Draw the pictures of the documentation from the real screens.",
        },
    ),
)


class Refused(click.ClickException):
    """A person's mistake, or something in the way: one sentence that says what is wrong and what to do."""

    exit_code = EXIT_REFUSED


def child_command() -> list[str]:
    """The beginning of a command line that runs ``crdt-pos`` again in another process, from any current folder.

    It names this package's own file, so it needs neither an installed script nor ``PYTHONPATH``; ``-P`` keeps the current
    folder off the path.
    """
    return [sys.executable, "-P", str(Path(__file__).resolve().with_name("__main__.py"))]


def command_names() -> dict[str, str]:
    """Every command outside this file, and where it is: ``module:name``.

    Those of this source tree win over those of an older installation.
    """
    return _installed(GROUP) | _of_source_tree(GROUP)


def joined_to_shell() -> dict[str, str]:
    """The same of the debug shell's commands that stand in the layers above it."""
    return _of_source_tree(SHELL_GROUP) or _installed(SHELL_GROUP)


@functools.cache
def _installed(group: str) -> dict[str, str]:
    # Loading this module and looking through all that is installed takes longer than most commands.
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=group)}


def _of_source_tree(group: str) -> dict[str, str]:
    table: dict[str, str] = _source_tree().get("entry-points", {}).get(group, {})
    return table


@functools.cache
def _source_tree() -> dict[str, Any]:
    project = Path(__file__).resolve().parent.parent / "pyproject.toml"
    if not project.is_file():
        return {}
    declared: dict[str, Any] = tomllib.loads(project.read_text("utf-8")).get("project", {})
    return declared if declared.get("name") == NAME else {}


def _print_version(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    if not asked:
        return
    click.echo(f"{NAME} {_source_tree().get('version') or _installed_version()}")
    context.exit()


def _installed_version() -> str:
    from importlib.metadata import version

    return version(NAME)


class _Commands(click.Group):
    """The commands of the entry-point group, each imported only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *command_names()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        place = _of_source_tree(GROUP).get(cmd_name) or _installed(GROUP).get(cmd_name) if own is None else None
        if place is None:
            return own
        module, _, name = place.partition(":")
        try:
            command: object = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            raise Refused(f"'{cmd_name}' needs the Python package '{error.name}', which is not installed.") from error
        assert isinstance(command, click.Command), f"{place} is not a click command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = set(self.list_commands(ctx))
        known = {name for _, lines in SECTIONS for name in lines}
        for title, lines in SECTIONS:
            rows = [(name, line) for name, line in lines.items() if name in names]
            if title == SECTIONS[-1][0]:
                rows += [(name, self._first_line(ctx, name)) for name in sorted(names - known)]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
        lines = {name: line for _, part in SECTIONS for name, line in part.items()}
        items: list[CompletionItem[Any]] = [
            CompletionItem(name, help=lines.get(name, ""))
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]
        return items or click.Command.shell_complete(self, ctx, incomplete)

    def _first_line(self, ctx: click.Context, name: str) -> str:
        try:
            command = self.get_command(ctx, name)
        except click.ClickException as error:
            return error.format_message()
        return command.get_short_help_str(100) if command else ""


@click.group(
    NAME,
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=f"Each command explains itself: {NAME} sell --help",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
def crdt_pos() -> None:
    """Tills and head offices as equal replicas: shops sell through every outage and agree to the cent."""


@crdt_pos.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def _completion(shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash:  eval "$(crdt-pos completion bash)"     in ~/.bashrc
    zsh:   eval "$(crdt-pos completion zsh)"      in ~/.zshrc
    fish:  crdt-pos completion fish | source      in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(crdt_pos, {}, NAME, _COMPLETE).source())


def run(arguments: Sequence[str]) -> int:
    """Run ``crdt-pos`` with ``arguments`` and return the exit code. Never raises, never shows a traceback."""
    try:
        code = _invoke(list(arguments))
        sys.stdout.flush()
        return code
    except SystemExit as leaving:
        return _exit_code(leaving)
    except BaseException as error:  # noqa: BLE001  the outermost frame: everything becomes a sentence here
        return _tell(error)


def _invoke(arguments: list[str]) -> int:
    instruction = os.environ.get(_COMPLETE)
    if instruction:
        return shell_complete(crdt_pos, {}, NAME, _COMPLETE, instruction)
    try:
        with crdt_pos.make_context(NAME, arguments) as context:
            crdt_pos.invoke(context)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message())
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    return 0


def _exit_code(leaving: SystemExit) -> int:
    if leaving.code is None or isinstance(leaving.code, int):
        return leaving.code or 0
    _say(str(leaving.code))
    return 1


def _tell(error: BaseException) -> int:
    leaves = list(_leaves(error))
    if any(isinstance(leaf, KeyboardInterrupt | click.Abort) for leaf in leaves):
        return EXIT_INTERRUPTED
    if all(isinstance(leaf, BrokenPipeError) for leaf in leaves):
        # Whatever is left in the buffer has no reader; without this the interpreter complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_READER_GONE
    sentences = [sentence(leaf) for leaf in leaves]
    known = [text for text in sentences if text]
    if len(known) < len(sentences):
        _say(f"Something went wrong, and the mistake is ours. {_keep_details(error)}")
        return EXIT_OUR_MISTAKE
    _say(known[0])
    return EXIT_REFUSED


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(inner)
    else:
        yield error


def sentence(error: BaseException) -> str:
    """What a person reads of ``error``: one sentence, or nothing if the error is a mistake of ours.

    Errors of the packages speak for themselves; those raised without words say their docstring.
    """
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx else NAME
        said = " ".join(error.format_message().split())
        return f"{said if said.endswith(('.', '?')) else said + '.'} See: {where} --help"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else f"{error.strerror}."
    if any(root.__name__ in _ROOTS and root.__module__.endswith(".errors") for root in type(error).__mro__):
        return _whole(" ".join((str(error) or type(error).__doc__ or "").split()))
    return ""


def _whole(said: str) -> str:
    # Errors of the lower layers are parts of sentences. A name or path at the beginning stays as it is.
    first = said.partition(" ")[0]
    begun = said[:1].upper() + said[1:] if first.isalpha() else said
    return begun if begun.endswith((".", "?", "!", ")")) else begun + "."


# Named, not imported: an error's package is loaded by whoever raised it, and --help should load none of them.
_ROOTS: Final = frozenset({"CrdtPosError", "TillError", "GossipError", "PeerError", "PeersError", "MergeRuleError"})


def _keep_details(error: BaseException) -> str:
    try:
        handle, name = tempfile.mkstemp(prefix=f"{NAME}-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as details:
            details.write("".join(traceback.format_exception(error)))
    except OSError:
        return "".join(traceback.format_exception_only(error)).strip()
    return f"The details are in {name}."


def _say(text: str) -> None:
    try:
        click.echo(f"{NAME}: {text}", err=True)
    except OSError:
        pass
