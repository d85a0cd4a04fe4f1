"""The addresses of this machine on its networks; the one file that knows ``ifaddr``."""

from __future__ import annotations

import ipaddress

import ifaddr


def local_addresses() -> tuple[str, ...]:
    """The IPv4 addresses of this machine that others can reach, ascending; loopback only if there is no other."""
    every = {ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips}
    found = sorted((ip for ip in every if isinstance(ip, str)), key=as_number)
    return tuple(address for address in found if not ipaddress.ip_address(address).is_loopback) or tuple(found)


def as_number(address: str) -> int:
    """For putting IPv4 addresses in order."""
    return int(ipaddress.ip_address(address))
