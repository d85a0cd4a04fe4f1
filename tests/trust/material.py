"""A company's keys and certificates for tests, and the files that TLS reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peers import certificates
from peers.certificates import Certificate, Root, TlsContexts
from peers.keys import SealingKey, SecretKey


def recovery_key(number: int) -> SealingKey:
    """The same key for the same number."""
    return SealingKey(bytes([number]) * 32)


def key(number: int) -> SecretKey:
    """The same key for the same number."""
    return SecretKey(bytes([number]) * 32)


@dataclass(frozen=True)
class Company:
    """Root (key 1), office a (key 2) and till 12-3 (key 3), each shifted by ``shift``."""

    root: Root
    office: Certificate
    till: Certificate
    shift: int

    @property
    def root_key(self) -> SecretKey:
        return key(self.shift + 1)

    @property
    def office_key(self) -> SecretKey:
        return key(self.shift + 2)

    @property
    def till_key(self) -> SecretKey:
        return key(self.shift + 3)


def company(shift: int = 0) -> Company:
    root = certificates.create_root(key(shift + 1), "Seed & Söhne", recovery_key(shift + 1).public)
    office = certificates.issue_office(root, key(shift + 1), key(shift + 2).public, "a")
    till = certificates.issue_till(root, office, key(shift + 2), key(shift + 3).public, 12, 3, "a1")
    return Company(root, office, till, shift)


def contexts(folder: Path, root: Root, secret: SecretKey, chain: list[bytes]) -> TlsContexts:
    folder.mkdir()
    certificates.save_key(folder / "key.pem", secret)
    certificates.save_certificates(folder / "certificate.pem", chain)
    certificates.save_certificates(folder / "root.pem", [root.der])
    return certificates.tls_contexts(root.company, folder / "key.pem", folder / "certificate.pem", folder / "root.pem")
