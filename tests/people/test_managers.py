"""The role manager: what a store's back office reads, what it may write, and what nobody takes from it."""

from __future__ import annotations

import pytest

from crdt_pos import claims_views
from crdt_pos.cashiers import Cashiers
from crdt_pos.journal import journal_document
from crdt_pos.schema import SCHEMA
from crdt_pos.staff import StaffRole
from crdt_pos.turn import day_document
from gossip.document import Document, day_number
from gossip.own_feed import OwnFeed
from merge_rules.claims import Claims
from peers import certificates
from peers.errors import CertificateError
from peers.permissions import Role, readable_scopes
from tests.people.shop import CHEAP, DATE, STORE, Company, Place

DAY = day_number(DATE)


def signed(manager: Place, document: Document, body: object) -> str | None:
    """Why a till puts aside what a manager has signed in ``document``; ``None`` if it counts."""
    till = manager.company.place(number=manager.company.given + 1)
    with manager.log.read() as reader:
        feed = OwnFeed.read(reader, manager.key, manager.me.author, document, SCHEMA[document.kind])
    manager.log.append(feed.arrivals([body], 1))
    manager.tell(till)
    with till.log.read() as reader:
        return next((why for _, why in reader.quarantined()), None)


def test_a_manager_reads_what_the_tills_of_its_store_read_and_no_other_store() -> None:
    scopes = readable_scopes(Role.MANAGER, STORE, frozenset({STORE, 13}))
    assert scopes == readable_scopes(Role.TILL, STORE, frozenset({STORE, 13}))
    assert "journal/12" in scopes
    assert not any(scope.endswith("/13") for scope in scopes)


def test_its_name_is_its_stores_and_its_certificate_proves_both() -> None:
    company = Company()
    manager = company.place(Role.MANAGER)
    assert (manager.me.name, manager.me.store, manager.me.till) == ("12-m1", STORE, None)
    assert certificates.verify_chain((manager.me.der, company.office.der), company.root) == manager.me
    till = company.place()
    with pytest.raises(CertificateError):
        certificates.parse(till.me.der.replace(b"/till/12-1/", b"/till/12-m/"))


@pytest.mark.parametrize("document", [journal_document(STORE, DAY), day_document(STORE, DAY)])
def test_a_journal_or_day_that_a_manager_has_forged_is_put_aside(document: Document) -> None:
    why = signed(Company().place(Role.MANAGER), document, {})
    assert why == f"manager of store {STORE} may not author {document}"


def test_it_says_what_codes_mean_in_its_own_store_and_in_no_other() -> None:
    said = Claims.claim_body("4006381", 1001)
    assert signed(Company().place(Role.MANAGER), claims_views.document(STORE), said) is None
    other = claims_views.document(13)
    assert signed(Company().place(Role.MANAGER), other, said) == f"manager of store {STORE} may not author {other}"


def test_its_word_is_enough_for_who_works_in_its_store_and_a_tills_is_not() -> None:
    company = Company()
    manager, till = company.place(Role.MANAGER), company.place()
    manager.cashiers.add(manager.cashiers.deciding(), "anna", "1234", StaffRole.SUPERVISOR)
    manager.tell(till)
    assert till.cashiers.sign_on("anna", "1234").role is StaffRole.SUPERVISOR
    # A till that calls itself a manager's replica only fools itself.
    me = till.me
    rogue = Cashiers(
        till.log, till.key, me.author, Role.MANAGER, STORE, lambda: company.directory, company.now_ms, CHEAP
    )
    rogue.add(rogue.deciding(), "mallory", "6666", StaffRole.MANAGER)
    till.tell(manager)
    assert set(manager.cashiers.read().cashiers) == {"anna"}
