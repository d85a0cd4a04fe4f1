"""Persons, and erasing them: the key, the claim and every byte of both are gone everywhere, and everything verifies."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from crdt_pos import erasing, journal, own_heads, persons
from crdt_pos.errors import PersonRefused
from crdt_pos.local_shapes import Asked
from crdt_pos.person_commands import ANSWERS, Desk
from crdt_pos.persons import Person, Writer
from crdt_pos.registrar import Registrar
from crdt_pos.requests import LineRequest, SaleRequest
from crdt_pos.revoking import revoke
from crdt_pos.schema import SCHEMA
from gossip.document import COMPANY, Scope
from gossip.entry import Entry
from gossip.ingest import check
from gossip.log import Arrival, Log
from gossip.log_lmdb import LmdbLog
from gossip.log_memory import MemoryLog
from peers.errors import SealError
from peers.keys import unlock
from peers.permissions import Role
from peers.roster import Why
from tests.books import company as books
from tests.people.shop import DATE, STORE, Company, Place

ANNA = b"member-1"
HER = Person("Anna Berg", "+491701234567", "Lindenweg 3", "anna@example.org")


def desk(place: Place) -> Desk:
    """Where persons are written at ``place``."""
    company = place.company
    writer = Writer(place.key, place.me.author, company.root.company, SCHEMA)
    return Desk(place.log, writer, place.me.role, company.now_ms, place.till if place.me.role is Role.TILL else None)


def write(place: Place, person: Person, account: bytes = ANNA) -> None:
    if place.me.role is Role.TILL:
        place.till.welcome(account)
    here = desk(place)
    here.append(lambda reader: persons.write(reader, here.writer, account, person, here.now_ms()))


def erase(office: Place, account: bytes = ANNA) -> int:
    here = desk(office)
    return here.append(lambda reader: erasing.erase(reader, here.writer, account, here.now_ms()))


def known(place: Place, account: bytes = ANNA) -> Person | None:
    with place.log.read() as reader:
        return persons.read(reader, account)


def by_phone(place: Place, number: str = HER.phone) -> list[bytes]:
    with place.log.read() as reader:
        return persons.by_phone(reader, place.company.root.company, number)


def entries(place: Place) -> list[Entry]:
    with place.log.read_all() as reader:
        return [stored.entry for stored in reader.arrivals(0, 10_000)]


def append(log: Log, came: Sequence[Entry], place: Place) -> None:
    """As a replica does with what comes from a peer."""
    arrivals = check(came, place.me.author, place.company_record, SCHEMA).arrivals
    with log.read() as reader:
        views = list(persons.derive(reader, arrivals))
    log.append(arrivals, views)


def test_a_person_is_known_where_the_account_shops_and_stands_in_no_entry_in_the_clear() -> None:
    company = Company()
    one, two = company.place(), company.place(number=2)
    write(one, HER)
    append(two.log, entries(one), one)
    assert known(two) == HER
    assert by_phone(two) == [ANNA]
    raw = b"".join(entry.raw for entry in entries(one))
    for said in (HER.name, HER.phone, HER.address, HER.email, HER.phone[1:]):
        assert said.encode() not in raw


def test_a_new_phone_takes_the_place_of_the_old() -> None:
    one = Company().place()
    write(one, HER)
    write(one, Person(HER.name, "+33123456789"))
    assert (by_phone(one), by_phone(one, "+33123456789")) == ([], [ANNA])


def test_two_stores_that_enrolled_one_person_are_found_by_one_phone() -> None:
    company = Company()
    one, two = company.place(), company.place(number=2)
    write(one, HER, b"member-2")
    write(two, HER, b"member-1")
    append(one.log, entries(two), two)
    assert by_phone(one) == [b"member-1", b"member-2"]


def test_two_keys_that_were_made_apart_both_open() -> None:
    company = Company()
    one, two = company.place(), company.place(number=2)
    write(one, HER)
    write(two, Person("A. Berg"))
    append(one.log, entries(two), two)
    assert known(one) == Person("A. Berg")  # written last, under the key of the other


def test_after_erasing_nothing_of_the_person_is_held_and_everything_verifies() -> None:
    company = Company()
    office, till = company.place(Role.OFFICE), company.place()
    write(till, Person("Anna"))
    write(till, HER)  # a replaced entry of its own
    till.till.open_date(DATE)
    till.till.sell(SaleRequest((LineRequest(1, total_minor=500),), member=ANNA))
    append(office.log, entries(till), till)
    assert erase(office) == 1
    assert erase(office) == 0
    append(till.log, entries(office), office)
    for place in (office, till):
        assert known(place) is None
        assert by_phone(place) == []
        kinds = {entry.document.kind for entry in entries(place)}
        assert not kinds & {persons.PERSON, persons.PERSON_KEY}
        assert kinds >= {"balance", "erased"}
        assert place.verified().findings == []
    with pytest.raises(PersonRefused, match="erased"):
        write(till, HER)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_whatever_comes_first_the_tombstone_wins_and_all_logs_agree(order: tuple[int, ...]) -> None:
    company = Company()
    office, till, other = company.place(Role.OFFICE), company.place(), company.place(number=2)
    write(till, HER)
    before = entries(till)
    write(other, Person("Anna B."))
    second = [entry for entry in entries(other) if entry.document.kind in (persons.PERSON, persons.PERSON_KEY)]
    erase(office)
    parts = before, second, entries(office)
    log = MemoryLog(SCHEMA)
    for part in order:
        append(log, parts[part], office)
    append(log, before, till)  # an old replica joins again
    whole = MemoryLog(SCHEMA)
    append(whole, [*parts[2], *(entry for entry in before if entry.document.kind == "patrons")], office)
    with log.read_all() as reader, whole.read_all() as expected:
        for scope in (COMPANY, Scope(f"patrons/{STORE}"), Scope(f"store/{STORE}")):
            assert reader.fingerprint(scope) == expected.fingerprint(scope)
        assert list(reader.documents()) == list(expected.documents())
        assert list(reader.views(b"person/")) == []
        assert reader.find(before[-1].hash) is None


def test_one_who_has_written_the_key_does_not_take_its_return_for_a_disk_that_was_set_back() -> None:
    company = Company()
    office, till = company.place(Role.OFFICE), company.place()
    write(till, HER)
    own = entries(till)
    erase(office)
    append(till.log, entries(office), office)
    back = [Arrival(entry, office.me.author) for entry in own]
    with till.log.read() as reader:
        assert not own_heads.come_back(reader, back, till.me.author)


def test_a_till_erases_nobody() -> None:
    company = Company()
    till, other = company.place(), company.place(number=2)
    write(till, HER)
    append(other.log, entries(till), till)
    here = desk(till)
    with till.log.read() as reader:
        (forged,) = erasing.erase(reader, here.writer, ANNA, here.now_ms())
    append(other.log, [forged.entry], till)
    assert known(other) == HER
    with other.log.read() as reader:
        assert [why for _, why in reader.quarantined()] == ["till of store 12 may not author erased"]


def test_the_locked_name_is_noise_without_the_key_and_under_another_account() -> None:
    one = Company().place()
    write(one, HER)
    (locked,) = (entry.body for entry in entries(one) if entry.document.kind == persons.PERSON)
    (keyring,) = (entry.body for entry in entries(one) if entry.document.kind == persons.PERSON_KEY)
    key, box = keyring[1][0], locked[1]
    assert unlock(key, box, ANNA)
    for wrong, account in ((bytes(32), ANNA), (key, b"member-2")):
        with pytest.raises(SealError):
            unlock(wrong, box, account)


def test_no_byte_of_the_key_or_the_phone_is_left_in_the_file(tmp_path: Path) -> None:
    company = Company()
    office, till = company.place(Role.OFFICE), company.place()
    write(till, HER)
    (body,) = (entry.body for entry in entries(till) if entry.document.kind == persons.PERSON_KEY)
    secrets = [body[1][0], body[1][1][0]]
    erase(office)
    file = tmp_path / "log" / "data.mdb"
    log = LmdbLog.open(tmp_path / "log", SCHEMA, company.root.company)
    try:
        append(log, entries(till), till)
        for number in range(40):  # so that pages split and are used again
            other = company.place(number=number + 10)
            write(other, Person(f"Somebody {number}"), f"other{number:03}".encode())
            append(log, entries(other), other)
        append(log, entries(office), office)
        with log.read() as reader:
            held = [stored.entry.hash for stored in reader.arrivals(0, 10_000)]
        assert log.freed
        assert any(secret in file.read_bytes() for secret in secrets)  # LMDB wipes nothing
        assert log.wipe()
        assert not log.freed
        assert not any(secret in file.read_bytes() for secret in secrets)
        with log.read() as reader:
            assert [stored.entry.hash for stored in reader.arrivals(0, 10_000)] == held
        append(log, entries(till), till)  # it goes on, and drops what was shredded
        assert not any(secret in file.read_bytes() for secret in secrets)
    finally:
        log.close()
    again = LmdbLog.open(tmp_path / "log", SCHEMA, company.root.company)
    try:
        assert not again.copied
        with again.read() as reader:
            assert erasing.is_erased(reader, ANNA)
    finally:
        again.close()


def test_a_file_is_not_changed_under_an_open_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gossip.log_lmdb.SNAPSHOT_S_MAX", 0.05)
    company = Company()
    office = company.place(Role.OFFICE)
    erase(office)
    log = LmdbLog.open(tmp_path / "log", SCHEMA, company.root.company)
    try:
        append(log, entries(office), office)
        with log.read() as reader:
            assert not log.wipe()
            assert reader.last_arrival() == 1
        assert log.wipe()
    finally:
        log.close()


def test_a_till_that_is_revoked_leaves_names_that_can_be_read_and_destroyed(tmp_path: Path) -> None:
    company = books.Company.found(tmp_path)
    try:
        till, office = company.tills["12-1"], company.office
        till.till.welcome(ANNA)
        with till.log.read() as reader:
            me = Writer(till.identity.key, till.identity.author, till.identity.company, SCHEMA)
            said = persons.write(reader, me, ANNA, HER, till.clock().ms)
        till.log.append(said)
        till.tell(office)
        office.tell(company.tills["12-2"])
        revoke(Registrar(office.folder, office.log, books.NOON_MS), "12-1", Why.STOLEN)
        (keyring,) = (one.entry.body for one in said if one.entry.document.kind == persons.PERSON_KEY)
        rosters = [entry.raw for entry in office.entries() if entry.document.kind.startswith("roster")]
        assert not any(keyring[1][0] in raw for raw in rosters)
        office.tell(company.tills["12-2"])
        for replica in (office, company.tills["12-2"]):
            with replica.log.read() as reader:
                assert reader.revoked() == {till.identity.author}
                assert persons.read(reader, ANNA) == HER
        with office.log.read() as reader:
            head = Writer(office.identity.key, office.identity.author, office.identity.company, SCHEMA)
            gone = erasing.erase(reader, head, ANNA, books.NOON_MS)
        office.log.append(gone)
        with office.log.read_all() as reader:
            assert not list(reader.documents(persons.PERSON_KEY))
    finally:
        company.close_logs()


def asked_to_erase(office: Place, who: str, **fields: object) -> object:
    return ANSWERS["erase"](desk(office), Asked({"who": who, **fields}))["accounts"]


def test_sixteen_digits_that_begin_with_00_are_a_phone_and_no_account() -> None:
    office = Company().place(Role.OFFICE)
    phone = "0049151123456789"
    with pytest.raises(PersonRefused, match="No member has this phone number"):
        asked_to_erase(office, phone)
    write(office, Person("Bert", persons.phone_number(phone)))
    assert asked_to_erase(office, "0049 1511 2345 6789") == [ANNA.hex()]
    with pytest.raises(PersonRefused, match="No member has this phone number"):
        asked_to_erase(office, "0049151123456780")
    write(office, HER, bytes.fromhex("0049151123456780"))
    assert asked_to_erase(office, "0049151123456780") == ["0049151123456780"]


def test_an_account_of_which_nothing_is_here_is_erased_only_by_whoever_says_so() -> None:
    company = Company()
    office, till = company.place(Role.OFFICE), company.place()
    with pytest.raises(PersonRefused, match=r"Nothing is known here of the account 6d656d6265722d31: .* --unknown"):
        asked_to_erase(office, ANNA.hex())
    assert not [entry for entry in entries(office) if entry.document.kind == "erased"]
    assert asked_to_erase(office, ANNA.hex(), unknown=True) == [ANNA.hex()]
    assert asked_to_erase(office, ANNA.hex()) == [ANNA.hex()]  # it was erased before
    till.till.welcome(b"member-2")
    arrivals = check(entries(till), office.me.author, office.company_record, SCHEMA).arrivals
    with office.log.read() as reader:
        office.log.append(arrivals, journal.derive(reader, arrivals, lambda _: None))
    assert asked_to_erase(office, b"member-2".hex()) == [b"member-2".hex()]
