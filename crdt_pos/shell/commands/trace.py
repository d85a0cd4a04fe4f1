"""``trace``: live messages, joins, grants and sales of a running replica; saved, and replayed offline."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TextIO

import click

from crdt_pos.cli import Refused
from crdt_pos.columns import number, plural
from crdt_pos.page import Page
from crdt_pos.shell import colours, traced
from crdt_pos.shell.command import Argument, Command, Completes, Option
from crdt_pos.shell.judging import judge
from crdt_pos.shell.replica import Replica

SECONDS_MAX: Final = 86_400
SECONDS: Final = 10
_EVERY_S: Final = 0.2
_COLOURS: Final = {"sale": colours.safe, "grant": colours.pending, "missed": colours.broken}

FOR = Option("for", f"How long to listen; {SECONDS} if left out. Ctrl-C ends it sooner.", "SECONDS")
SAVE = Option("save", "Also write every event into FILE.", "FILE", Completes.PATH)
REPLAY = Option("replay", "Instead follow a saved trace through the session machine, offline.", "FILE", Completes.PATH)


def answer(replica: Replica, filter: str = "", for_: str = "", save: str = "", replay: str = "") -> dict[str, Any]:  # noqa: A002
    """The events, as they come; or what became of a saved trace."""
    if replay:
        return _replayed(replica, Path(replay).expanduser(), filter)
    seconds = for_ or str(SECONDS)
    if not seconds.isdigit() or not 0 < int(seconds) <= SECONDS_MAX:
        raise Refused(f"'{for_}' is no number of seconds from 1 to {SECONDS_MAX:,}.")
    asked = replica.ask("trace")  # refused at once where nobody runs
    events = _events(replica, asked, int(seconds), filter.lower(), save)
    return {"replica": replica.name, "for_s": int(seconds), "saved": save, "events": events}


def _events(replica: Replica, asked: dict[str, Any], seconds: int, wanted: str, save: str) -> Generator[dict[str, Any]]:
    ends_ms = replica.now_ms() + 1000 * seconds
    quiet = threading.Event()  # never set
    with ExitStack() as closing:
        file = closing.enter_context(_new(Path(save).expanduser())) if save else None
        if file is not None:
            file.write(f"{traced.header(replica.name, replica.me.hex(), replica.now_ms())}\n")
        try:
            while replica.now_ms() < ends_ms:
                asked = replica.ask("trace", after=asked["next"], arrival=asked["arrival"])
                if asked["missed"]:
                    yield {
                        "kind": "missed",
                        "at_ms": replica.now_ms(),
                        "says": f"{asked['missed']:,} messages came too fast",
                    }
                for event in _all(replica, asked):
                    if not wanted or wanted in _text(event).lower():
                        if file is not None:
                            file.write(f"{json.dumps(event)}\n")
                        yield event
                if not asked["messages"] and not asked["entries"]:
                    quiet.wait(_EVERY_S)
        except KeyboardInterrupt:
            return


def _new(path: Path) -> TextIO:
    try:
        return path.open("x", encoding="utf-8")
    except FileExistsError as error:
        raise Refused(f"{path} is there already: choose another file.") from error


def _all(replica: Replica, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from map(traced.event_of_message, asked["messages"])
    now_ms = replica.now_ms()
    yield from (traced.event_of_entry(bytes.fromhex(raw), replica.name_of, now_ms) for raw in asked["entries"])


def _text(event: dict[str, Any]) -> str:
    if event["kind"] == traced.MESSAGE:
        arrow = "→" if event["way"] == "out" else "←"
        state = event["after"] or event["before"]
        return f"{arrow} {event['peer']}  {event['message']}, {number(event['bytes'])} bytes: {event['says']} ({state})"
    return " ".join(part for part in (event["kind"], event.get("name", ""), event["says"]) if part)


# --- replaying -------------------------------------------------------------------------------------------------------


def _replayed(replica: Replica, path: Path, wanted: str) -> dict[str, Any]:
    sessions: dict[str, traced.Replay] = {}
    findings: list[traced.Finding] = []
    try:
        lines = path.read_text("utf-8").splitlines()
        events = list(traced.read(lines))
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise Refused(f"{path} is no trace: {error}.") from error
    for event in replica.counted(events, "replaying", len(events)):
        if event["kind"] == traced.MESSAGE and wanted.lower() in event["peer"].lower():
            one = sessions.setdefault(event["session"], traced.Replay(event["session"]))
            findings += one.follow(event)
    return {
        "replayed": str(path),
        "sessions": [
            {"session": one.session, "messages": one.messages, "entries": len(one.entries), "ends": _ends(one)}
            for one in sessions.values()
        ],
        "findings": [dataclasses.asdict(one) for one in findings],
        "entries": [row for one in sessions.values() for row in _judged(replica, one)],
    }


def _ends(one: traced.Replay) -> list[str]:
    return sorted(state.value for state in one.states)


def _judged(replica: Replica, one: traced.Replay) -> Iterator[dict[str, Any]]:
    """The entries that came and break a rule."""
    for entry in replica.counted(one.entries, "judging entries", len(one.entries)):
        found = judge(replica, entry)
        if found.verdict in ("forged", "quarantined", "contradicts"):
            yield {
                "session": one.session,
                "document": str(entry.document),
                "author": replica.name_of(entry.author),
                "seq": entry.seq,
                "hash": entry.hash.hex(),
                **dataclasses.asdict(found),
            }


def lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    """An event a line, as it comes."""
    if "replayed" in answered:
        yield from _replay_lines(page, answered)
        return
    count = 0
    for event in answered["events"]:
        count += 1
        at = page.looked.local(event["at_ms"])
        text = f"{at:%H:%M:%S}.{event['at_ms'] % 1000:03d}  {_text(event)}"
        colour = _COLOURS.get(event["kind"])
        yield text if colour is None else colour(text)
    saved = f", in {answered['saved']}" if answered["saved"] else ""
    yield f"{plural(count, 'event')} in {answered['for_s']} s at most{saved}."


def _replay_lines(page: Page, answered: dict[str, Any]) -> Iterator[str]:
    for one in answered["sessions"]:
        what = (
            f"{plural(one['messages'], 'message')}, {plural(one['entries'], 'whole entry', 'whole entries')} received"
        )
        yield f"{one['session']}: {what}; {' or '.join(one['ends'])} at the end"
    for one in answered["findings"]:
        text = f"message {one['number']} of {one['session']} ({one['message']}): {one['says']}"
        yield colours.broken(click.wrap_text(text, page.width, "  ", "    "))
    for one in answered["entries"]:
        text = f"{one['verdict'].upper()}: {one['document']}, entry {one['seq']} of {one['author']}: {one['says']}"
        yield colours.broken(click.wrap_text(text, page.width, "  ", "    "))
    if not answered["sessions"]:
        yield "No messages were traced."
    elif not answered["findings"] and not answered["entries"]:
        yield colours.safe("The session machine takes every message as it was taken, and no entry breaks a rule.")


COMMAND = Command(
    "trace",
    "Live messages, joins, grants and sales of a running replica (--attach); saved, and replayed against the session machine.",
    "trace sale --for 60 --save sales.trace",
    answer,
    lines,
    (
        Argument(
            "filter", "Only events with this in them: a peer, a kind of message, a document, sale …", optional=True
        ),
    ),
    (FOR, SAVE, REPLAY),
    trouble=lambda answered: bool(answered.get("findings") or ("replayed" in answered and answered["entries"])),
)
