"""The stories: each fault is made for real, the shell names its cause in three commands at most, and the pages say the same."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from crdt_pos.till import Till
from tools.stories import COMMANDS_MAX, page, tell
from tools.story_faults import STORIES, Story
from tools.story_shop import StoryShop, sale

PAGES = Path(__file__).parents[2] / "docs/stories"


def names(story: Story) -> str:
    return story.name


@pytest.mark.parametrize("story", STORIES, ids=names)
def test_the_shell_finds_the_cause(story: Story, tmp_path: Path) -> None:
    told = tell(story, tmp_path / story.name)
    assert told.missing == []
    assert str(tmp_path) not in page(told)


@pytest.mark.parametrize("story", STORIES, ids=names)
def test_where_nothing_is_wrong_it_finds_nothing(story: Story, tmp_path: Path) -> None:
    def well(shop: StoryShop) -> str:
        def sells(till: Till) -> None:
            till.open_date(shop.date)
            till.sell(sale(100, "Tea"))
            till.publish()

        tills = [f"till-12-{number}" for number in story.tills]
        for till in tills:
            shop.at_till(till, sells)
        shop.meet("office", *tills)
        return ""

    told = tell(replace(story, fault=well), tmp_path / story.name)
    assert told.missing == list(story.cause)


@pytest.mark.parametrize("story", STORIES, ids=names)
def test_its_page_shows_the_commands_and_what_they_said(story: Story) -> None:
    text = (PAGES / f"{story.name}.md").read_text("utf-8")
    typed = re.findall(r"^\$ crdt-pos shell --at (\S+) -c '(.*)'$", text, re.MULTILINE)
    assert len(typed) == len(story.commands) <= COMMANDS_MAX
    for (folder, line), (asked, pattern) in zip(typed, story.commands, strict=True):
        assert folder == asked
        assert re.fullmatch(re.escape(pattern).replace(r"\{date\}", r"\d{4}-\d\d-\d\d"), line)
    said = " ".join(text.split())
    for cause in story.cause:
        assert re.search(cause, said), cause
