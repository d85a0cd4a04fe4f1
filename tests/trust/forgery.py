"""Certificates that an attacker who holds one of a company's keys could make."""

from __future__ import annotations

import datetime
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from peers.keys import PublicKey, SecretKey
from tests.trust.material import Company

BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


def forge(
    original: bytes,
    issuer: bytes,
    signer: SecretKey,
    *,
    public: PublicKey | None = None,
    uri: str | None = None,
    name: str | None = None,
    ca: tuple[bool, int | None] | None = None,
    usages: tuple[x509.ObjectIdentifier, ...] | None = None,
    not_after: datetime.datetime | None = None,
) -> bytes:
    """``original`` with some of its fields changed, signed by ``signer`` in the name of ``issuer``."""
    was, by = x509.load_der_x509_certificate(original), x509.load_der_x509_certificate(issuer)
    subject = was.subject
    if name is not None:
        company = was.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0]
        subject = x509.Name([company, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(by.subject, subject, serial_number=4711)
    builder = builder.public_key(was.public_key() if public is None else Ed25519PublicKey.from_public_bytes(public))  # type: ignore[arg-type]
    builder = builder.not_valid_before(was.not_valid_before_utc).not_valid_after(not_after or was.not_valid_after_utc)
    for extension in was.extensions:
        value: x509.ExtensionType = extension.value
        if isinstance(value, x509.SubjectAlternativeName) and uri is not None:
            value = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        elif isinstance(value, x509.BasicConstraints) and ca is not None:
            value = x509.BasicConstraints(*ca)
        elif isinstance(value, x509.KeyUsage) and ca is not None:
            value = x509.KeyUsage(*(True, *4 * [False], ca[0], *3 * [False]))
        elif isinstance(value, x509.ExtendedKeyUsage) and usages is not None:
            value = x509.ExtendedKeyUsage(usages)
        elif isinstance(value, x509.SubjectKeyIdentifier) and public is not None:
            value = x509.SubjectKeyIdentifier(hashlib.sha256(public).digest()[:20])
        elif isinstance(value, x509.AuthorityKeyIdentifier):
            identifier = by.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
            value = x509.AuthorityKeyIdentifier(identifier, None, None)
        builder = builder.add_extension(value, critical=extension.critical)
    return builder.sign(Ed25519PrivateKey.from_private_bytes(signer.seed), None).public_bytes(Encoding.DER)


def uri_of(der: bytes) -> str:
    """The subject alternative name of a certificate."""
    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return names.value.get_values_for_type(x509.UniformResourceIdentifier)[0]


def office_by_office(company: Company, secret: SecretKey) -> bytes:
    """A second head office "office-b" that office a, not the root, has signed."""
    uri = uri_of(company.office.der).replace("/office-a/a0", "/office-b/b0")
    return forge(
        company.office.der, company.office.der, company.office_key, public=secret.public, uri=uri, name="office-b"
    )
