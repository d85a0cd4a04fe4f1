"""Signatures verified by a process beside the replica: the same verdicts, and none where the process is gone."""

from __future__ import annotations

import io
import signal
from pathlib import Path

import pytest
import trio

from gossip import verifying as beside
from gossip.verifying import Verifying
from peers.keys import PublicKey, SecretKey
from peers.verifying_worker import HEAD, encode_request, serve

Item = tuple[PublicKey, bytes]


def signed(number: int, *, forged: bool = False) -> Item:
    key, message = SecretKey(bytes([number]) * 32), b"sale " * number
    return key.public, key.sign(message) + (b"another" if forged else message)


ITEMS = [signed(number, forged=number % 3 == 0) for number in range(1, 40)]
VERDICTS = bytes(number % 3 != 0 for number in range(1, 40))


@pytest.mark.parametrize("counts", [(39,), (1, 38), (20, 0, 19)])
def test_every_signature_is_judged_by_itself(counts: tuple[int, ...]) -> None:
    items, requests, answers, due = iter(ITEMS), b"", io.BytesIO(), b""
    verdicts = iter(VERDICTS)
    for number, count in enumerate(counts):
        requests += encode_request(number, [next(items) for _ in range(count)])
        due += HEAD.pack(number, count) + bytes(next(verdicts) for _ in range(count))
    serve(io.BytesIO(requests), answers)
    assert answers.getvalue() == due


async def test_many_may_ask_at_once_and_each_hears_of_its_own() -> None:
    verifying = Verifying()
    heard: dict[int, bytes | None] = {}

    async def ask(first: int) -> None:
        heard[first] = await verifying.verify(ITEMS[first : first + 10])

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(verifying.run)
            async with trio.open_nursery() as asking:
                for first in range(0, 39, 3):
                    asking.start_soon(ask, first)
            nursery.cancel_scope.cancel()
    assert heard == {first: VERDICTS[first : first + 10] for first in range(0, 39, 3)}


async def test_whoever_asks_a_process_that_was_killed_is_told_that_there_is_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    verifying = Verifying()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(verifying.run)
            assert await verifying.verify(ITEMS[:3]) == VERDICTS[:3]
            assert verifying.process is not None
            verifying.process.kill()
            await verifying.process.wait()
            assert await verifying.verify(ITEMS) in (None, VERDICTS)
            assert await verifying.verify(ITEMS) is None
            nursery.cancel_scope.cancel()
    assert "verified in this one" in caplog.text


async def test_packages_of_the_current_folder_do_not_judge_signatures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = tmp_path / "peers"
    planted.mkdir()
    (planted / "__init__.py").write_text("")
    (planted / "verifying_worker.py").write_text("raise SystemExit\n")
    monkeypatch.chdir(tmp_path)
    verifying = Verifying()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(verifying.run)
            assert await verifying.verify(ITEMS) == VERDICTS
            nursery.cancel_scope.cancel()


ODD_ANSWERS = {
    "a byte too many before": b"\0" + HEAD.pack(1, 2) + b"\1\1",
    "of another request": HEAD.pack(2, 2) + b"\1\1",
    "of another size": HEAD.pack(1, 3) + b"\1\1\1",
    "neither yes nor no": HEAD.pack(1, 2) + b"\1\2",
}


@pytest.mark.parametrize("answer", ODD_ANSWERS.values(), ids=ODD_ANSWERS)
async def test_a_process_that_answers_anything_else_is_not_believed(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another program in the place of the worker's: what a broken one could say.
    program = f"import sys; sys.stdin.buffer.read(16); sys.stdout.buffer.write({answer!r}); sys.stdout.flush(); sys.stdin.read()"
    monkeypatch.setattr(beside, "_COMMAND", (*beside._COMMAND[:2], "-c", program))
    verifying = Verifying()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(verifying.run)
            assert await verifying.verify(ITEMS[:2]) is None
            nursery.cancel_scope.cancel()


def open_files() -> set[str]:
    return {place.name for place in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize("message_bytes", [10, 4_000_000], ids=["to answer", "to be asked"])
async def test_a_process_that_does_not_go_on_is_given_up_and_leaves_nothing_behind(message_bytes: int) -> None:
    items = [(ITEMS[0][0], bytes(message_bytes))]
    verifying = Verifying(patience_s=0.2)
    before = open_files()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(verifying.run)
            await verifying._start()
            process = verifying.process
            assert process is not None
            process.send_signal(signal.SIGSTOP)
            assert await verifying.verify(items) is None
            await process.wait()
            nursery.cancel_scope.cancel()
    assert process.returncode == -signal.SIGKILL
    assert open_files() <= before
