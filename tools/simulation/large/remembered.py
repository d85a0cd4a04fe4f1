"""What bytes say is a function of the bytes: in a large run it is found once, and remembered for all replicas.

An entry is taken apart once and not at each of the replicas that it reaches, the receipt in it is read once, and so is a message
of a few bytes, of which a session has many: DURABLE. What travels is still encoded and counted byte by byte. The product has
nothing of the kind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from functools import lru_cache
from typing import Final
from unittest.mock import patch

from crdt_pos.receipt import Receipt
from gossip import entry, frames
from gossip.messages import Durable, Message

ENTRIES_MAX: Final = 1 << 18
MESSAGES_MAX: Final = 1 << 14
SMALL_BYTES_MAX: Final = 16


@contextlib.contextmanager
def remembered() -> Generator[None, None, None]:
    """While a large run lasts."""
    decoded_entry = lru_cache(ENTRIES_MAX)(entry.decode)
    decoded_message, encoded_message = lru_cache(MESSAGES_MAX)(frames.decode), lru_cache(MESSAGES_MAX)(frames.encode)
    decode_message, encode_message = frames.decode, frames.encode

    def decode(content: bytes) -> Message:
        return (decoded_message if len(content) <= SMALL_BYTES_MAX else decode_message)(content)

    def encode(message: Message) -> bytes:
        return (encoded_message if isinstance(message, Durable) else encode_message)(message)

    receipts: dict[int, tuple[object, Receipt]] = {}
    """By identity of the body, which is kept, too: entries are the same objects for all."""
    read = Receipt.from_body

    def from_body(_cls: type[Receipt], body: object) -> Receipt:
        if id(body) not in receipts:
            receipts[id(body)] = body, read(body)
        return receipts[id(body)][1]

    with (
        patch.object(Receipt, "from_body", classmethod(from_body)),
        patch("gossip.inbound.decode", decoded_entry),
        patch("gossip.log_reader.decode_held", decoded_entry),
        patch("gossip.held.decode_held", decoded_entry),
        patch("gossip.frames.decode", decode),
        patch("gossip.frames.encode", encode),
    ):
        yield
