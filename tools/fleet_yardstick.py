"""The yardstick of a fleet: how many signatures libsodium verifies in a second, one process on each core at the same moment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Final, NamedTuple

from peers.keys import PublicKey, SecretKey, Signature, verify

AT_ONCE: Final = 50
"""Signatures between two looks at the clock."""
GATHER_S: Final = 0.2
"""Until all processes are at the line."""


class Signed(NamedTuple):
    """Something to verify."""

    public: PublicKey
    message: bytes
    signature: Signature


def samples(messages: Sequence[bytes]) -> list[Signed]:
    """These messages, signed each with a key of its own."""
    keys = [SecretKey.generate() for _ in messages]
    return [Signed(key.public, one, key.sign(one)) for key, one in zip(keys, messages, strict=True)]


def rates(workers: Executor, count: int, signed: Sequence[Signed], seconds: float) -> list[float]:
    """Signatures per second in each of ``count`` processes, all at the same time. ``workers`` must have no fewer, all idle."""
    start_s = time.monotonic() + GATHER_S
    asked = [workers.submit(_verified, signed, start_s, seconds) for _ in range(count)]
    return [one.result() for one in asked]


def cpu_s_each(signed: Sequence[Signed], rounds: int) -> float:
    """Processor seconds that one verification takes in this process."""
    began_s = time.process_time()
    for _ in range(rounds):
        _verify_all(signed)
    return (time.process_time() - began_s) / (rounds * len(signed))


def _verified(signed: Sequence[Signed], start_s: float, seconds: float) -> float:
    time.sleep(max(start_s - time.monotonic(), 0))
    part = [signed[number % len(signed)] for number in range(AT_ONCE)]
    began_s, count = time.perf_counter(), 0
    while (took_s := time.perf_counter() - began_s) < seconds:
        _verify_all(part)
        count += len(part)
    return count / took_s


def _verify_all(signed: Sequence[Signed]) -> None:
    for public, message, signature in signed:
        if not verify(public, message, signature):
            raise AssertionError
