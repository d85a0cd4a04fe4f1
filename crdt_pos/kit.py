"""The printed kit: a company's keys on paper, as words and as QR codes, which is where they are kept.

Two files of the same content, for their owner only: text, and a page for a browser's printer. Whatever is read back (a file of
either kind, what a person typed, what a scanner read from a QR code) is searched for 24 words that are one of the company's keys;
so a kit needs no format, and one that was copied by hand will do.
"""

from __future__ import annotations

import html
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import segno

from crdt_pos.company_keys import CompanyKeys, recovery_key_of, root_key_of
from crdt_pos.errors import KeysRefused
from crdt_pos.key_words import WORDS, from_words, keys_in, split, to_words
from crdt_pos.qr_code import qr_text
from merge_rules.dataclass import dataclass
from peers.certificates import Root
from peers.keys import SealingKey, SecretKey

_TAG: Final = re.compile(r"<style>.*?</style>|<[^>]*>", re.DOTALL)
_COLUMNS: Final = 4
_QR_BORDER: Final = 4

_INTRODUCTION: Final = (
    "Print this, twice, put the sheets into two safes, and delete the files. No computer keeps these keys.",
    "Whoever has the root key can make head offices. Whoever has the recovery key can read what the stores have sealed.",
    "Check a sheet: crdt-pos company kit --check FILE --at FOLDER, where FILE holds the words typed in again.",
)


@dataclass(frozen=True, slots=True)
class Section:
    """One key of the kit."""

    title: str
    words: tuple[str, ...]

    @property
    def code(self) -> str:
        """What its QR code says: capitals, which take fewer squares."""
        return " ".join(self.words).upper()


def _sections(keys: CompanyKeys) -> tuple[Section, Section]:
    return (
        Section("ROOT KEY: makes head offices", to_words(keys.root.seed)),
        Section("RECOVERY KEY: opens what the stores have sealed", to_words(keys.recovery.secret)),
    )


def kit_text(root: Root, keys: CompanyKeys, passphrase: str = "") -> str:
    """The kit as text of at most 80 columns, its QR codes in half blocks. ``passphrase``: one that was made for its owner."""
    lines = [f"COMPANY KIT of {root.name}", f"company {root.company.hex()}", "", *_wrapped(_INTRODUCTION)]
    if passphrase:
        lines += ["", *_passphrase_lines(passphrase)]
    for section in _sections(keys):
        numbered = [f"{number:2} {word:<12}" for number, word in enumerate(section.words, 1)]
        rows = ["  ".join(numbered[at : at + _COLUMNS]).rstrip() for at in range(0, WORDS, _COLUMNS)]
        lines += ["", "─" * 80, section.title, "", *rows, "", qr_text(section.code)]
    return "\n".join(lines) + "\n"


def kit_page(root: Root, keys: CompanyKeys, passphrase: str = "") -> str:
    """The kit as one HTML page that needs nothing else, its QR codes in SVG; a sheet of A4 or letter paper."""
    parts = [f"<h1>Company kit of {html.escape(root.name)}</h1>", f"<p>company <code>{root.company.hex()}</code></p>"]
    parts += [f"<p>{html.escape(line)}</p>" for line in _INTRODUCTION]
    if passphrase:
        parts.append("<p>" + "<br>".join(map(html.escape, _passphrase_lines(passphrase))) + "</p>")
    for section in _sections(keys):
        words = "".join(f"<li>{word}</li>" for word in section.words)
        picture = io.BytesIO()
        segno.make(section.code, error="m", micro=False).save(
            picture, kind="svg", scale=3, border=_QR_BORDER, xmldecl=False
        )
        parts.append(
            f"<section><h2>{html.escape(section.title)}</h2><ol>{words}</ol>{picture.getvalue().decode()}</section>"
        )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Company kit</title><style>'
        "body{font:11pt/1.4 sans-serif;max-width:45em;margin:1em auto;color:#000;background:#fff}"
        "section{break-inside:avoid;border-top:1px solid;display:grid;grid-template-columns:1fr auto}"
        "h2{grid-column:1/3}ol{columns:3;font:11pt/1.6 monospace}"
        f"</style></head><body>{''.join(parts)}</body></html>\n"
    )


def write_kit(path: Path, root: Root, keys: CompanyKeys, passphrase: str = "") -> tuple[Path, Path]:
    """Write text to ``path`` and a page beside it, both mode 0600 and synced. Raises ``KeysRefused``, also if one is there."""
    page = path.with_suffix(".html")
    if page == path:
        raise KeysRefused(f"{path} is the name of the page that is written beside: name a text file, like kit.txt.")
    written: list[Path] = []
    try:
        for file, content in ((path, kit_text(root, keys, passphrase)), (page, kit_page(root, keys, passphrase))):
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            written.append(file)
            with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
    except OSError as error:
        for file in written:
            file.unlink(missing_ok=True)
        raise KeysRefused(f"The kit cannot be written to {path} and {page}: {error.strerror}.") from error
    return path, page


def root_key_in(text: str, root: Root) -> SecretKey:
    """The company's root key that stands in ``text``. Raises ``KeysRefused``."""
    found = next(filter(None, (root_key_of(secret, root) for secret in _secrets(text))), None)
    if found is None:
        raise KeysRefused(_not_in(text, "root", root))
    return found


def recovery_key_in(text: str, root: Root) -> SealingKey:
    """The company's recovery key that stands in ``text``. Raises ``KeysRefused``."""
    found = next(filter(None, (recovery_key_of(secret, root) for secret in _secrets(text))), None)
    if found is None:
        raise KeysRefused(_not_in(text, "recovery", root))
    return found


def _secrets(text: str) -> Iterator[bytes]:
    return keys_in(_TAG.sub(" ", text))


def _not_in(text: str, which: str, root: Root) -> str:
    if next(_secrets(text), None) is not None:
        return f"These words are not the {which} key of {root.name}."
    words = split(_TAG.sub(" ", text))
    if len(words) < 2 * WORDS:  # typed in, and not a whole sheet: say what is wrong with it
        try:
            from_words(words)
        except KeysRefused as why:
            return str(why)
    return f"The {which} key of {root.name} does not stand there, or a word of it was misread."


def _passphrase_lines(passphrase: str) -> list[str]:
    return [
        "The passphrase of the sealed copies in the roster, which was made for you:",
        passphrase,
        "Choose one of your own: crdt-pos company passphrase --help",
    ]


def _wrapped(sentences: tuple[str, ...]) -> list[str]:
    lines: list[str] = []
    for sentence in sentences:
        line = ""
        for word in sentence.split():
            if line and len(line) + 1 + len(word) > 80:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}".lstrip()
        lines.append(line)
    return lines
