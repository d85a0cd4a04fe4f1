"""What passes at a running replica is heard, saved, and held against the session machine afterwards."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from crdt_pos.cli import Refused
from crdt_pos.local import LocalClient
from crdt_pos.looking import Looked
from crdt_pos.shell import Replica, open_replica
from crdt_pos.shell.commands.trace import answer
from crdt_pos.shell.traced import Replay
from gossip import frames
from gossip.messages import Cursor, Ping
from tests.books.company import DATE
from tests.node.company import Company, introduce, running


def _events(path: Path) -> list[dict[str, Any]]:
    first, *events = map(json.loads, path.read_text("utf-8").splitlines())
    assert (first["trace"], first["replica"]) == (1, "12-1 a1")
    return events


async def test_messages_and_sales_are_heard_saved_and_replayed(tmp_path: Path) -> None:
    company = Company.found(tmp_path, "12-1", "12-2")
    file = tmp_path / "saved.trace"
    async with running(company.tills["12-1"], company.tills["12-2"]) as (one, two):

        def listened() -> list[dict[str, Any]]:
            heard: list[dict[str, Any]] = []
            looked = Looked(one.folder, one.log, one.trust.directory, "")
            with LocalClient(one.folder.path) as client, Replica(looked, ExitStack(), client).reading() as replica:
                events = answer(replica, for_="30", save=str(file))["events"]
                trio.from_thread.run_sync(started.set)
                for event in events:
                    heard.append(event)
                    if event["kind"] == "sale":
                        break
                return heard

        heard: list[dict[str, Any]] = []
        started = trio.Event()

        async def listen() -> None:
            heard.extend(await trio.to_thread.run_sync(listened))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await started.wait()
            await introduce(two, one)
            counter = two.till
            assert counter is not None
            await two.act(lambda: counter.open_date(DATE))
    messages = [event for event in heard if event["kind"] == "message"]
    assert [event["message"] for event in messages if event["way"] == "in"][:3] == ["Hello", "Admitted", "Cursor"]
    assert {event["peer"] for event in messages} == {"12-2"}
    (sale,) = (event for event in heard if event["kind"] == "sale")
    assert "opening" in sale["says"]
    assert _events(file) == heard[: len(_events(file))]
    with open_replica(tmp_path / "12-1") as replica:
        replayed = replica.trace(replay=file)
    assert replayed["findings"] == replayed["entries"] == []
    (session,) = replayed["sessions"]
    assert session["messages"] == len(messages)
    assert session["entries"] >= 1


def _message(number: int, message: Any, before: str, after: str, way: str = "in") -> dict[str, Any]:
    return {
        "number": number,
        "way": way,
        "message": type(message).__name__,
        "before": before,
        "after": after,
        "raw": frames.encode(message).hex(),
    }


@pytest.mark.parametrize(
    ("message", "before", "after", "says"),
    [
        (
            Cursor(bytes(16), 0),
            "sharing",
            "sharing",
            "CURSOR while comparing or sharing: the machine ends with UNEXPECTED",
        ),
        (Ping(1), "sharing", "waiting", "it was waiting then; the machine is comparing or sharing"),
        (Ping(1), "greeting", "", "it was greeting, which no act leads to from sharing"),
    ],
)
def test_where_a_trace_and_the_session_machine_disagree_is_found(
    message: Any, before: str, after: str, says: str
) -> None:
    replay = Replay("12-2")
    assert list(replay.follow(_message(1, Ping(1), "sharing", "sharing"))) == []
    assert says in [finding.says for finding in replay.follow(_message(2, message, before, after))]


def test_a_session_that_compares_meanwhile_by_itself_is_no_finding() -> None:
    replay = Replay("12-2")
    assert list(replay.follow(_message(1, Ping(1), "sharing", "sharing"))) == []
    assert list(replay.follow(_message(2, Ping(2), "comparing", "comparing"))) == []
    assert list(replay.follow(_message(3, Ping(3), "comparing", "sharing"))) == []


def test_what_is_no_trace_and_where_nobody_runs_is_said(till: Replica, tmp_path: Path) -> None:
    (tmp_path / "no.trace").write_text("{}\n", "utf-8")
    for call, why in (
        (partial(till.trace, replay=tmp_path / "no.trace"), "is no trace"),
        (partial(till.trace, replay=tmp_path / "nothing"), "cannot be read"),
        (partial(till.trace, for_="soon"), "is no number of seconds"),
        (till.trace, "attach to the running replica"),
    ):
        with pytest.raises(Refused, match=why):
            call()
