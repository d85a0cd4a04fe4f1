"""Finding each other on the local network: multicast DNS (RFC 6762, 6763); the one file that knows ``zeroconf``.

A replica announces ``<name>-<author>._crdt-pos._tcp.local.`` with

    c = company (32 hex digits)   n = replica name   a = author (16 hex digits)   s = store, of a till   v = protocol version

and hears the announcements of others. Whatever is heard is a hint from anybody on the network: only the TLS session proves a
peer. So is what is not: nobody is forgotten because its announcement lapsed.

``zeroconf`` runs threads of its own, and calls back on one of them.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

import zeroconf

from merge_rules.lattice import AUTHOR_BYTES, Author
from peers.addresses import as_number
from peers.announcement import PeerAddress
from peers.certificates import COMPANY_BYTES, Company
from peers.errors import DiscoveryUnavailable

SERVICE: Final = "_crdt-pos._tcp.local."
PEERS_MAX: Final = 256
"""Announcements followed at once; further ones are not heard."""
LOOKUP_TIMEOUT_MS: Final = 1500
"""For an announcement that came without its address. Most bring everything in one packet."""
LOOKUP_AGAIN_S: Final = 3.0
"""Between lookups of one that did not answer."""

# RFC 1035, 4.1.1, 3.2.2 and 3.2.4.
_QUERY: Final = 0
_POINTER: Final = 12
_INTERNET: Final = 1
_NAME: Final = re.compile(r"[a-z0-9-]{1,40}")


class Discovery:
    """Announces this replica and reports the others of its company, until it is closed. A context manager.

    ``on_peer`` is called for every announcement that is new or changed, ``on_gone`` with the author when one says goodbye or
    lapses; both on a thread of their own, and they must return soon. Neither ever sees ``me.author`` or another company.

    ``interfaces`` are IPv4 addresses of this machine; none: all. Making one takes about two seconds (others are asked first
    whether they have the name), unless it does not ``announce`` and only listens. Raises ``DiscoveryUnavailable``.
    """

    def __init__(
        self,
        me: PeerAddress,
        on_peer: Callable[[PeerAddress], None],
        on_gone: Callable[[Author], None] = lambda _author: None,
        interfaces: Sequence[str] = (),
        *,
        announce: bool = True,
    ) -> None:
        self._me = me
        self._on_peer = on_peer
        self._on_gone = on_gone
        self._found: dict[str, PeerAddress] = {}
        self._heard = threading.Event()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._waiting: dict[str, threading.Timer] = {}
        """Announcements whose addresses did not come, to be asked for again."""
        try:
            self._zeroconf = zeroconf.Zeroconf(
                interfaces=list(interfaces) or zeroconf.InterfaceChoice.All, ip_version=zeroconf.IPVersion.V4Only
            )
        except (
            OSError,
            ValueError,
            RuntimeError,
            zeroconf.Error,
        ) as error:  # RuntimeError: there is no interface at all
            raise DiscoveryUnavailable(
                f"Multicast DNS cannot be used here ({error}): name the peers instead."
            ) from error
        try:
            # First hear, then speak: asking whether the name is free takes two seconds, and others answer at once.
            self._browser = zeroconf.ServiceBrowser(self._zeroconf, SERVICE, handlers=[self._changed])
            if announce:
                self._zeroconf.register_service(_announcement(me), allow_name_change=True)
        except (OSError, ValueError, zeroconf.Error, TimeoutError) as error:
            self._zeroconf.close()
            raise DiscoveryUnavailable(
                f"Multicast DNS does not work here ({error}): name the peers instead."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def hears_itself(self, timeout_s: float) -> bool:
        """Whether our own announcement has come back within ``timeout_s``; if not, multicast is blocked on this machine."""
        return self._heard.wait(timeout_s)

    def ask(self) -> None:
        """Ask who is there, and where by now. An announcement is made once, and whoever is cut off then does not hear it."""
        question = zeroconf.DNSOutgoing(_QUERY)  # type: ignore[attr-defined]  # its makers name it in no __all__
        question.add_question(zeroconf.DNSQuestion(SERVICE, _POINTER, _INTERNET))  # type: ignore[attr-defined]
        with contextlib.suppress(OSError, zeroconf.Error):
            self._zeroconf.send(question)

    def close(self) -> None:
        """Say goodbye and stop. No callback comes after it has returned."""
        self._closed.set()
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for later in waiting.values():
            later.cancel()
        # What is on the way when the network has gone is not worth a word: we are leaving.
        with contextlib.suppress(OSError, zeroconf.Error, TimeoutError):
            self._browser.cancel()
        with contextlib.suppress(OSError, zeroconf.Error, TimeoutError):
            self._zeroconf.close()

    def _changed(
        self,
        zeroconf: zeroconf.Zeroconf,
        service_type: str,
        name: str,
        state_change: zeroconf.ServiceStateChange,
    ) -> None:
        del zeroconf, service_type  # called by these names; both are known
        if state_change.name == "Removed":
            with self._lock:
                self._waiting.pop(name, None)
            gone = self._found.pop(name, None)
            if gone is not None and all(other.author != gone.author for other in self._found.values()):
                self._on_gone(gone.author)
            return
        self._look_up(name)

    def _look_up(self, name: str) -> None:
        if self._closed.is_set() or (name not in self._found and len(self._found) >= PEERS_MAX):
            return
        heard = self._zeroconf.get_service_info(SERVICE, name, LOOKUP_TIMEOUT_MS)
        if heard is None:
            # Nobody announces himself twice on a busy machine or network, so it is for us to ask again.
            self._again(name)
            return
        peer = _peer(heard)
        if peer is None or peer.company != self._me.company:
            return
        if peer.author == self._me.author:
            self._heard.set()
            return
        if self._found.get(name) != peer:
            self._found[name] = peer
            self._on_peer(replace(peer, announcement=name))

    def _again(self, name: str) -> None:
        later = threading.Timer(LOOKUP_AGAIN_S, self._asked_again, (name,))
        later.daemon = True
        with self._lock:
            waiting = self._waiting.get(name)
            if self._closed.is_set() or waiting is not None or len(self._waiting) >= PEERS_MAX:
                return
            self._waiting[name] = later
        later.start()

    def _asked_again(self, name: str) -> None:
        with self._lock:
            if self._waiting.pop(name, None) is None:
                return
        with contextlib.suppress(OSError, zeroconf.Error, RuntimeError):  # closed meanwhile
            self._look_up(name)


def _announcement(me: PeerAddress) -> zeroconf.ServiceInfo:
    said = {"c": me.company.hex(), "n": me.name, "a": me.author.hex(), "v": str(me.version)}
    if me.store is not None:
        said["s"] = str(me.store)
    return zeroconf.ServiceInfo(
        SERVICE,
        f"{me.name}-{me.author.hex()}.{SERVICE}",
        port=me.port,
        properties=said,
        # Not the machine's own name: several replicas may share a machine, each announced with addresses of its own.
        server=f"crdt-pos-{me.author.hex()}.local.",
        parsed_addresses=list(me.hosts),
    )


def _peer(heard: zeroconf.ServiceInfo) -> PeerAddress | None:
    said = {key: value for key, value in heard.decoded_properties.items() if value is not None}
    try:
        company, author = bytes.fromhex(said["c"]), bytes.fromhex(said["a"])
        store = int(said["s"]) if "s" in said else None
        version = int(said["v"])
    except (KeyError, ValueError):
        return None
    hosts = tuple(sorted(heard.parsed_addresses(zeroconf.IPVersion.V4Only), key=as_number))
    if len(company) != COMPANY_BYTES or len(author) != AUTHOR_BYTES or not _NAME.fullmatch(said.get("n", "")):
        return None
    if not hosts or not heard.port or (store is not None and store < 1) or version < 1:
        return None
    return PeerAddress(Company(company), said["n"], store, Author(author), version, hosts, heard.port)
