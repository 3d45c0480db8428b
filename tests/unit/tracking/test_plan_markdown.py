"""A plan as Markdown: another program reads it, and no name gets out of its span."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ledger.display.tables import shown
from ledger.tracking.plan import Plan, PlannedContent, SimilarName
from ledger.tracking.plan_markdown import code

HOSTILE = [
    "a | b",
    "`a` | ``b``",
    "`",
    "| `",
    "\\|",
    "\\",
    "[click](http://evil.example)",
    "<img src=x onerror=alert(1)>",
    "@everybody",
    "**bold**",
    " spaces ",
    "two\nlines",
    "\x1b[31mred",
    "  ",
]


class Parts(HTMLParser):
    """The tags of a page, and the text inside `<code>`."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.codes: list[str] = []
        self._inside = False

    def handle_starttag(self, tag, attrs):
        assert not attrs, (tag, attrs)
        self.tags.add(tag)
        self._inside = tag == "code"
        if self._inside:
            self.codes.append("")

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "code"

    def handle_data(self, data):
        if self._inside:
            self.codes[-1] += data
        else:
            assert "@" not in data


def read(text: str) -> Parts:
    parts = Parts()
    parts.feed(MarkdownIt("commonmark").enable("table").render(text))
    return parts


def planned(names: list[str]) -> Plan:
    plan = Plan()
    plan.contents = [PlannedContent(name=name, source="", size=1) for name in names]
    plan.similar_names = [
        SimilarName(registry="ulabel", name=name, similar=(name, name)) for name in names
    ]
    return plan


def test_names_of_an_enemy_stay_in_their_spans():
    plan = planned(HOSTILE)
    plan.error = HOSTILE[0]
    parts = read(plan.to_markdown(title=HOSTILE[1]))
    assert parts.tags <= {"h3", "p", "strong", "code", "table", "thead", "tbody", "tr", "th", "td",
                          "ul", "li"}  # fmt: skip
    names = [shown(name) for name in HOSTILE]
    assert parts.codes[:2] == [names[1], names[0]]
    assert parts.codes[2 : 2 + len(names)] == names
    assert parts.codes[2 + len(names) :] == [name for name in names for _ in range(3)]


@given(st.text(st.characters(codec="utf-8", categories=["L", "P", "S", "Zs"]), min_size=1))
def test_any_text_is_read_as_it_is(text):
    table = f"| a |\n| --- |\n| {code(text).replace('|', chr(92) + '|')} |\n"
    for page in (f"x {code(text)} y\n", table):
        (found,) = read(page).codes
        assert found == shown(text)


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_long_plan_is_cut_and_says_so(limit):
    text = planned(["a", "b", "c"]).to_markdown(limit=limit)
    assert text.startswith("### `this` would record no event and copy 3 bytes\n")
    assert ("… and 2 more" in text) == (limit == 1)
    assert ("3 of: content, bytes" in text) == (limit == 0)
    assert text.count("| `") == limit
