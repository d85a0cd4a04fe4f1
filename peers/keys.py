"""Ed25519 keys (RFC 8032) through libsodium: the one file that knows PyNaCl.

A replica has one key. It signs entries and stands in the replica's certificate, so that the peer at the other end of a TLS
session and the author of an entry are the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NewType

import nacl.bindings
import nacl.exceptions

from merge_rules.lattice import AUTHOR_BYTES, Author

PublicKey = NewType("PublicKey", bytes)
"""An Ed25519 public key: 32 bytes."""

Signature = NewType("Signature", bytes)
"""An Ed25519 signature: 64 bytes."""

SIGNATURE_BYTES = 64
SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class SecretKey:
    """An Ed25519 secret key, made from its 32-byte seed. Its ``repr`` never shows it."""

    seed: bytes = field(repr=False)
    public: PublicKey = field(init=False)
    _expanded: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        public, expanded = nacl.bindings.crypto_sign_seed_keypair(self.seed)
        object.__setattr__(self, "public", PublicKey(public))
        object.__setattr__(self, "_expanded", expanded)

    @classmethod
    def generate(cls) -> SecretKey:
        """A new key from the operating system's randomness."""
        return cls(nacl.bindings.randombytes(SEED_BYTES))

    def sign(self, message: bytes) -> Signature:
        """The deterministic signature over ``message``."""
        return Signature(nacl.bindings.crypto_sign(message, self._expanded)[:SIGNATURE_BYTES])


def verify(public: PublicKey, message: bytes, signature: Signature) -> bool:
    """Whether ``signature`` over ``message`` is by ``public``. libsodium lets go of the GIL while it computes."""
    try:
        nacl.bindings.crypto_sign_open(signature + message, public)
    except (nacl.exceptions.BadSignatureError, ValueError):
        return False
    return True


def author_of(public: PublicKey, incarnation: str) -> Author:
    """The 8-byte id of a key's incarnation; head offices refuse to enrol a second author with the same id."""
    return Author(hashlib.sha256(public + incarnation.encode()).digest()[:AUTHOR_BYTES])
