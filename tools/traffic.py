"""What passes between a town's tills and its head offices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from peers.permissions import Role
from tools.cabled import Cabled
from tools.selling import Place
from tools.town import Town


@dataclass(frozen=True, slots=True)
class Traffic:
    """Between one till and head offices, TLS records of both directions counted."""

    bytes: int = 0
    messages: int | None = None
    """``None`` where sessions were cut: they take their counts with them."""

    def minus(self, other: Traffic) -> Traffic:
        """What passed since ``other``."""
        messages = None if self.messages is None or other.messages is None else self.messages - other.messages
        return Traffic(self.bytes - other.bytes, messages)


def wan(town: Town, cabled: Cabled | None) -> dict[Place, Traffic]:
    """What has passed so far, by till: counted in the cables where there are any, otherwise by the sessions."""
    return {place: _cables(cabled, place) if cabled else _sessions(town, place) for place in sorted(town.tills)}


def _cables(cabled: Cabled, place: Place) -> Traffic:
    till = f"{place[0]}-{place[1]}"
    passed = (cable.passed_bytes for ends, cable in cabled.cables.items() if ends[0] == till and cabled.is_wan(ends))
    return Traffic(sum(passed))


def _sessions(town: Town, place: Place) -> Traffic:
    sessions = cast("list[dict[str, Any]]", town.client(town.tills[place]).call("connections")["sessions"])
    found = [session for session in sessions if session["role"] == Role.OFFICE]
    return Traffic(
        sum(session["bytes_sent"] + session["bytes_received"] for session in found),
        sum(session["messages_sent"] + session["messages_received"] for session in found),
    )
