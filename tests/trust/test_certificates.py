"""Certificates: what they say, and every reason to refuse one."""

from __future__ import annotations

import datetime
import hashlib
import ssl
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from peers import certificates, incarnation
from peers.certificates import Certificate
from peers.errors import CertificateError, CertificateFault, KeyFileError
from peers.keys import PublicKey, author_of
from peers.permissions import Role
from tests.trust.forgery import forge, office_by_office, uri_of
from tests.trust.material import Company, company, contexts, key, recovery_key

OURS = company()
THEIRS = company(100)


def fault_of(chain: list[bytes], c: Company = OURS) -> CertificateFault:
    with pytest.raises(CertificateError) as refused:
        certificates.verify_chain(chain, c.root)
    return refused.value.fault


def test_a_till_is_proven_up_to_the_root_and_is_who_signs_its_entries() -> None:
    till = certificates.verify_chain([OURS.till.der, OURS.office.der], OURS.root)
    assert till == OURS.till
    assert (till.role, till.store, till.till, till.name, till.incarnation) == (Role.TILL, 12, 3, "12-3", "a1")
    assert till.author == author_of(OURS.till_key.public, "a1")
    assert till.company == hashlib.sha256(OURS.root_key.public).digest()[:16]
    assert till.heir == OURS.office.author


def test_an_office_is_proven_alone() -> None:
    office = certificates.verify_chain([OURS.office.der], OURS.root)
    assert (office.role, office.name, office.incarnation, office.letter) == (Role.OFFICE, "office-a", "a0", "a")
    assert (office.store, office.till) == (None, None)


def test_a_relay_is_proven_and_belongs_to_no_store() -> None:
    relay = certificates.issue_relay(OURS.root, OURS.office, OURS.office_key, key(9).public, 1, "a1")
    proven = certificates.verify_chain([relay.der, OURS.office.der], OURS.root)
    assert (proven.role, proven.name, proven.store) == (Role.RELAY, "relay-1", None)


def test_openssl_agrees_with_the_chain(tmp_path: Path) -> None:
    for name, der in (("root", OURS.root.der), ("office", OURS.office.der), ("till", OURS.till.der)):
        certificates.save_certificates(tmp_path / name, [der])
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "root", "-untrusted", "office"]
    said = subprocess.run([*command, "till"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.stdout == "till: OK\n", said.stderr


def test_certificates_outlive_every_clock() -> None:
    for der in (OURS.root.der, OURS.office.der, OURS.till.der):
        loaded = x509.load_der_x509_certificate(der)
        assert loaded.not_valid_before_utc.year == 2000
        assert loaded.not_valid_after_utc == datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)


def test_another_companys_till_is_refused_as_such() -> None:
    assert fault_of([THEIRS.till.der, THEIRS.office.der]) is CertificateFault.OTHER_COMPANY


def test_a_till_that_claims_our_company_under_anothers_office_is_refused() -> None:
    ours = OURS.root.company.hex()
    uri = uri_of(THEIRS.till.der).replace(THEIRS.root.company.hex(), ours)
    forged = forge(THEIRS.till.der, THEIRS.office.der, THEIRS.office_key, uri=uri)
    assert fault_of([forged, THEIRS.office.der]) is CertificateFault.OTHER_COMPANY
    assert fault_of([forged, OURS.office.der]) is CertificateFault.SIGNATURE


def test_an_office_that_the_root_has_not_signed_is_refused() -> None:
    forged = forge(OURS.office.der, OURS.root.der, key(66), public=key(67).public)
    assert fault_of([forged]) is CertificateFault.SIGNATURE


def test_an_office_cannot_issue_in_anothers_name() -> None:
    office_b = certificates.issue_office(OURS.root, OURS.root_key, key(70).public, "b")
    forged = forge(OURS.till.der, OURS.office.der, key(70))
    assert fault_of([forged, office_b.der]) is CertificateFault.SIGNATURE
    assert fault_of([forged, OURS.office.der]) is CertificateFault.SIGNATURE


def test_a_self_signed_till_is_refused() -> None:
    forged = forge(OURS.till.der, OURS.till.der, OURS.till_key)
    assert fault_of([forged, OURS.office.der]) is CertificateFault.SELF_SIGNED


def test_a_till_may_not_issue_certificates() -> None:
    forged = forge(OURS.till.der, OURS.till.der, OURS.till_key, public=key(50).public)
    with pytest.raises(CertificateError) as refused:
        certificates.parse(forged)
    assert refused.value.fault is CertificateFault.INCARNATION
    assert fault_of([OURS.till.der, OURS.till.der]) is CertificateFault.ISSUER


def test_an_office_may_not_make_an_office() -> None:
    assert fault_of([office_by_office(OURS, key(66)), OURS.office.der]) is CertificateFault.ISSUER


def test_a_chain_through_two_offices_is_refused() -> None:
    assert fault_of([OURS.till.der, OURS.office.der, OURS.office.der]) is CertificateFault.PATH_LENGTH


def test_a_till_without_its_office_proves_nothing() -> None:
    assert fault_of([OURS.till.der]) is CertificateFault.PATH_LENGTH


def test_an_empty_chain_proves_nothing() -> None:
    assert fault_of([]) is CertificateFault.PATH_LENGTH


def test_an_office_whose_replicas_might_issue_is_refused() -> None:
    forged = forge(OURS.office.der, OURS.root.der, OURS.root_key, ca=(True, 1))
    assert fault_of([forged]) is CertificateFault.PATH_LENGTH


def test_a_till_that_may_issue_is_refused() -> None:
    forged = forge(OURS.till.der, OURS.office.der, OURS.office_key, ca=(True, 0))
    assert fault_of([forged, OURS.office.der]) is CertificateFault.ROLE


def test_a_certificate_for_one_direction_only_is_refused() -> None:
    forged = forge(OURS.till.der, OURS.office.der, OURS.office_key, usages=(ExtendedKeyUsageOID.SERVER_AUTH,))
    assert fault_of([forged, OURS.office.der]) is CertificateFault.USAGE


def test_a_life_that_another_office_counts_is_refused() -> None:
    uri = uri_of(OURS.till.der).replace("/a1?", "/b1?")
    forged = forge(OURS.till.der, OURS.office.der, OURS.office_key, uri=uri)
    assert fault_of([forged, OURS.office.der]) is CertificateFault.INCARNATION
    with pytest.raises(CertificateError, match="b1 at office-a"):
        certificates.issue_till(OURS.root, OURS.office, OURS.office_key, OURS.till_key.public, 12, 3, "b1")


def test_a_till_under_an_offices_name_is_refused() -> None:
    uri = uri_of(OURS.till.der).replace("/till/12-3/a1", "/till/office-a/a1")
    forged = forge(OURS.till.der, OURS.office.der, OURS.office_key, uri=uri, name="office-a")
    assert fault_of([forged, OURS.office.der]) is CertificateFault.ROLE


def test_a_subject_that_is_not_the_replica_is_refused() -> None:
    forged = forge(OURS.till.der, OURS.office.der, OURS.office_key, name="12-4")
    assert fault_of([forged, OURS.office.der]) is CertificateFault.MALFORMED


@given(st.integers(0, len(OURS.till.der) - 1), st.integers(1, 255))
def test_a_certificate_with_any_byte_changed_is_refused(at: int, change: int) -> None:
    changed = bytearray(OURS.till.der)
    changed[at] ^= change
    with pytest.raises(CertificateError):
        certificates.verify_chain([bytes(changed), OURS.office.der], OURS.root)


@given(st.binary(max_size=600))
def test_bytes_that_are_no_certificate_are_refused(noise: bytes) -> None:
    assert fault_of([noise, OURS.office.der]) is CertificateFault.MALFORMED


def test_a_certificate_larger_than_any_of_ours_is_refused() -> None:
    assert fault_of([b"\x30" * 5000]) is CertificateFault.MALFORMED


def test_a_companys_name_must_be_printable() -> None:
    for name in ("", " ", "a\nb", "x" * 65):
        with pytest.raises(ValueError, match="1 to 64 printable"):
            certificates.create_root(key(1), name, recovery_key(1).public)


def test_a_root_names_the_recovery_key_of_its_company_and_no_other_root_passes() -> None:
    assert OURS.root.recovery_key == recovery_key(1).public
    for uri in (
        f"crdt-pos://{OURS.root.company.hex()}/recovery/{recovery_key(1).public.hex()[:-2]}",
        f"crdt-pos://{bytes(16).hex()}/recovery/{recovery_key(1).public.hex()}",
    ):
        with pytest.raises(CertificateError, match="recovery key"):
            certificates.parse_root(forge(OURS.root.der, OURS.root.der, OURS.root_key, uri=uri))


def test_a_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    certificates.save_key(path, key(7))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert certificates.load_key(path) == key(7)
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        certificates.load_key(path)


def test_a_key_file_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    certificates.save_key(path, key(7))
    with pytest.raises(KeyFileError, match="cannot be written"):
        certificates.save_key(path, key(8))
    assert certificates.load_key(path) == key(7)


def test_a_file_that_is_no_key_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.touch(0o600)
    with pytest.raises(KeyFileError, match="does not hold a key"):
        certificates.load_key(path)
    with pytest.raises(KeyFileError, match="does not hold a certificate"):
        certificates.load_certificates(path)


def test_openssl_reads_our_key_file(tmp_path: Path) -> None:
    certificates.save_key(tmp_path / "key.pem", key(7))
    said = subprocess.run(
        ["openssl", "pkey", "-in", "key.pem", "-pubout", "-outform", "DER"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert said.stdout[-32:] == key(7).public


def test_a_key_that_is_not_the_certificates_makes_no_session(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="do not fit together"):
        contexts(tmp_path / "wrong", OURS.root, key(99), [OURS.till.der, OURS.office.der])


def test_both_sides_speak_tls_1_3_only_and_demand_a_certificate(tmp_path: Path) -> None:
    made = contexts(tmp_path / "till", OURS.root, OURS.till_key, [OURS.till.der, OURS.office.der])
    for context in (made.server, made.client):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert context.verify_mode is ssl.CERT_REQUIRED
    assert made.server.num_tickets == 0


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[bytes | None, bytes | None]:
    """What either side saw of the other, after a whole handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_side=False),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = [True, True]
    while any(waiting):
        for index, end in enumerate(ends):
            try:
                end.do_handshake()
                waiting[index] = False
            except ssl.SSLWantReadError:
                pass
    return ends[1].getpeercert(binary_form=True), ends[0].getpeercert(binary_form=True)


def test_a_certificate_whose_end_has_passed_is_let_in_all_the_same(tmp_path: Path) -> None:
    """The mirror of a clock that stands in the year 2000: validity is the roster's, not the clock's."""
    past = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    old = forge(OURS.till.der, OURS.office.der, OURS.office_key, not_after=past)
    till = contexts(tmp_path / "till", OURS.root, OURS.till_key, [old, OURS.office.der])
    office = contexts(tmp_path / "office", OURS.root, OURS.office_key, [OURS.office.der])
    assert handshake(office.server, till.client) == (old, OURS.office.der)
    assert handshake(till.server, office.client) == (OURS.office.der, old)


def test_the_same_certificate_fails_where_the_clock_is_looked_at(tmp_path: Path) -> None:
    past = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    old = forge(OURS.till.der, OURS.office.der, OURS.office_key, not_after=past)
    till = contexts(tmp_path / "till", OURS.root, OURS.till_key, [old, OURS.office.der])
    office = contexts(tmp_path / "office", OURS.root, OURS.office_key, [OURS.office.der])
    office.server.verify_flags = ssl.VERIFY_X509_STRICT
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(office.server, till.client)


def test_a_peer_of_another_company_is_refused_even_if_openssl_trusts_it() -> None:
    with pytest.raises(CertificateError) as refused:
        certificates.peer_certificate(THEIRS.till.der, OURS.root.company)
    assert refused.value.fault is CertificateFault.OTHER_COMPANY
    with pytest.raises(CertificateError):
        certificates.peer_certificate(None, OURS.root.company)


@given(
    st.integers(1, 999_999_999), st.integers(1, 999_999_999), st.integers(1, 999), st.binary(min_size=32, max_size=32)
)
def test_what_is_issued_is_what_is_read(store: int, till: int, life: int, public: bytes) -> None:
    try:
        issued = certificates.issue_till(
            OURS.root, OURS.office, OURS.office_key, PublicKey(public), store, till, f"a{life}"
        )
    except ValueError:
        return
    assert (issued.store, issued.till, issued.incarnation) == (store, till, f"a{life}")
    assert isinstance(certificates.verify_chain([issued.der, OURS.office.der], OURS.root), Certificate)


def test_every_office_counts_lives_of_its_own() -> None:
    assert incarnation.next_incarnation("a", []) == "a1"
    assert incarnation.next_incarnation("a", ["a1", "b7", "a2"]) == "a3"
    assert incarnation.next_incarnation("b", ["a1", "a2"]) == "b1"


def test_letters_go_on_after_z_and_none_is_used_twice() -> None:
    letters: list[str] = []
    for _ in range(30):
        letters.append(incarnation.next_letter(letters))
    assert letters[:3] == ["a", "b", "c"]
    assert letters[25:28] == ["z", "aa", "ab"]
    assert len(set(letters)) == 30


@pytest.mark.parametrize("text", ["", "a", "1", "a01", "A1", "abcd1", "a-1", "a1 "])
def test_what_is_no_incarnation_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no incarnation"):
        incarnation.split(text)
