"""What may happen when in a session: (state, message type or act of our own) → next state. The whole truth; PROTOCOL.md's
diagram is generated from it. What is not here ends the session with ``Reason.UNEXPECTED``.

Neither side knows whether it dialled.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from gossip.messages import (
    Admitted,
    Announce,
    Answer,
    Ask,
    Bye,
    Cursor,
    Durable,
    Entries,
    Fingerprints,
    Hello,
    Message,
    Ping,
    Pong,
    Ranges,
    Want,
)


class State(Enum):
    """Where a session stands, seen from one side."""

    GREETING = "greeting"
    """Our HELLO is sent, the peer's is due."""
    JUDGING = "judging"
    """The peer's HELLO is here; our node decides."""
    WELCOMED = "welcomed"
    """The same, and the peer has admitted us already."""
    WAITING = "waiting"
    """We have admitted the peer; its ADMITTED is due."""
    CURSORS = "cursors"
    """Both have admitted; the peer's CURSOR is due."""
    SHARING = "sharing"
    """Entries travel, both ways."""
    COMPARING = "comparing"
    """The same, and fingerprints are being compared."""
    ENDED = "ended"


class Act(Enum):
    """What moves a session from our side."""

    ADMIT = "admit"
    COMPARE = "compare"
    SETTLE = "settle"
    """A comparison has ended."""
    END = "end"


_ALWAYS_WHEN_SHARING: Final = (Entries, Announce, Want, Durable, Ask, Answer, Ping, Pong)

TRANSITIONS: Final[dict[tuple[State, type[Message] | Act], State]] = {
    (State.GREETING, Hello): State.JUDGING,
    (State.JUDGING, Admitted): State.WELCOMED,
    (State.JUDGING, Act.ADMIT): State.WAITING,
    (State.WELCOMED, Act.ADMIT): State.CURSORS,
    (State.WAITING, Admitted): State.CURSORS,
    (State.CURSORS, Cursor): State.SHARING,
    **{(State.SHARING, message): State.SHARING for message in _ALWAYS_WHEN_SHARING},
    (State.SHARING, Fingerprints): State.COMPARING,
    (State.SHARING, Act.COMPARE): State.COMPARING,
    **{(State.COMPARING, message): State.COMPARING for message in _ALWAYS_WHEN_SHARING},
    (State.COMPARING, Fingerprints): State.COMPARING,
    (State.COMPARING, Ranges): State.COMPARING,
    (State.COMPARING, Act.SETTLE): State.SHARING,
    **{(state, Bye): State.ENDED for state in State if state is not State.ENDED},
    **{(state, Act.END): State.ENDED for state in State if state is not State.ENDED},
}


def diagram() -> str:
    """``TRANSITIONS`` as a Mermaid state diagram, for PROTOCOL.md. Messages in capitals, own acts in small letters."""
    lines = ["stateDiagram-v2", "    [*] --> greeting"]
    edges: dict[tuple[str, str], list[str]] = {}
    for (state, cause), after in TRANSITIONS.items():
        if after is State.ENDED:
            continue
        label = cause.value if isinstance(cause, Act) else cause.__name__.upper()
        edges.setdefault((state.value, after.value), []).append(label)
    lines += [f"    {before} --> {after}: {', '.join(labels)}" for (before, after), labels in edges.items()]
    ends = [state.value for state in State if (state, Bye) in TRANSITIONS]
    lines += [f"    {state} --> ended: BYE, end" for state in ends]
    lines.append("    ended --> [*]")
    return "\n".join(lines)
