"""A company's two keys, which no replica keeps: the root key, which makes head offices, and the recovery key, which opens what
the stores have sealed.

They are printed (``crdt_pos.kit``), and sealed copies stand in the roster, so that any replica that is left and a passphrase are
enough. An old passphrase opens old copies for ever: entries are not taken back, and the root key cannot be changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import Final

from crdt_pos.errors import KeysRefused
from merge_rules.dataclass import dataclass
from peers import certificates
from peers.certificates import Root
from peers.errors import SealError
from peers.keys import MODERATE, PassphraseCost, SealingKey, SecretKey, open_with_passphrase, seal_with_passphrase
from peers.roster import SealedKey

ROOT: Final = "root"
RECOVERY: Final = "recovery"
PASSPHRASE_LEAST: Final = 12
"""Characters. Every replica holds the sealed copies, so a thief of one can try passphrases as long as he likes."""


@dataclass(frozen=True, slots=True)
class CompanyKeys:
    """Both keys. Their ``repr`` never shows them."""

    root: SecretKey = field(repr=False)
    recovery: SealingKey = field(repr=False)

    @classmethod
    def generate(cls) -> CompanyKeys:
        """A new company's."""
        return cls(SecretKey.generate(), SealingKey.generate())

    def certify(self, name: str) -> Root:
        """The company's root certificate; the same whenever it is made. Raises ``ValueError`` for a name that cannot be."""
        return certificates.create_root(self.root, name, self.recovery.public)

    def sealed(self, passphrase: str, cost: PassphraseCost = MODERATE) -> tuple[SealedKey, ...]:
        """Copies for the roster. Raises ``KeysRefused`` for a passphrase that is too short."""
        if len(passphrase) < PASSPHRASE_LEAST:
            raise KeysRefused(
                f"A passphrase of fewer than {PASSPHRASE_LEAST} characters is guessed: take a longer one."
            )
        secrets = {ROOT: self.root.seed, RECOVERY: self.recovery.secret}
        return tuple(
            SealedKey(purpose, b"", seal_with_passphrase(passphrase, secret, cost))
            for purpose, secret in secrets.items()
        )


def root_key_of(secret: bytes, root: Root) -> SecretKey | None:
    """The company's root key, if ``secret`` is its seed."""
    key = SecretKey(secret)
    return key if key.public == root.public_key else None


def recovery_key_of(secret: bytes, root: Root) -> SealingKey | None:
    """The company's recovery key, if ``secret`` is its secret half."""
    key = SealingKey(secret)
    return key if key.public == root.recovery_key else None


def unsealed(purpose: str, sealed: Iterable[SealedKey], passphrase: str) -> bytes:
    """The secret of the newest copy for ``purpose`` that ``passphrase`` opens. Raises ``KeysRefused``."""
    copies = [one for one in sealed if one.purpose == purpose and not one.holder]
    if not copies:
        raise KeysRefused(f"No sealed copy of the {purpose} key is here: use the printed kit.")
    for one in copies:
        try:
            return open_with_passphrase(passphrase, one.sealed)
        except SealError:
            continue
    raise KeysRefused(f"This passphrase does not open the {purpose} key of the roster.")
