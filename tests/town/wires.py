"""Machines and networks that are real: network namespaces, bridges and cables (veth pairs), made with iproute2's ``ip``.

A namespace lives as long as a process is in it. Each of these is held by one that waits for the end of its standard input, so
the kernel takes everything away when whoever made it ends, in whatever way: nothing here has a name that could be left behind.

Root needs no more. Everybody else gets a user namespace around it all, where the machine allows that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

PROGRAMS: Final = ("ip", "unshare", "nsenter", "setpriv")
MACHINE: Final = ("ip link set dev lo up",)


class CannotWire(Exception):
    """Network namespaces cannot be made here; the text says why."""


@dataclass
class Wires:
    """Places (namespaces) by name, and what connects them. A context manager. Raises ``CannotWire``."""

    _holders: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    _switches: set[str] = field(default_factory=set)

    def place(self, name: str, *commands: str) -> None:
        """A machine of its own: no interface but ``lo``. ``commands`` are done in it, as by ``do``."""
        unshare = ["unshare", "--net"]
        if os.geteuid() != 0 and not self._holders:
            unshare = ["unshare", "--user", "--map-root-user", "--net"]
        elif os.geteuid() != 0:
            unshare = [*self._into(next(iter(self._holders.values())), "--user", "--preserve-credentials"), *unshare]
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        if missing:
            raise CannotWire(f"{missing[0]} is missing")
        words = [*unshare, "sh", "-c", "echo made; exec cat"]
        holder = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert holder.stdout is not None
        assert holder.stderr is not None
        if holder.stdout.readline() != "made\n":
            raise CannotWire(holder.stderr.read().strip() or f"unshare ended with {holder.wait()}")
        self._holders[name] = holder
        self.do(name, *MACHINE, *commands)

    def bridge(self, name: str, *commands: str) -> None:
        """A place that is a switch: what is plugged in with ``port`` is one local network."""
        self.place(name, "ip link add dev lan type bridge", "ip link set dev lan up", *commands)
        self._switches.add(name)

    def router(self, name: str, *commands: str) -> None:
        """A place that passes on what is not for itself, if it comes from where its sender lives."""
        self.place(name, *commands)
        self.set(name, "ip_forward")
        self.set(name, "conf/all/rp_filter")

    def cable(self, one: tuple[str, str], other: tuple[str, str]) -> None:
        """A cable between two interfaces that are made for it, each ``(place, name)``; both are up.

        At a bridge it is plugged in.
        """
        (here, name), (there, its_name) = one, other
        pid = self._holders[there].pid
        self.do(here, f"ip link add dev {name} type veth peer name {its_name} netns {pid}")
        for place, end in (one, other):
            plugged_in = [f"ip link set dev {end} master lan"] if place in self._switches else []
            self.do(place, *plugged_in, f"ip link set dev {end} up")

    def pull(self, place: str, interface: str) -> None:
        """Pull the cable at this end: neither end has a carrier, and nobody is told anything more."""
        self.do(place, f"ip link set dev {interface} down")

    def plug(self, place: str, interface: str) -> None:
        """Plug it in again."""
        self.do(place, f"ip link set dev {interface} up")

    def block_multicast(self, bridge: str, ports: Iterable[str]) -> None:
        """From now on this switch passes no multicast on to these ports."""
        self.do(bridge, *(f"ip link set dev {port} type bridge_slave mcast_flood off" for port in ports))

    def set(self, place: str, switch: str) -> None:
        """Switch on one of the settings of IPv4 at a place."""
        self.run(place, "sh", "-c", f"echo 1 > /proc/sys/net/ipv4/{switch}")

    def do(self, place: str, *commands: str) -> None:
        """Commands of ``ip``, one after the other, at a place."""
        batch = "".join(command.removeprefix("ip ") + "\n" for command in commands)
        self.run(place, "ip", "-batch", "-", said=batch)

    def run(self, place: str, *words: str, said: str = "") -> str:
        """Run a command at a place to its end; what it printed. Raises ``CannotWire`` if it fails."""
        done = subprocess.run([*self.at(place), *words], input=said, capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise CannotWire(f"{' '.join(words)} at {place} ({said.strip()}): {done.stderr.strip()}")
        return done.stdout

    def at(self, place: str) -> list[str]:
        """The words before a command that is to run at a place. It is killed when whoever started it ends."""
        as_user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return [*self._into(self._holders[place], *as_user, "--net"), "setpriv", "--pdeathsig", "KILL", "--"]

    def close(self) -> None:
        """Take everything away. Processes that still run at a place keep that place until they end."""
        for holder in self._holders.values():
            assert holder.stdin is not None
            holder.stdin.close()
        for holder in self._holders.values():
            holder.wait()
            for stream in (holder.stdout, holder.stderr):
                assert stream is not None
                stream.close()
        self._holders.clear()

    def __enter__(self) -> Wires:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _into(self, holder: subprocess.Popen[str], *what: str) -> list[str]:
        return ["nsenter", "--target", str(holder.pid), *what]


def refusal() -> str:
    """Why there can be no wires here, in a few words; empty if there can."""
    try:
        with Wires() as wires:
            wires.bridge("switch")
            wires.router("router")
            wires.cable(("router", "store"), ("switch", "up"))
    except CannotWire as error:
        return str(error)
    return ""
