"""Where a replica listens."""

from __future__ import annotations

from merge_rules.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """Where a replica listens: a host name or IP address, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
