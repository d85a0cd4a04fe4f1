"""The local socket with real sockets: many clients, long folders, rubbish; nothing that a client sends stops the replica."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from crdt_pos.local import (
    LINE_BYTES_MAX,
    SOCKET_NAME,
    AlreadyServed,
    Command,
    ConnectionLost,
    Declined,
    LocalClient,
    LocalRefused,
    Message,
    NotRunning,
    serve,
)
from crdt_pos.local_async import AsyncLocalClient


async def echo(request: Message) -> Message:
    return {"heard": request}


async def decline(request: Message) -> Message:
    raise Declined("Too few points: 40 can be redeemed now.", "NotEnoughPoints", here=40)


async def break_down(request: Message) -> Message:
    raise ZeroDivisionError


COMMANDS: dict[str, Command] = {"echo": echo, "decline": decline, "break": break_down}


@asynccontextmanager
async def serving(folder: Path, commands: dict[str, Command] = COMMANDS) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, folder, commands)
        yield
        nursery.cancel_scope.cancel()


async def call(folder: Path, do: str, **fields: object) -> Message:
    def once() -> Message:
        with LocalClient(folder) as client:
            return client.call(do, **fields)

    return await trio.to_thread.run_sync(once)


async def raw(folder: Path, sent: bytes) -> list[Message]:
    def once() -> list[Message]:
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(str(folder / SOCKET_NAME))
            plain.sendall(sent)
            plain.shutdown(socket.SHUT_WR)
            return [json.loads(line) for line in plain.makefile("rb")]

    return await trio.to_thread.run_sync(once)


async def test_an_answer_repeats_what_was_asked_in_any_script(tmp_path: Path) -> None:
    async with serving(tmp_path):
        answer = await call(tmp_path, "echo", words="Käse 牛奶", amount=-(2**53))
    assert answer["heard"] == {"words": "Käse 牛奶", "amount": -(2**53)}


async def test_only_the_owner_may_open_the_socket_and_it_goes_with_the_replica(tmp_path: Path) -> None:
    async with serving(tmp_path):
        mode = (tmp_path / SOCKET_NAME).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert not (tmp_path / SOCKET_NAME).exists()


async def test_a_folder_longer_than_a_socket_address_serves_all_the_same(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a shop with a very long name"] * 6)
    deep.mkdir(parents=True)
    assert len(str(deep)) > 108
    async with serving(deep):
        assert (await call(deep, "echo"))["ok"] is True
        assert stat.S_IMODE((deep / SOCKET_NAME).stat().st_mode) == 0o600


async def test_a_socket_left_by_a_killed_replica_is_taken_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / SOCKET_NAME))
    async with serving(tmp_path):
        assert (await call(tmp_path, "echo"))["ok"] is True


async def test_a_second_replica_in_one_folder_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async with serving(tmp_path):
        with pytest.raises(AlreadyServed, match="already running"):
            await serve(tmp_path, COMMANDS)
        assert (await call(tmp_path, "echo"))["ok"] is True


async def test_a_file_in_the_sockets_place_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / SOCKET_NAME).write_text("somebody's")
    with pytest.raises(OSError, match="in use"):
        await serve(tmp_path, COMMANDS)
    assert (tmp_path / SOCKET_NAME).read_text() == "somebody's"


async def test_without_a_replica_the_client_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match=f"crdt-pos till run --at {tmp_path}"):
        LocalClient(tmp_path)
    with pytest.raises(NotRunning):
        LocalClient(tmp_path / "not there")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"rubbish", "BadRequest"),
        (b"\xff\xfe", "BadRequest"),
        (b"[1,2]", "BadRequest"),
        (b'{"do":"echo","amount":1.5}', "BadRequest"),
        (b'{"do":"echo","amount":NaN}', "BadRequest"),
        (b"[" * 100_000, "BadRequest"),
        (b'{"do":"echo","amount":' + b"9" * 5000 + b"}", "BadRequest"),
        (b'{"do":"sing"}', "UnknownCommand"),
        (b'{"do":["echo"]}', "UnknownCommand"),
        (b'{"do":"echo","text":["\\ud83d"]}', "BadRequest"),
        (b'{"do":"echo","\\uDC00":1}', "BadRequest"),
        (b'{"do":"echo","id":"\\ud800"}', "BadRequest"),
        (b"{}", "UnknownCommand"),
        (b'{"do":"echo","version":2}', "OtherVersion"),
        (b'{"do":"break"}', "ZeroDivisionError"),
    ],
)
async def test_a_bad_line_is_answered_and_the_next_one_served(tmp_path: Path, line: bytes, kind: str) -> None:
    async with serving(tmp_path):
        bad, good = await raw(tmp_path, line + b'\n{"do":"echo","id":7}\n')
    assert (bad["ok"], bad["kind"]) == (False, kind)
    assert (good["ok"], good["id"]) == (True, 7)


async def test_a_line_without_an_end_is_cut_off_and_others_are_still_served(tmp_path: Path) -> None:
    async with serving(tmp_path):
        with trio.fail_after(20):
            answers = await raw(tmp_path, b"x" * (LINE_BYTES_MAX + 2))
        assert [answer["kind"] for answer in answers] == ["TooLong"]
        assert (await call(tmp_path, "echo"))["ok"] is True


async def test_requests_sent_at_once_are_answered_in_order_however_they_are_cut(tmp_path: Path) -> None:
    lines = b"".join(b'{"do":"echo","id":%d}\n' % n for n in range(300))
    async with serving(tmp_path):
        stream = await trio.open_unix_socket(tmp_path / SOCKET_NAME)
        heard = bytearray()

        async def send() -> None:
            for start in range(0, len(lines), 7):
                await stream.send_all(lines[start : start + 7])
            await stream.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            async for part in stream:
                heard += part
    assert [json.loads(line)["id"] for line in heard.splitlines()] == list(range(300))


async def test_a_refusal_reaches_the_client_with_its_reason_and_its_fields(tmp_path: Path) -> None:
    async with serving(tmp_path):
        with pytest.raises(LocalRefused, match="40 can be redeemed now") as refused:
            await call(tmp_path, "decline")
    assert refused.value.kind == "NotEnoughPoints"
    assert refused.value.answer["here"] == 40


async def test_a_slow_request_does_not_keep_other_clients_waiting(tmp_path: Path) -> None:
    go_on = trio.Event()

    async def slow(request: Message) -> Message:
        await go_on.wait()
        return {}

    async with serving(tmp_path, {**COMMANDS, "slow": slow}), trio.open_nursery() as nursery:
        nursery.start_soon(call, tmp_path, "slow")
        answers = [await call(tmp_path, "echo") for _ in range(3)]
        go_on.set()
    assert [answer["ok"] for answer in answers] == [True] * 3


async def test_a_client_that_hangs_up_early_does_not_undo_what_it_asked_for(tmp_path: Path) -> None:
    done, gone = trio.Event(), trio.Event()

    async def sell(request: Message) -> Message:
        await gone.wait()
        done.set()
        return {}

    async with serving(tmp_path, {"sell": sell}):
        stream = await trio.open_unix_socket(tmp_path / SOCKET_NAME)
        await stream.send_all(b'{"do":"sell"}\n')
        await stream.aclose()
        gone.set()
        with trio.fail_after(5):
            await done.wait()


async def test_a_replica_that_stops_in_the_middle_is_a_lost_connection_not_an_answer(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / SOCKET_NAME))
    listener.listen()

    def stop_in_the_middle() -> None:
        connection, _ = listener.accept()
        connection.recv(100)
        connection.sendall(b'{"ok":tr')
        connection.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, stop_in_the_middle)
        with pytest.raises(ConnectionLost, match="last receipt"):
            await call(tmp_path, "sell")
    listener.close()


async def test_a_cancelled_call_of_the_screen_does_not_shift_the_answers(tmp_path: Path) -> None:
    go_on = trio.Event()

    async def slow(request: Message) -> Message:
        await go_on.wait()
        return {"slow": True}

    async def screen(release: Callable[[], Awaitable[None]]) -> Message:
        client = await AsyncLocalClient.connect(tmp_path)
        typed = asyncio.create_task(client.call("slow"))
        await asyncio.sleep(0)
        typed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await typed
        await release()
        answer = await client.call("echo", n=2)
        await client.close()
        return answer

    token = trio.lowlevel.current_trio_token()

    async def release() -> None:
        token.run_sync_soon(go_on.set)

    async with serving(tmp_path, {**COMMANDS, "slow": slow}):
        answer = await trio.to_thread.run_sync(lambda: asyncio.run(screen(release)))
    assert answer["heard"] == {"n": 2}


SLOW_START = """
import os, sys
from pathlib import Path
import trio
from crdt_pos.local import RUNNING, serve
folder = Path(sys.argv[1])
(folder / RUNNING).write_text(f"{os.getpid()}\\n")
print("held", flush=True)
sys.stdin.readline()
async def heard(request): return {"heard": request}
trio.run(serve, folder, {"echo": heard})
"""


def test_a_replica_that_only_begins_to_start_is_waited_for(tmp_path: Path) -> None:
    words = [sys.executable, "-c", SLOW_START, str(tmp_path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(words, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as starting:
        assert starting.stdin is not None
        assert starting.stdout is not None
        assert starting.stdout.readline() == "held\n"
        starting.stdin.write("\n")
        starting.stdin.flush()
        with LocalClient(tmp_path) as client:
            assert client.call("echo", a=1)["heard"] == {"a": 1}
        starting.kill()
    # Whoever held the folder has ended: there is nobody to wait for.
    with pytest.raises(NotRunning):
        LocalClient(tmp_path)
