"""Certificates: X.509 (RFC 5280) with Ed25519 keys (RFC 8410); the one file that knows ``cryptography``.

    root (the company)  →  office (issues, path length 0)  →  till, manager or relay

The key in a replica's certificate is the key that signs its entries, so the peer at the other end of a TLS session and the
author of an entry are the same. Who a certificate speaks of stands in one subject alternative name:

    crdt-pos://<company: 32 hex digits>/<role>/<name>/<incarnation>?heir=<author: 16 hex digits>

and in the root's the public half of the company's recovery key, so that every replica knows to whom it seals and no office can
change it:

    crdt-pos://<company: 32 hex digits>/recovery/<X25519 public key: 64 hex digits>

Certificates do not expire by clock: a till that was off for 14 months, or whose clock battery is dead, must heal. They say
2000 to 9999 (RFC 5280 §4.1.2.5: no well-defined end), TLS does not look, and whether a replica still takes part is the
roster's to say.

Subject key identifiers are the first 20 bytes of SHA-256 over the public key (RFC 7093), so a root's begins with the
company's id.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import os
import re
import ssl
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final, NewType, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers import incarnation as incarnations
from peers.errors import CertificateError, CertificateFault, KeyFileError
from peers.keys import SEALING_BYTES, PublicKey, SealingPublic, SecretKey, author_of
from peers.permissions import IN_STORE, Role

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

Company = NewType("Company", bytes)
"""The first 16 bytes of SHA-256 over the root's public key."""

COMPANY_BYTES: Final = 16
CERTIFICATE_BYTES_MAX: Final = 4096
COMPANY_NAME_MAX: Final = 64
"""RFC 5280's bound of an organization name, in characters."""
CERTIFICATES_REMEMBERED: Final = 4096
"""How many are not taken apart, and how many chains not proven, again."""

_NOT_BEFORE: Final = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_NOT_AFTER: Final = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL; the ``ssl`` module has no name for it."""
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What ``cryptography`` raises for certificates that are not well-formed."""
_BOTH_WAYS: Final = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH})
_URI: Final = re.compile(
    r"crdt-pos://(?P<company>[0-9a-f]{32})/(?P<role>office|till|relay|manager)/(?P<name>[a-z0-9-]{1,40})/"
    r"(?P<life>[a-z0-9]{2,12})"
    r"\?heir=(?P<heir>[0-9a-f]{16})"
)
_ROOT_URI: Final = re.compile(r"crdt-pos://(?P<company>[0-9a-f]{32})/recovery/(?P<recovery>[0-9a-f]{64})")
_TILL_NAME: Final = re.compile(r"([1-9][0-9]{0,8})-([1-9][0-9]{0,8})")
_MANAGER_NAME: Final = re.compile(r"([1-9][0-9]{0,8})-m[1-9][0-9]{0,8}")
_RELAY_NAME: Final = re.compile(r"relay-[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Root:
    """A company's root certificate."""

    company: Company
    name: str
    """The company's name as people know it."""
    public_key: PublicKey
    recovery_key: SealingPublic
    """To what the company's journals are sealed before they leave their store; only the recovery key opens them."""
    der: bytes


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the certificate of an office, till or relay says. Parsed, and proven only if ``verify_chain`` returned it."""

    company: Company
    role: Role
    name: str
    """``12-3`` (store and till), ``12-m1`` (a store's manager), ``office-a``, ``relay-1``."""
    store: int | None
    till: int | None
    incarnation: str
    public_key: PublicKey
    author: Author
    heir: Author
    """Who receives the rights that this replica hands over with its final entry; its issuing office unless said otherwise."""
    issuer_name: str
    """The issuing office's name, or the company's for an office."""
    issuer_key_id: bytes
    """The authority key identifier, 20 bytes."""
    der: bytes

    @property
    def letter(self) -> str:
        """The letter of the office that counted the incarnation; of an office, its own."""
        return incarnations.split(self.incarnation)[0]

    @property
    def key_id(self) -> bytes:
        """The subject key identifier, 20 bytes."""
        return _key_id(self.public_key)


@dataclass(frozen=True, slots=True)
class TlsContexts:
    """What a replica needs to talk: a context for each end of a session, and the company that the peer must belong to."""

    company: Company
    server: ssl.SSLContext
    client: ssl.SSLContext


def company_of(root_key: PublicKey) -> Company:
    """The id of the company whose root has this key."""
    return Company(hashlib.sha256(root_key).digest()[:COMPANY_BYTES])


def office_name(letter: str) -> str:
    """The name of the office that has ``letter``."""
    return f"office-{letter}"


def till_name(store: int, till: int) -> str:
    """The name of a till."""
    return f"{store}-{till}"


def manager_name(store: int, number: int) -> str:
    """The name of a manager's replica."""
    return f"{store}-m{number}"


def create_root(key: SecretKey, company_name: str, recovery_public: bytes) -> Root:
    """A company's self-signed root, which names its recovery key.

    Raises ``ValueError`` for a name that is empty, not printable or too long.
    """
    assert len(recovery_public) == SEALING_BYTES
    if not company_name.strip() or not company_name.isprintable() or len(company_name) > COMPANY_NAME_MAX:
        raise ValueError(f"a company's name has 1 to {COMPANY_NAME_MAX} printable characters")
    subject = _distinguished(company_name, "root")
    builder = _builder(subject, key.public, b"root", subject, key.public)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    builder = builder.add_extension(_usage(signs=False, issues=True), critical=True)
    uri = f"crdt-pos://{company_of(key.public).hex()}/recovery/{recovery_public.hex()}"
    return parse_root(_signed(_named(builder, uri), key))


def issue_office(root: Root, root_key: SecretKey, office_key: PublicKey, letter: str) -> Certificate:
    """The certificate of head office ``letter``, which may issue those of replicas. Its heir is itself."""
    incarnation = incarnations.office_incarnation(letter)
    heir = author_of(office_key, incarnation)
    uri = _uri(root.company, Role.OFFICE, office_name(letter), incarnation, heir)
    builder = _builder(
        _distinguished(root.name, office_name(letter)),
        office_key,
        incarnation.encode(),
        _distinguished(root.name, "root"),
        root_key.public,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return parse(_signed(_for_sessions(builder, uri, issues=True), root_key))


def issue_till(
    root: Root,
    office: Certificate,
    office_key: SecretKey,
    till_key: PublicKey,
    store: int,
    till: int,
    incarnation: str,
    heir: Author | None = None,
) -> Certificate:
    """The certificate of a till. ``heir`` is the issuing office unless given.

    Raises ``CertificateError`` if ``incarnation`` was not counted by ``office``, ``ValueError`` if it is none.
    """
    return _issue_replica(root, office, office_key, till_key, Role.TILL, till_name(store, till), incarnation, heir)


def issue_manager(
    root: Root,
    office: Certificate,
    office_key: SecretKey,
    manager_key: PublicKey,
    store: int,
    number: int,
    incarnation: str,
) -> Certificate:
    """The certificate of a store's manager; raises as ``issue_till`` does."""
    name = manager_name(store, number)
    return _issue_replica(root, office, office_key, manager_key, Role.MANAGER, name, incarnation, None)


def issue_relay(
    root: Root, office: Certificate, office_key: SecretKey, relay_key: PublicKey, number: int, incarnation: str
) -> Certificate:
    """The certificate of relay ``number``; raises as ``issue_till`` does."""
    return _issue_replica(root, office, office_key, relay_key, Role.RELAY, f"relay-{number}", incarnation, None)


def _issue_replica(
    root: Root,
    office: Certificate,
    office_key: SecretKey,
    replica_key: PublicKey,
    role: Role,
    name: str,
    incarnation: str,
    heir: Author | None,
) -> Certificate:
    if incarnations.split(incarnation)[0] != office.letter:
        raise CertificateError(CertificateFault.INCARNATION, f"{incarnation} at {office.name}")
    builder = _builder(
        _distinguished(root.name, name),
        replica_key,
        incarnation.encode(),
        _distinguished(root.name, office.name),
        office_key.public,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    uri = _uri(root.company, role, name, incarnation, office.author if heir is None else heir)
    return parse(_signed(_for_sessions(builder, uri, issues=False), office_key))


def parse_root(der: bytes) -> Root:
    """The root that ``der`` encodes; proves that it signed itself. Raises ``CertificateError``."""
    with _reading():
        certificate = _load(der)
        if not _extension(certificate, x509.BasicConstraints).ca:
            raise CertificateError(CertificateFault.ROLE, "a root must be able to issue")
        _check_signature(certificate, certificate)
        public = _public_key(certificate)
        company, match = company_of(public), _ROOT_URI.fullmatch(_uri_of(certificate))
        if match is None or match["company"] != company.hex():
            raise CertificateError(CertificateFault.MALFORMED, "it does not name its company's recovery key")
        name = _name(certificate.subject, NameOID.ORGANIZATION_NAME)
        return Root(company, name, public, SealingPublic(bytes.fromhex(match["recovery"])), der)


@functools.lru_cache(maxsize=CERTIFICATES_REMEMBERED)
def parse(der: bytes) -> Certificate:
    """What the certificate of an office, till or relay says of itself; checks its form, not who signed it.

    Raises ``CertificateError``.
    """
    with _reading():
        found = _parsed(der)
    _check_issuer(found)
    return found


def _parsed(der: bytes) -> Certificate:
    certificate = _load(der)
    match = _URI.fullmatch(_uri_of(certificate))
    if match is None:
        raise CertificateError(CertificateFault.MALFORMED, "it does not name one replica")
    role = Role(match["role"])
    public = _public_key(certificate)
    store, till = _checked_name(role, match["name"], match["life"])
    _check_form(certificate, role, match["name"])
    issuer_key_id = _extension(certificate, x509.AuthorityKeyIdentifier).key_identifier
    if issuer_key_id is None or _extension(certificate, x509.SubjectKeyIdentifier).digest != _key_id(public):
        raise CertificateError(CertificateFault.MALFORMED, "its key identifiers are missing or wrong")
    return Certificate(
        company=Company(bytes.fromhex(match["company"])),
        role=role,
        name=match["name"],
        store=store,
        till=till,
        incarnation=match["life"],
        public_key=public,
        author=author_of(public, match["life"]),
        heir=Author(bytes.fromhex(match["heir"])),
        issuer_name=_name(certificate.issuer, NameOID.COMMON_NAME),
        issuer_key_id=issuer_key_id,
        der=der,
    )


def _check_issuer(found: Certificate) -> None:
    if found.issuer_key_id == found.key_id:
        raise CertificateError(CertificateFault.SELF_SIGNED)
    by_root = found.issuer_key_id[:COMPANY_BYTES] == found.company
    if by_root is not (found.role is Role.OFFICE):
        # An office that names another office as its issuer would pass OpenSSL: path length 0 does not count the last one.
        raise CertificateError(CertificateFault.ISSUER, f"{found.name} by {found.issuer_name}")
    if found.role is not Role.OFFICE and found.issuer_name != office_name(found.letter):
        raise CertificateError(CertificateFault.INCARNATION, f"{found.incarnation} by {found.issuer_name}")


def verify_chain(chain: Sequence[bytes], root: Root) -> Certificate:
    """The certificate that ``chain[0]`` encodes, proven up to ``root``.

    ``chain`` is [office] or [replica, its office], in DER, the root left out. Raises ``CertificateError``; its ``fault``
    tells another company's from one that is broken.
    """
    return _proven(tuple(chain), root)


@functools.lru_cache(maxsize=CERTIFICATES_REMEMBERED)
def _proven(chain: tuple[bytes, ...], root: Root) -> Certificate:
    # What is proven stays so, and the roster is read again whenever it grows.
    if not 1 <= len(chain) <= 2:
        raise CertificateError(CertificateFault.PATH_LENGTH, f"{len(chain)} certificates")
    parsed = [_of_company(der, root) for der in chain]
    leaf, issuer = parsed[0], parsed[-1]
    if issuer.role is not Role.OFFICE:
        fault = CertificateFault.PATH_LENGTH if len(chain) == 1 else CertificateFault.ISSUER
        raise CertificateError(fault, f"{issuer.name} is not an office")
    if len(parsed) == 1:
        _check_signature(_load(issuer.der), _load(root.der))
        return leaf
    _proven(chain[1:], root)  # once for all that it has issued
    if leaf.role is Role.OFFICE:
        raise CertificateError(CertificateFault.PATH_LENGTH, "an office below an office")
    _check_signature(_load(leaf.der), _load(issuer.der))
    return leaf


def _of_company(der: bytes, root: Root) -> Certificate:
    found = parse(der)
    if found.company != root.company:
        raise CertificateError(CertificateFault.OTHER_COMPANY)
    return found


def save_key(path: Path, key: SecretKey) -> None:
    """Write a key as PKCS #8 in PEM, readable by its owner only. Raises ``KeyFileError``, also if the file is there."""
    private = Ed25519PrivateKey.from_private_bytes(key.seed)
    _write_new(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)


def load_key(path: Path) -> SecretKey:
    """The key of a PEM file. Raises ``KeyFileError``, also if others than its owner may read it."""
    content = _read(path)
    if path.stat().st_mode & 0o077:
        raise KeyFileError(f"{path} can be read by others: run chmod 600 {path}")
    try:
        private = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} does not hold a key: put the replica's key.pem back, or enrol it again") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds a key of another kind than Ed25519")
    return SecretKey(private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))


def save_certificates(path: Path, chain: Sequence[bytes]) -> None:
    """Write certificates as PEM, in the order given. Raises ``KeyFileError``, also if the file is there."""
    loaded = (x509.load_der_x509_certificate(der) for der in chain)
    _write_new(path, b"".join(certificate.public_bytes(Encoding.PEM) for certificate in loaded), 0o644)


def load_certificates(path: Path) -> list[bytes]:
    """The certificates of a PEM file in DER, in its order. Raises ``KeyFileError``."""
    try:
        return [certificate.public_bytes(Encoding.DER) for certificate in x509.load_pem_x509_certificates(_read(path))]
    except ValueError as error:
        raise KeyFileError(f"{path} does not hold a certificate") from error


def tls_contexts(company: Company, key_file: Path, chain_file: Path, root_file: Path) -> TlsContexts:
    """TLS 1.3 with certificates both ways, from the files of a replica's folder.

    No host names (replicas are compared), no look at the clock, no session tickets. Raises ``KeyFileError``.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.num_tickets = 0
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    for context in (server, client):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags = ssl.VerifyFlags(context.verify_flags | ssl.VERIFY_X509_STRICT | _NO_CHECK_TIME)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
        # Python before 3.11.3 sets this: a connection that was cut would pass for one that said goodbye.
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        try:
            context.load_cert_chain(chain_file, key_file)
            context.load_verify_locations(root_file)
        except (OSError, ssl.SSLError) as error:
            raise KeyFileError(f"{chain_file}, {key_file.name} and {root_file.name} do not fit together") from error
    return TlsContexts(company, server, client)


def peer_certificate(shown: bytes | None, company: Company) -> Certificate:
    """Who is at the other end of a finished handshake, from ``getpeercert(binary_form=True)``.

    OpenSSL has proven the signatures up to the root; this proves what it does not know: the company, the place in the
    chain, the incarnation. Raises ``CertificateError``.
    """
    if shown is None:
        raise CertificateError(CertificateFault.MALFORMED, "the peer showed none")
    found = parse(shown)
    if found.company != company:
        raise CertificateError(CertificateFault.OTHER_COMPANY)
    return found


def _key_id(public: PublicKey) -> bytes:
    return hashlib.sha256(public).digest()[:20]


def _uri(company: Company, role: Role, name: str, incarnation: str, heir: Author) -> str:
    return f"crdt-pos://{company.hex()}/{role}/{name}/{incarnation}?heir={heir.hex()}"


def _distinguished(company_name: str, name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, company_name),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _builder(
    subject: x509.Name, public: PublicKey, life: bytes, issuer: x509.Name, issuer_key: PublicKey
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer)
    builder = builder.public_key(Ed25519PublicKey.from_public_bytes(public))
    # Positive and at most 20 bytes (RFC 5280 §4.1.2.2); one key and life never need two certificates of one issuer.
    builder = builder.serial_number(int.from_bytes(hashlib.sha256(public + life).digest()[:16], "big") >> 1 | 1)
    builder = builder.not_valid_before(_NOT_BEFORE).not_valid_after(_NOT_AFTER)
    builder = builder.add_extension(x509.SubjectKeyIdentifier(_key_id(public)), critical=False)
    return builder.add_extension(x509.AuthorityKeyIdentifier(_key_id(issuer_key), None, None), critical=False)


def _for_sessions(builder: x509.CertificateBuilder, uri: str, *, issues: bool) -> x509.CertificateBuilder:
    builder = builder.add_extension(_usage(signs=True, issues=issues), critical=True)
    both_ways = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    return _named(builder.add_extension(both_ways, critical=False), uri)


def _named(builder: x509.CertificateBuilder, uri: str) -> x509.CertificateBuilder:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    return builder.add_extension(names, critical=False)


def _usage(*, signs: bool, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issues,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(builder: x509.CertificateBuilder, key: SecretKey) -> bytes:
    # Ed25519 hashes by itself: the algorithm is None (RFC 8410).
    return builder.sign(Ed25519PrivateKey.from_private_bytes(key.seed), None).public_bytes(Encoding.DER)


def _load(der: bytes) -> x509.Certificate:
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise CertificateError(CertificateFault.MALFORMED, f"longer than {CERTIFICATE_BYTES_MAX} bytes")
    return x509.load_der_x509_certificate(der)


@contextlib.contextmanager
def _reading() -> Generator[None]:
    # Fields are only parsed when they are first asked for, so any of them may turn out broken.
    try:
        yield
    except _UNREADABLE as error:
        raise CertificateError(CertificateFault.MALFORMED) from error


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound as error:
        raise CertificateError(CertificateFault.MALFORMED, f"no {kind.__name__}") from error


def _uri_of(certificate: x509.Certificate) -> str:
    uris = _extension(certificate, x509.SubjectAlternativeName).get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0] if len(uris) == 1 else ""


def _public_key(certificate: x509.Certificate) -> PublicKey:
    public = certificate.public_key()
    if not isinstance(public, Ed25519PublicKey):
        raise CertificateError(CertificateFault.MALFORMED, "a key of another kind than Ed25519")
    return PublicKey(public.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _name(name: x509.Name, attribute: x509.ObjectIdentifier) -> str:
    values = name.get_attributes_for_oid(attribute)
    if len(values) != 1 or not isinstance(values[0].value, str):
        raise CertificateError(CertificateFault.MALFORMED, "a name that is missing or given twice")
    return values[0].value


def _checked_name(role: Role, name: str, incarnation: str) -> tuple[int | None, int | None]:
    try:
        letter, number = incarnations.split(incarnation)
    except ValueError as error:
        raise CertificateError(CertificateFault.MALFORMED, str(error)) from error
    if (number == 0) is not (role is Role.OFFICE):
        raise CertificateError(CertificateFault.INCARNATION, f"{incarnation} of a {role}")
    if role is Role.TILL and (match := _TILL_NAME.fullmatch(name)):
        return int(match[1]), int(match[2])
    if role is Role.MANAGER and (match := _MANAGER_NAME.fullmatch(name)):
        return int(match[1]), None
    fits = name == office_name(letter) if role is Role.OFFICE else _RELAY_NAME.fullmatch(name) is not None
    if role in IN_STORE or not fits:
        raise CertificateError(CertificateFault.ROLE, f"a {role} named {name}")
    return None, None


def _check_form(certificate: x509.Certificate, role: Role, name: str) -> None:
    if _name(certificate.subject, NameOID.COMMON_NAME) != name:
        raise CertificateError(CertificateFault.MALFORMED, "its subject is not the replica it names")
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    is_office = role is Role.OFFICE
    if constraints.ca is not is_office or usage.key_cert_sign is not is_office:
        raise CertificateError(CertificateFault.ROLE, f"a {role} that may {'' if constraints.ca else 'not '}issue")
    if is_office and constraints.path_length != 0:
        raise CertificateError(CertificateFault.PATH_LENGTH, "an office whose replicas might issue")
    if not usage.digital_signature or not _BOTH_WAYS.issubset(_extension(certificate, x509.ExtendedKeyUsage)):
        raise CertificateError(CertificateFault.USAGE)


def _check_signature(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise CertificateError(CertificateFault.SIGNATURE) from error


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written: {error.strerror}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from error
