"""``crdt-pos shell``."""

from __future__ import annotations

from pathlib import Path

import click

from crdt_pos.cli import Refused


@click.command("shell")
@click.option(
    "--at", "path", type=click.Path(path_type=Path), help="The folder of any replica; it may run, or be dead."
)
@click.option(
    "--attach",
    is_flag=True,
    help="Also ask the process that runs there, for what is not on the disk: sessions, queues.",
)
@click.option(
    "--peer",
    metavar="HOST:PORT",
    help="Look into the replica there, from outside, with the certificate of the folder --at.",
)
@click.option("-c", "lines", metavar="COMMAND", multiple=True, help="Run this command and leave; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="With -c: print JSON.")
@click.option("--write-docs", "docs", type=click.Path(path_type=Path), hidden=True, help="Write docs/shell.md.")
@click.pass_context
def shell(
    context: click.Context,
    path: Path | None,
    attach: bool,
    peer: str | None,
    lines: tuple[str, ...],
    as_json: bool,
    docs: Path | None,
) -> None:
    """Why is this value so? Look into a replica, document by document and entry by entry; nothing is changed.

    Without -c it asks for commands: 'help' lists them, Tab completes, Ctrl-D leaves.

    \b
    crdt-pos shell --at till-12-1
    crdt-pos shell --at till-12-1 --attach -c peers
    crdt-pos shell --at till-12-1 -c 'explain day/12/2026-11-22 takings' --json
    crdt-pos shell --at engineer --peer 10.0.0.5:7420 -c status

    Exit code: 0 answered, 1 a command found that something is wrong (verify, status), 2 it could not be answered.
    """
    from crdt_pos.shell import running
    from crdt_pos.shell.replica import open_replica

    if docs is not None:
        from crdt_pos.shell.docs import page

        docs.write_text(page(), "utf-8")
        return
    if path is None:
        raise click.UsageError("Missing option '--at'.", context)
    if as_json and not lines:
        raise click.UsageError("--json needs -c.", context)
    if attach and peer:
        raise Refused("--attach asks the replica of this machine, --peer another: choose one.")
    if peer:
        from crdt_pos.shell.outside import open_peer

        replica = open_peer(path, peer)
    else:
        replica = open_replica(path, attach=attach)
    with replica:
        if not lines:
            from crdt_pos.shell.editor import converse

            converse(replica)
            return
        codes = [running.run(replica, line, running.Screen(as_json)) for line in lines]
    context.exit(max(codes))
