"""Keys through libsodium: the one file that knows PyNaCl.

A replica has one Ed25519 key (RFC 8032). It signs entries and stands in the replica's certificate, so that the peer at the other
end of a TLS session and the author of an entry are the same.

What only one holder may read is sealed to that holder's X25519 key (RFC 7748; libsodium's sealed boxes), or under a passphrase
(argon2id, RFC 9106, then XSalsa20-Poly1305); what a passphrase costs to try stands beside what it seals.
"""

from __future__ import annotations

import hashlib
import struct
import unicodedata
from dataclasses import field
from typing import Final, NewType

import nacl.bindings
import nacl.exceptions

from merge_rules.dataclass import dataclass
from merge_rules.lattice import AUTHOR_BYTES, Author
from peers.errors import SealError

PublicKey = NewType("PublicKey", bytes)
"""An Ed25519 public key: 32 bytes."""

Signature = NewType("Signature", bytes)
"""An Ed25519 signature: 64 bytes."""

SealingPublic = NewType("SealingPublic", bytes)
"""The public half of an X25519 key: 32 bytes; whoever has it can seal, nobody but its holder can open."""

SIGNATURE_BYTES = 64
SEED_BYTES = 32
SEALING_BYTES: Final = 32
"""Of either half of an X25519 key."""
SEAL_BYTES: Final = 48
"""How much longer a box of ``seal`` is than what is in it."""


LOCK_BYTES: Final = 40
"""How much longer what ``lock`` returns is than what is in it."""
LOCK_KEY_BYTES: Final = 32


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
    return verify_signed(public, signature + message)


def verify_signed(public: PublicKey, signed: bytes) -> bool:
    """The same for a signature with its message behind it."""
    try:
        nacl.bindings.crypto_sign_open(signed, public)
    except (nacl.exceptions.BadSignatureError, ValueError):
        return False
    return True


def author_of(public: PublicKey, incarnation: str) -> Author:
    """The 8-byte id of a key's incarnation; head offices refuse to enrol a second author with the same id."""
    return Author(hashlib.sha256(public + incarnation.encode()).digest()[:AUTHOR_BYTES])


@dataclass(frozen=True, slots=True)
class SealingKey:
    """An X25519 key that opens what was sealed to its public half. Its ``repr`` never shows its secret."""

    secret: bytes = field(repr=False)
    """32 bytes."""
    public: SealingPublic = field(init=False)

    def __post_init__(self) -> None:
        if len(self.secret) != SEALING_BYTES:
            raise SealError("A sealing key has 32 bytes.")
        object.__setattr__(self, "public", SealingPublic(nacl.bindings.crypto_scalarmult_base(self.secret)))

    @classmethod
    def generate(cls) -> SealingKey:
        """A new key from the operating system's randomness."""
        return cls(nacl.bindings.randombytes(SEALING_BYTES))

    def open(self, box: bytes) -> bytes:
        """What ``seal`` put into ``box``. Raises ``SealError`` if it was sealed to another key, or is not whole."""
        try:
            return nacl.bindings.crypto_box_seal_open(box, self.public, self.secret)
        except (nacl.exceptions.CryptoError, ValueError, TypeError) as error:
            raise SealError("This was sealed to another key, or it was changed.") from error


def seal(public: bytes, plain: bytes) -> bytes:
    """``plain`` in a box that only the holder of the secret half of ``public`` can open; it does not say who sealed it.

    ``SEAL_BYTES`` longer than ``plain``, and another each time. Raises ``SealError`` for a key that is none.
    """
    try:
        return nacl.bindings.crypto_box_seal(plain, public)
    except (nacl.exceptions.CryptoError, ValueError, TypeError) as error:
        raise SealError("This is no key to seal to.") from error


def sealing_public(public: PublicKey) -> SealingPublic:
    """The X25519 key of whoever signs with ``public``, so that a replica's certificate is enough to seal to it.

    Raises ``SealError`` for a key that is none.
    """
    try:
        return SealingPublic(nacl.bindings.crypto_sign_ed25519_pk_to_curve25519(public))
    except (nacl.exceptions.CryptoError, ValueError, TypeError) as error:
        raise SealError("This is no key to seal to.") from error


def sealing_key(key: SecretKey) -> SealingKey:
    """The other half of ``sealing_public(key.public)``."""
    return SealingKey(nacl.bindings.crypto_sign_ed25519_sk_to_curve25519(key.seed + key.public))


def lock(key: bytes, plain: bytes, context: bytes) -> bytes:
    """``plain`` under a secret of 32 bytes (XChaCha20-Poly1305); it opens only where ``context`` is the same.

    ``nonce: 24 bytes ‖ box``; ``LOCK_BYTES`` longer than ``plain``, and another each time.
    """
    nonce = nacl.bindings.randombytes(_NONCE_BYTES)
    return nonce + nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, context, nonce, key)


def unlock(key: bytes, locked: bytes, context: bytes) -> bytes:
    """What ``lock`` put away. Raises ``SealError`` for another key or context, or what is not whole."""
    nonce, box = locked[:_NONCE_BYTES], locked[_NONCE_BYTES:]
    try:
        return nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(box, context, nonce, key)
    except (nacl.exceptions.CryptoError, ValueError, TypeError) as error:
        raise SealError("This was locked with another key, or it was changed.") from error


@dataclass(frozen=True, slots=True)
class PassphraseCost:
    """What one try of a passphrase costs: argon2id with one lane."""

    passes: int
    memory_bytes: int


MODERATE: Final = PassphraseCost(3, 256 * 1024 * 1024)
"""For a company's keys: about a second and 256 MiB a try."""
INTERACTIVE: Final = PassphraseCost(2, 64 * 1024 * 1024)
"""For what is opened at the counter: about a tenth of a second and 64 MiB a try."""
SENSITIVE: Final = PassphraseCost(4, 1024 * 1024 * 1024)
"""About four seconds and 1 GiB a try."""
COST_MAX: Final = PassphraseCost(16, 1024 * 1024 * 1024)
"""What a sealed thing that comes from elsewhere may ask of who opens it."""

_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 24
_PARAMETERS: Final = struct.Struct(f">BBII{_SALT_BYTES}s")
_ARGON2ID: Final = 1


def seal_with_passphrase(passphrase: str, plain: bytes, cost: PassphraseCost = MODERATE) -> bytes:
    """``plain`` for whoever knows ``passphrase``; the cost and the salt stand in front.

    ``byte 1 ‖ byte 1 ‖ passes: u32 ‖ memory in KiB: u32 ‖ salt: 16 bytes ‖ nonce: 24 bytes ‖ secretbox``.
    """
    salt, nonce = nacl.bindings.randombytes(_SALT_BYTES), nacl.bindings.randombytes(_NONCE_BYTES)
    box = nacl.bindings.crypto_secretbox(plain, nonce, _stretched(passphrase, salt, cost))
    return _PARAMETERS.pack(1, _ARGON2ID, cost.passes, cost.memory_bytes // 1024, salt) + nonce + box


def open_with_passphrase(passphrase: str, sealed: bytes, cost_max: PassphraseCost = COST_MAX) -> bytes:
    """What ``seal_with_passphrase`` sealed. Raises ``SealError`` for another passphrase, or what is not whole."""
    if len(sealed) < _PARAMETERS.size + _NONCE_BYTES:
        raise SealError("This was not sealed under a passphrase.")
    version, function, passes, memory_kib, salt = _PARAMETERS.unpack_from(sealed)
    cost = PassphraseCost(passes, memory_kib * 1024)
    if (version, function) != (1, _ARGON2ID):
        raise SealError("This was sealed by a way that is not known here.")
    if not (1 <= passes <= cost_max.passes and 8192 <= cost.memory_bytes <= cost_max.memory_bytes):
        raise SealError("What was sealed asks for more time or memory than is given.")
    nonce = sealed[_PARAMETERS.size :][:_NONCE_BYTES]
    try:
        return nacl.bindings.crypto_secretbox_open(
            sealed[_PARAMETERS.size + _NONCE_BYTES :], nonce, _stretched(passphrase, salt, cost)
        )
    except (nacl.exceptions.CryptoError, ValueError) as error:
        raise SealError("The passphrase is another, or what was sealed was changed.") from error


def _stretched(passphrase: str, salt: bytes, cost: PassphraseCost) -> bytes:
    return nacl.bindings.crypto_pwhash_alg(
        SEED_BYTES,
        unicodedata.normalize("NFKC", passphrase).encode(),  # the same from any keyboard
        salt,
        cost.passes,
        cost.memory_bytes,
        nacl.bindings.crypto_pwhash_ALG_ARGON2ID13,
    )
