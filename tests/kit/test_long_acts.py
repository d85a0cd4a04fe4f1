"""A supervisor hears that a replica lives while a whole log is written anew, and nothing while an ordinary act hangs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from crdt_pos.commands.run import _show_life
from crdt_pos.supervisor import NOTIFY_SOCKET, Supervisor
from tests.node.company import Company, running

BEAT_S = 0.2


async def hears(heard: trio.socket.SocketType, signs: int, within_s: float) -> bool:
    with trio.move_on_after(within_s):
        for _ in range(signs):
            assert b"WATCHDOG=1" in await heard.recv(4096)
        return True
    return False


@pytest.mark.parametrize("long", [True, False])
async def test_only_a_long_act_lets_a_replica_live_on_without_its_turn(tmp_path: Path, long: bool) -> None:
    company = Company.found(tmp_path)
    goes_on = threading.Event()
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        await heard.bind(str(tmp_path / "notify"))
        supervisor = Supervisor({NOTIFY_SOCKET: str(tmp_path / "notify")})
        async with running(company.office) as (office,), trio.open_nursery() as nursery:
            writing: Callable[..., object] = office.write_at_length if long else office.write
            began = trio.Event()
            token = trio.lowlevel.current_trio_token()

            def act() -> None:
                token.run_sync_soon(began.set)
                assert goes_on.wait(30)

            try:
                nursery.start_soon(writing, act)  # type: ignore[arg-type]
                await began.wait()
                nursery.start_soon(_show_life, [office], supervisor, BEAT_S)
                assert await hears(heard, 3, 15 if long else 5 * BEAT_S) is long
            finally:
                goes_on.set()
            assert await hears(heard, 3, 15), "afterwards all is as before"
            nursery.cancel_scope.cancel()
