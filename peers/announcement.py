"""What a replica announces on the local network: who says it is where. A hint, whoever it is from."""

from __future__ import annotations

from dataclasses import field

from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author
from peers.certificates import Company


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """An announcement: who says it is where."""

    company: Company
    name: str
    """``12-3``, ``office-a``."""
    store: int | None
    author: Author
    version: int
    """The newest protocol version that it speaks."""
    hosts: tuple[str, ...]
    """IPv4 addresses, ascending."""
    port: int
    announcement: str = field(default="", compare=False)
    """The name under which it was heard: two that claim to be one replica have two."""
