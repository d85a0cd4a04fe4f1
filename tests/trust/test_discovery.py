"""Multicast DNS for real, on the loopback interface."""

from __future__ import annotations

import queue
import subprocess
import sys
from pathlib import Path

import pytest

from merge_rules.lattice import Author
from peers.addresses import local_addresses
from peers.announcement import PeerAddress
from peers.certificates import Company
from peers.discovery import Discovery
from peers.errors import DiscoveryUnavailable

LOOPBACK = ["127.0.0.1"]
OURS = Company(b"ours" * 4)
PATIENCE_S = 20


def replica(name: str, number: int, company: Company = OURS, port: int = 7000) -> PeerAddress:
    store = int(name.split("-")[0]) if name[0].isdigit() else None
    return PeerAddress(company, name, store, Author(bytes([number]) * 8), 1, ("127.0.0.1",), port)


class Ear:
    def __init__(self) -> None:
        self.peers: queue.Queue[PeerAddress] = queue.Queue()
        self.gone: queue.Queue[Author] = queue.Queue()

    def listen(self, me: PeerAddress) -> Discovery:
        return Discovery(me, self.peers.put, self.gone.put, LOOPBACK)


def test_replicas_of_one_company_find_each_other_and_neither_themselves_nor_others() -> None:
    till, office, stranger = replica("12-3", 1), replica("office-a", 2), replica("12-3", 3, Company(b"them" * 4))
    at_till, at_office, at_stranger = Ear(), Ear(), Ear()
    with at_stranger.listen(stranger) as strangers, at_till.listen(till) as tills:
        # The till hears itself, so it would by now have reported itself and the stranger, who was there before it.
        assert tills.hears_itself(PATIENCE_S)
        with at_office.listen(office):
            assert at_till.peers.get(timeout=PATIENCE_S) == office
            assert at_office.peers.get(timeout=PATIENCE_S) == till
        assert at_till.gone.get(timeout=PATIENCE_S) == office.author
        assert strangers.hears_itself(PATIENCE_S)
    for ear in (at_till, at_office, at_stranger):
        assert ear.peers.empty()
    assert at_stranger.gone.empty()


SPEAKER = """
import sys
from merge_rules.lattice import Author
from peers.announcement import PeerAddress
from peers.certificates import Company
from peers.discovery import Discovery
me = PeerAddress(Company(b"ours" * 4), "12-7", 12, Author(bytes([7]) * 8), 1, ("127.0.0.1",), 7777)
with Discovery(me, lambda peer: print(peer.name, peer.port, flush=True), interfaces=["127.0.0.1"]):
    sys.stdin.read()
"""


def test_replicas_in_two_processes_find_each_other() -> None:
    ear, me = Ear(), replica("12-8", 8, port=8888)
    root = Path(__file__).parents[2]
    with (
        subprocess.Popen(
            [sys.executable, "-c", SPEAKER], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other,
        ear.listen(me),
    ):
        assert ear.peers.get(timeout=PATIENCE_S) == replica("12-7", 7, port=7777)
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "12-8 8888\n"
        other.stdin.close()
        assert ear.gone.get(timeout=PATIENCE_S) == Author(bytes([7]) * 8)


def test_a_clone_that_announces_the_same_name_is_told_apart_and_stops_nobody() -> None:
    original, clone, ear = replica("12-3", 4, port=4001), replica("12-3", 4, port=4002), Ear()
    nobody = Ear()
    with ear.listen(replica("office-a", 5)), nobody.listen(original), nobody.listen(clone):
        assert {ear.peers.get(timeout=PATIENCE_S).port for _ in range(2)} == {4001, 4002}


def test_an_interface_that_is_not_there_is_one_error() -> None:
    with pytest.raises(DiscoveryUnavailable, match="name the peers instead"):
        Discovery(replica("12-3", 6), print, interfaces=["203.0.113.1"])


def test_an_interface_that_is_no_address_is_one_error() -> None:
    with pytest.raises(DiscoveryUnavailable, match="name the peers instead"):
        Discovery(replica("12-3", 6), print, interfaces=["eth-zero"])


def test_the_addresses_of_this_machine_are_never_empty() -> None:
    assert local_addresses()
