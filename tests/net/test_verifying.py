"""Signatures verified by a process beside the replica: the same verdicts, and none where the process is gone."""

from __future__ import annotations

import io

import pytest
import trio

from gossip.verifying import Verifying
from peers.keys import PublicKey, SecretKey
from peers.verifying_worker import encode_request, serve

Item = tuple[PublicKey, bytes]


def signed(number: int, *, forged: bool = False) -> Item:
    key, message = SecretKey(bytes([number]) * 32), b"sale " * number
    return key.public, key.sign(message) + (b"another" if forged else message)


ITEMS = [signed(number, forged=number % 3 == 0) for number in range(1, 40)]
VERDICTS = bytes(number % 3 != 0 for number in range(1, 40))


@pytest.mark.parametrize("counts", [(39,), (1, 38), (20, 0, 19)])
def test_every_signature_is_judged_by_itself(counts: tuple[int, ...]) -> None:
    items, requests, answers = iter(ITEMS), b"", io.BytesIO()
    for count in counts:
        requests += encode_request([next(items) for _ in range(count)])
    serve(io.BytesIO(requests), answers)
    assert answers.getvalue() == VERDICTS


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
