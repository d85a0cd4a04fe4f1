"""Keys as words: what a person writes down, and types in again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_pos.company_keys import CompanyKeys
from crdt_pos.errors import KeysRefused
from crdt_pos.key_words import KEY_BYTES, from_words, keys_in, split, to_words, word_list
from crdt_pos.kit import kit_page, kit_text, recovery_key_in, root_key_in

KEYS, OTHERS = CompanyKeys.generate(), CompanyKeys.generate()
ROOT = KEYS.certify("Seed & Söhne <Erben>")


def test_the_list_is_that_of_the_standard_and_four_letters_tell_its_words_apart() -> None:
    words = word_list()
    listed = "".join(f"{word}\n" for word in words).encode()
    assert hashlib.sha256(listed).hexdigest() == "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
    assert len({word[:4] for word in words}) == len(words) == 2048


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (b"\x00" * 32, "abandon " * 23 + "art"),
        (b"\x7f" * 32, "legal winner thank year wave sausage worth useful " * 3),
        (b"\xff" * 32, "zoo " * 23 + "vote"),
    ],
)
def test_the_words_are_those_that_the_standard_gives_for_its_examples(key: bytes, words: str) -> None:
    expected = words.split()
    if key[0] == 0x7F:
        expected[-1] = "title"
    assert list(to_words(key)) == expected
    assert from_words(expected) == key


@given(st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES))
def test_a_key_comes_back_from_its_words_however_they_are_typed(key: bytes) -> None:
    words = to_words(key)
    assert from_words(words) == key
    typed = "\n".join(f"{number}. {word[:4].upper()}" for number, word in enumerate(words, 1))
    assert from_words(split(typed)) == key


@given(st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES), st.integers(0, 23), st.integers(0, 2047))
def test_one_wrong_word_never_gives_the_same_key(key: bytes, at: int, other: int) -> None:
    words = list(to_words(key))
    before, words[at] = words[at], word_list()[other]
    found = list(keys_in(" ".join(words)))
    assert found == [key] if words[at] == before else key not in found


def test_a_word_that_is_none_is_named_with_the_one_that_is_near() -> None:
    words = list(to_words(bytes(32)))
    words[4] = "abandin"
    with pytest.raises(KeysRefused, match=r"Word 5, 'abandin', is none.*abandon\?"):
        from_words(words)
    with pytest.raises(KeysRefused, match="24 words, and these are 23"):
        from_words(words[1:])


@pytest.mark.parametrize("write", [kit_text, kit_page])
def test_both_keys_are_found_in_either_form_of_the_kit_and_no_other_key(write: Callable[..., str]) -> None:
    kit = write(ROOT, KEYS, "a passphrase that was made")
    assert root_key_in(kit, ROOT) == KEYS.root
    assert recovery_key_in(kit, ROOT) == KEYS.recovery
    assert len(set(keys_in(kit_text(ROOT, KEYS)))) == 2
    with pytest.raises(KeysRefused, match="not the root key of Seed"):
        root_key_in(write(OTHERS.certify("Others"), OTHERS), ROOT)


def test_the_kit_shows_a_code_of_each_key_and_fits_on_paper() -> None:
    text, page = kit_text(ROOT, KEYS), kit_page(ROOT, KEYS)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("█▀▀▀▀▀█") >= 4  # two of the three corners of each code
    assert page.count("<svg") == 2
    assert "&lt;Erben&gt;" in page
    assert "<Erben>" not in page


def test_words_that_were_typed_in_wrong_are_refused_with_what_is_wrong() -> None:
    words = list(to_words(KEYS.root.seed))
    with pytest.raises(KeysRefused, match="these are 23"):
        root_key_in(" ".join(words[:-1]), ROOT)
    words[0], words[1] = words[1], words[0]
    if words[0] != words[1]:
        with pytest.raises(KeysRefused, match=r"changed places|not the root key"):
            root_key_in(" ".join(words), ROOT)
