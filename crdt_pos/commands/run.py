"""``office run``, ``till run`` and ``relay run``: a replica as a long-running process, for systemd or by hand."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import trio

from crdt_pos.allocator import keep_little
from crdt_pos.cli import Refused
from crdt_pos.columns import plural
from crdt_pos.folder import VAULT_EVERY_S_MAX, Folder, open_folder, parse_address
from crdt_pos.garbage import collect_seldom
from crdt_pos.log_lines import REPLICA, LineFormatter, Style
from crdt_pos.restored import mark_restored
from crdt_pos.supervisor import Supervisor, is_journal
from peers.permissions import Role

if TYPE_CHECKING:
    from crdt_pos.replica import RunningReplica
    from crdt_pos.scraped import Scraped

LOOPBACK = "127.0.0.1"
_AT = click.option(
    "--at",
    "folders",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="The replica's folder. Given several times, one process runs them all.",
)
_VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Say more: every session that comes and goes.")
_LOG = click.option(
    "--log",
    "style",
    type=click.Choice([str(style) for style in Style]),
    default=str(Style.TEXT),
    show_default=True,
    help="How events are written to the standard error output, one line each: name=value pairs, or JSON.",
)
_METRICS = click.option(
    "--metrics",
    metavar="[HOST:]PORT",
    help="Show a Prometheus server metrics at http://HOST:PORT/metrics; without HOST to this machine only (127.0.0.1).",
)


@click.command("run")
@_AT
@_VERBOSE
@_LOG
@_METRICS
def run_office(folders: tuple[Path, ...], verbose: bool, style: str, metrics: str | None) -> None:
    """Run a head office until it is told to stop (Ctrl-C or SIGTERM).

    It takes in what the tills say, and gives them the catalogue, prices and members' balances. See the books at any time
    from another terminal: crdt-pos books --at DIR
    """
    run_replicas(folders, Role.OFFICE, verbose=verbose, style=Style(style), metrics=metrics)


@click.command("run")
@_AT
@_VERBOSE
@_LOG
@_METRICS
def run_relay(folders: tuple[Path, ...], verbose: bool, style: str, metrics: str | None) -> None:
    """Run a relay until it is told to stop (Ctrl-C or SIGTERM).

    It passes on what those who dial it share: the roster, the catalogue, and sealed journals, which it cannot open.
    """
    run_replicas(folders, Role.RELAY, verbose=verbose, style=Style(style), metrics=metrics)


@click.command("run")
@_AT
@_VERBOSE
@_LOG
@_METRICS
def run_manager(folders: tuple[Path, ...], verbose: bool, style: str, metrics: str | None) -> None:
    """Run a store's back office until it is told to stop (Ctrl-C or SIGTERM).

    It finds the tills of its store by itself, and calls the addresses in its replica.toml. Whoever works in the store is named
    here: crdt-pos cashier add --help
    """
    run_replicas(folders, Role.MANAGER, verbose=verbose, style=Style(style), metrics=metrics)


@click.command("run")
@_AT
@_VERBOSE
@_LOG
@_METRICS
@click.option(
    "--restored",
    is_flag=True,
    help="Once, after this till's disk was replaced by an older image or copy of it, and no other copy runs: it takes back "
    "what the others hold before it sells, and leaves out receipt numbers that may have been given.",
)
@click.option(
    "--vault-every",
    type=click.IntRange(1, VAULT_EVERY_S_MAX),
    metavar="SECONDS",
    help="How old a receipt may become before it is sealed for other stores to keep, in place of vault_every_s in replica.toml.",
)
def run_till(
    folders: tuple[Path, ...], verbose: bool, style: str, metrics: str | None, restored: bool, vault_every: int | None
) -> None:
    """Run a till until it is told to stop (Ctrl-C or SIGTERM).

    It finds the other tills of its store by itself, and calls the addresses in its replica.toml. Whether any answers or not:
    it sells. Open its screen in another terminal: crdt-pos sell --at DIR
    """
    run_replicas(
        folders,
        Role.TILL,
        verbose=verbose,
        style=Style(style),
        metrics=metrics,
        restored=restored,
        vault_every_s=vault_every,
    )


def run_replicas(
    paths: Sequence[Path],
    role: Role,
    *,
    verbose: bool,
    style: Style = Style.TEXT,
    metrics: str | None = None,
    restored: bool = False,
    vault_every_s: int | None = None,
    made: Callable[[Folder], RunningReplica] | None = None,
) -> None:
    """Run the replicas of these folders until SIGTERM or SIGINT. ``made`` makes one of its folder; else it is an ordinary one.

    ``metrics``: where a Prometheus server finds them, if anywhere. ``restored``: they are older than what was written
    in their names. ``vault_every_s``: in place of what their settings say.
    """
    keep_little()
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(style, to_journal=is_journal(os.environ, 2)))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])
    with contextlib.ExitStack() as held:
        opened: list[Folder] = []
        for path in paths:
            folder = open_folder(path)
            if folder.certificate.role is not role:
                name, asked = folder.certificate.name, folder.certificate.role
                raise Refused(f"{path} is the folder of {name}: run it with 'crdt-pos {asked} run --at {path}'.")
            held.enter_context(folder.held())
            if vault_every_s is not None:
                folder = replace(folder, settings=replace(folder.settings, vault_every_s=vault_every_s))
            if restored:
                mark_restored(folder)
            opened.append(folder)
        _allow_files()
        scraped = None if metrics is None else held.enter_context(_scraped(metrics))
        trio.run(_serve, opened, made, Supervisor(os.environ), scraped, strict_exception_groups=True)


def _allow_files() -> None:
    """As many open files as the system lets us: a head office has sessions with two tills of every store."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def _scraped(where: str) -> Generator[Scraped]:
    try:
        from crdt_pos.metrics import serving
    except ModuleNotFoundError as error:
        raise Refused("--metrics needs a library that is not installed: pip install 'crdt-pos[metrics]'") from error
    from crdt_pos.scraped import Scraped

    scraped = Scraped()
    host, _, port = where.rpartition(":")
    with serving(parse_address(f"{host or LOOPBACK}:{port}"), scraped.samples) as address:
        click.echo(f"Metrics are at http://{address}/metrics")
        yield scraped


async def _serve(
    folders: list[Folder],
    made: Callable[[Folder], RunningReplica] | None,
    supervisor: Supervisor,
    scraped: Scraped | None,
) -> None:
    from crdt_pos.replica import RunningReplica

    with contextlib.ExitStack() as logs, trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        replicas: list[RunningReplica] = []
        for folder in folders:
            replicas.append((made or RunningReplica)(folder))
            logs.callback(replicas[-1].close)
            if scraped is not None:
                scraped.add(replicas[-1], trio.lowlevel.current_trio_token())
                logs.callback(scraped.clear)
        async with trio.open_nursery() as nursery:
            for replica in replicas:
                REPLICA.set(replica.certificate.name)  # inherited by all that it starts
                address = await nursery.start(replica.run)
                click.echo(f"{replica.certificate.name} is ready at {address}")
            collect_seldom()
            supervisor.ready(_status(replicas))
            if supervisor.beat_s is not None:
                nursery.start_soon(_show_life, replicas, supervisor, supervisor.beat_s)
            async for _ in signals:
                supervisor.stopping()
                for replica in replicas:
                    replica.stop_sessions()
                with trio.move_on_after(1.0):
                    while any(replica.node.links for replica in replicas):
                        await trio.sleep(0.01)
                nursery.cancel_scope.cancel()
                return


async def _show_life(replicas: Sequence[RunningReplica], supervisor: Supervisor, beat_s: float) -> None:
    """Say so as long as each replica gets its turn at its log: a disk or a writer that hangs is silence.

    An act that is known to take long, such as writing a whole log anew, is none: as long as it goes on, this process lives.
    """
    while True:
        for replica in replicas:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_reassure, replica, replicas, supervisor, beat_s / 4)
                await replica.node.write(lambda: None)
                nursery.cancel_scope.cancel()
        supervisor.alive(_status(replicas))
        await trio.sleep(beat_s)


async def _reassure(
    waits_for: RunningReplica, replicas: Sequence[RunningReplica], supervisor: Supervisor, every_s: float
) -> None:
    while True:
        await trio.sleep(every_s)
        if waits_for.long_act:
            supervisor.alive(_status(replicas))


def _status(replicas: Sequence[RunningReplica]) -> str:
    return "; ".join(
        f"{replica.certificate.name}: {plural(len(replica.node.links), 'session')}"
        + (f", {trouble}" if (trouble := replica.status().trouble) else "")
        for replica in replicas
    )
