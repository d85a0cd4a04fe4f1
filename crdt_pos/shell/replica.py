"""A replica in hand: an opened folder, or what a peer has shown, with every command of the shell as a method.

Reading is done in snapshots, one for each command, so that every answer is consistent and a running replica is not held up.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from crdt_pos import looking
from crdt_pos.cli import Refused
from crdt_pos.clock import system_ms
from crdt_pos.directory import COMPANY_ROSTER
from crdt_pos.errors import NothingHere
from crdt_pos.inspection import find_document
from crdt_pos.local import LocalClient
from crdt_pos.looking import Looked
from crdt_pos.schema import ROSTER_STORE
from crdt_pos.shell.command import Command, data
from crdt_pos.trust import RosterTrust
from gossip.document import Document, Scope
from gossip.log import Reader
from merge_rules.lattice import Author
from peers.roster import Directory

Progress = Callable[[str, int, int], None]
"""Hears what is being done, how much of it is done, and how much there is."""
PROGRESS_EVERY: Final = 64

T = TypeVar("T")


def _silent(_doing: str, _done: int, _total: int) -> None:
    """Nobody waits."""


def _nobody(_name: str) -> Replica | None:
    return None


class Replica:
    """What the commands look into. Close it, or use it in a ``with`` block. Not to be shared between threads."""

    def __init__(
        self,
        looked: Looked,
        closing: ExitStack,
        client: LocalClient | None = None,
        peer: str = "",
        shared: frozenset[Scope] | None = None,
    ) -> None:
        self.looked = looked
        self.client = client
        """Speaks to the process that runs here; ``None`` unless attached."""
        self.peer = peer
        """The address of the replica that is looked into from outside; empty for a folder."""
        self.shared = shared
        """What it shares with the certificate that was shown to it; ``None`` for a folder."""
        self.others: Callable[[str], Replica | None] = _nobody
        """Another replica by its name, where several are in hand, as in a simulation."""
        self.progress: Progress = _silent
        self.now_ms: Callable[[], int] = system_ms
        self._closing = closing
        self._counting: Reader | None = None
        self._holding: Reader | None = None
        self._roster: object = None

    # --- what there is to read ---------------------------------------------------------------------------------------

    @property
    def reader(self) -> Reader:
        """The snapshot of what counts; within ``reading``, where every command is."""
        assert self._counting is not None, "only within a command, or 'with replica.reading():'"
        return self._counting

    @property
    def held(self) -> Reader:
        """The same of everything that is held, whether it counts or not."""
        assert self._holding is not None, "only within a command, or 'with replica.reading():'"
        return self._holding

    @property
    def directory(self) -> Directory:
        """The roster as it is here."""
        return self.looked.directory

    @property
    def me(self) -> Author:
        """The author that this replica is."""
        return self.looked.folder.certificate.author

    @property
    def name(self) -> str:
        """``12-1 a1``."""
        return self.looked.name_of(self.me)

    @contextmanager
    def reading(self) -> Generator[Self]:
        """Take a snapshot, unless there is one."""
        if self._counting is not None:
            yield self
            return
        with self.looked.log.read() as self._counting, self.looked.log.read_all() as self._holding:
            try:
                self._follow_roster()
                yield self
            finally:
                self._counting = self._holding = None

    def _follow_roster(self) -> None:
        # A replica that runs may hear of others while it is looked at.
        reader = self.reader
        documents = [COMPANY_ROSTER, *reader.documents(ROSTER_STORE)]
        roster = [stored.arrival for document in documents for stored in reader.head_entries(document)]
        if self._roster is not None and roster != self._roster and not self.looked.damage:
            trust = RosterTrust(self.looked.folder, self.looked.log)
            self.looked = Looked(self.looked.folder, self.looked.log, trust.directory, "")
        self._roster = roster

    # --- what commands use -------------------------------------------------------------------------------------------

    def name_of(self, author: Author) -> str:
        """``12-3 a1``; 16 hex digits for an author whose certificate is not here."""
        return self.looked.name_of(author)

    def document(self, text: str) -> Document:
        """The document of a name. Raises ``NothingHere``."""
        try:
            return find_document(self.reader, text)
        except NothingHere:
            return find_document(self.held, text)  # nothing of it counts

    def author(self, text: str) -> Author:
        """The author of ``12-3``, ``12-3 a1``, ``12-3/a1`` or 16 hex digits; of several lives the newest. Raises ``Refused``."""
        wanted = text.replace("/", " ").strip()
        known = {author: chain[0] for author, chain in self.directory.chains.items()}
        found = [author for author in known if wanted in (author.hex(), self.name_of(author))]
        lives = [author for author, own in known.items() if own.name == wanted]
        if found or lives:
            return max(found or lives, key=lambda one: (len(known[one].incarnation), known[one].incarnation))
        if len(wanted) == 2 * len(self.me) and all(digit in "0123456789abcdef" for digit in wanted):
            return Author(bytes.fromhex(wanted))
        raise Refused(
            f"Nobody here is called '{text}': say a name like {self.looked.folder.certificate.name}, or its 16 hex digits."
        )

    def ask(self, do: str, **fields: object) -> dict[str, Any]:
        """Ask the process that runs here. Raises ``Refused`` where there is none to ask."""
        if self.client is None:
            raise Refused(
                "That is not on the disk: attach to the running replica, with 'crdt-pos shell --at … --attach'."
            )
        answer = self.client.call(do, **fields)
        return {key: value for key, value in answer.items() if key not in ("ok", "version")}

    def counted(self, items: Iterable[T], doing: str, total: int) -> Iterator[T]:
        """The items, telling whoever waits how far it is."""
        for done, item in enumerate(items):
            if done % PROGRESS_EVERY == 0:
                self.progress(doing, done, max(total, done))
            yield item

    # --- the commands ------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Callable[..., Any]:
        from crdt_pos.shell.table import COMMANDS

        command = COMMANDS.get(name.replace("_", "-"))
        if command is None:
            raise AttributeError(f"there is no command {name!r}: {', '.join(COMMANDS)}")
        method = functools.partial(self._call, command)
        method.__doc__ = f"{command.says}\n\n{command.usage}"  # pyright: ignore[reportAttributeAccessIssue]
        return method

    def __dir__(self) -> list[str]:
        from crdt_pos.shell.table import COMMANDS

        return [*super().__dir__(), *(name.replace("-", "_") for name in COMMANDS)]

    def _call(self, command: Command, *values: object, **options: object) -> object:
        names = [argument.name for argument in command.arguments]
        if len(values) > len(names) and command.arguments and command.arguments[-1].many:
            values = (*values[: len(names) - 1], tuple(map(str, values[len(names) - 1 :])))
        if len(values) > len(names):
            raise TypeError(f"{command.name} takes {command.usage}")
        given = {**dict(zip(names, values, strict=False)), **options}
        said: dict[str, Any] = {
            name: value if isinstance(value, bool | tuple) else str(value) for name, value in given.items()
        }
        with self.reading():
            return data(command.answer(self, **said))

    # --- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the log."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_replica(path: Path | str, *, attach: bool = False) -> Replica:
    """Open the folder at ``path`` for reading; with ``attach`` also speak to the process that runs there, as its owner.

    Raises ``FolderError``, ``LogError``, ``NotRunning``.
    """
    with ExitStack() as closing:
        looked = closing.enter_context(looking.look(Path(path), damaged=True))
        client = closing.enter_context(LocalClient(Path(path))) if attach else None
        return Replica(looked, closing.pop_all(), client)
    raise AssertionError
