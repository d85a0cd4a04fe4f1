"""The debug shell: why is this value so? An engineer looks into a replica that runs, or that is dead, and changes nothing.

``crdt-pos shell`` and this package's functions are the same commands:

    from crdt_pos.shell import open_replica

    with open_replica(Path("till-12-1")) as replica:
        replica.explain("day/12/2026-11-22")          # plain data: dicts, lists, text, integers
        replica.entries("journal/12/2026-11-22", all=True)

``open_replica(path, attach=True)`` also asks the process that runs there, ``open_peer(path, address)`` looks into another replica
from outside. Every method is a command of the table in ``crdt_pos.shell.table``; docs/shell.md lists them.

How to add a command: write ``crdt_pos/shell/commands/<name>.py``, with

- one function ``answer(replica, argument, …, option=…)`` that reads ``replica.reader`` (what counts) or ``replica.held`` (all
  that is held) and returns plain data: dicts and lists, or dataclasses of such. What only ``lines`` needs stands under names that
  begin with ``_``. It prints nothing, takes every argument as text (an option without a value as a bool), and raises ``Refused``
  or ``NothingHere`` with one sentence for what cannot be answered. It reads by indices, not everything; what may take longer than
  a second calls ``replica.progress(doing, done, total)``, or runs through ``replica.counted(items, doing, total)``;
- one function ``lines(page, answer)`` that yields the lines that a person reads: colours by ``crdt_pos.shell.colours`` only,
  tables by ``crdt_pos.columns``, entries by ``crdt_pos.shell.evidence``;
- ``COMMAND = Command(name, says, example, answer, lines, arguments, options)``, with an example that works, and for each argument
  what completes it. ``trouble`` says of an answer whether the exit code is 1. A command whose answer depends on ``--all`` has
  ``ALL`` among its options; for the lines alone ``page.everything`` says it.

Then name it in ``crdt_pos.shell.table`` and run ``crdt-pos shell --write-docs docs/shell.md``: a test compares the page with
what the table says. ``--json``, ``--all``, help, completion, paging and the Python method come by themselves.
"""

from __future__ import annotations

from pathlib import Path

from crdt_pos.shell.replica import Replica, open_replica

__all__ = ["Replica", "open_peer", "open_replica"]


def open_peer(path: Path | str, address: str) -> Replica:
    """Look into the replica at ``address`` with the certificate of the folder ``path``: ``crdt_pos.shell.outside.open_peer``."""
    from crdt_pos.shell import outside  # sessions take a moment to import

    return outside.open_peer(Path(path), address)
