"""Questions and answers of one session: bounded, with a deadline kept by whoever asks. Sans-I/O."""

from __future__ import annotations

from gossip.errors import ProtocolError
from gossip.reasons import Reason


class Questions:
    """Which questions are open in either direction."""

    def __init__(self, questions_max: int) -> None:
        self._questions_max = questions_max
        self._asked = 0
        self._deadlines_ms: dict[int, int] = {}
        self._expired: set[int] = set()
        self._heard = 0
        self._owed: set[int] = set()

    @property
    def open(self) -> int:
        """How many of ours have a deadline before them."""
        return len(self._deadlines_ms)

    def ask(self, deadline_ms: int) -> int:
        """The id of a new question of ours; 0 if too many are open. One whose deadline has passed stays open for the peer."""
        if len(self._deadlines_ms) + len(self._expired) >= self._questions_max:
            return 0
        self._asked += 1
        self._deadlines_ms[self._asked] = deadline_ms
        return self._asked

    def answered(self, id_: int) -> bool:
        """Whether the peer's answer is in time. Raises ``ProtocolError`` for one to a question that is not open."""
        if id_ in self._expired:
            self._expired.remove(id_)
            return False
        if self._deadlines_ms.pop(id_, None) is None:
            raise ProtocolError(Reason.MALFORMED, f"an answer to question {id_}, which is not open")
        return True

    def asked(self, id_: int) -> None:
        """The peer asks. Raises ``ProtocolError``."""
        if id_ != self._heard + 1:
            raise ProtocolError(Reason.MALFORMED, f"question {id_} after {self._heard}")
        if len(self._owed) >= self._questions_max:
            raise ProtocolError(Reason.TOO_MUCH, f"more than {self._questions_max} questions open")
        self._heard = id_
        self._owed.add(id_)

    def answer(self, id_: int) -> bool:
        """Whether the peer still waits for our answer."""
        if id_ not in self._owed:
            return False
        self._owed.remove(id_)
        return True

    def expire(self, now_ms: int | None) -> list[int]:
        """Our questions whose deadline has passed; all of them for ``None``."""
        late = [id_ for id_, deadline_ms in self._deadlines_ms.items() if now_ms is None or deadline_ms <= now_ms]
        for id_ in late:
            del self._deadlines_ms[id_]
            self._expired.add(id_)
        return late
