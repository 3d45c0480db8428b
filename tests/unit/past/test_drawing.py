"""Pictures of a lineage: what a user once typed is text in each of them, and crowds are folded."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from ledger.cli.graph import graph_rows, plain
from ledger.past import drawing
from ledger.past.drawing import Drawn, Line, Picture, as_html, folded, mermaid, svg

HOSTILE = (
    "<script>alert(1)</script>",
    "</title></svg><script>x</script>",
    '"] --> x["',
    "end; click n0 href 'javascript:x'",
    "#quot;&lt;",
    "a\\nb\\l\\G\\N",
    "<<b>html</b>>",
    "%%{init: {}}%%",
    "line\nbreak",
    "Zoë 🧬 λ",
    "`backtick` |pipe| {brace} (paren)",
    "x" * 3_000,
)


def node(uid, registry="artifact", **given):
    return Drawn(**{"id": uid, "registry": registry, "label": uid, "detail": registry} | given)


def line(source, target, kind="input", **given):
    return Line(source=source, target=target, kind=kind, **given)


def picture_with(text):
    nodes = [node("a", label=text, detail=text), node("r", "run", label=text, mark="retracted")]
    return Picture(nodes=nodes, lines=[line("a", "r")], note=text)


def test_the_noise_of_the_font_library_is_left_out_and_nothing_else(capfd, monkeypatch):
    monkeypatch.setattr(drawing, "_drawn_before", [])
    with drawing._first_words_unsaid():
        os.write(2, b"Fontconfig warning: unknown element\nsomething else\n")
    assert capfd.readouterr().err == "something else\n"
    with drawing._first_words_unsaid():
        os.write(2, b"Fontconfig again\n")
    assert capfd.readouterr().err == "Fontconfig again\n"


def test_text_of_a_picture_stands_on_its_own_ground():
    drawn = svg(picture_with("x"))
    assert '<polygon fill="white"' in drawn  # so it can be read on a dark page


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.seen.update(f"@{name}" for name, _ in attrs if name.startswith("on"))


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_is_markup_in_an_svg(text):
    drawn = svg(picture_with(text))
    root = ET.fromstring(drawn)  # noqa: S314 (made here)
    tags = {element.tag.rsplit("}", 1)[-1] for element in root.iter()}
    assert tags <= {"svg", "g", "title", "polygon", "text", "ellipse", "path", "a", "polyline"}
    links = [it.get("{http://www.w3.org/1999/xlink}href") for it in root.iter()]
    assert not any(links)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_is_markup_in_html(text):
    tags = Tags()
    tags.feed(as_html(text, picture_with(text)))
    assert "script" not in tags.seen
    assert "b" not in tags.seen
    assert not {tag for tag in tags.seen if tag.startswith("@")}


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_is_syntax_in_mermaid(text):
    first, a, r, *rest = mermaid(picture_with(text)).splitlines()
    label = r"(?:[\w .,\-/·…:+=]|#\d+;|<br/>)*"
    assert first == "flowchart LR"
    assert re.fullmatch(rf'  n0\["{label}"\]:::artifact', a)
    assert re.fullmatch(rf'  n1\(\["{label}"\]\):::retracted', r)
    assert rest[0] == "  n0 --> n1"


def test_what_a_person_typed_is_still_read_in_an_svg():
    texts = " ".join(ET.fromstring(svg(picture_with("Zoë <b> & 🧬"))).itertext())  # noqa: S314
    assert "Zoë <b> & 🧬" in texts


@pytest.mark.parametrize(("n", "drawn"), [(4, 5), (5, 2), (500, 2)])
def test_five_siblings_or_more_are_one_node(n, drawn):
    nodes = [node("r", "run"), *(node(f"a{i}") for i in range(n))]
    found = folded(nodes, [line(f"a{i}", "r") for i in range(n)])
    assert len(found.nodes) == drawn
    assert sum(it.count for it in found.nodes) == n + 1
    if n >= 5:
        assert f"{n} artifacts" in {it.label for it in found.nodes}
        assert len(found.lines) == 1


def test_siblings_with_another_neighbour_are_not_folded():
    nodes = [node("r", "run"), node("s", "run"), *(node(f"a{i}") for i in range(5))]
    lines = [*(line(f"a{i}", "r") for i in range(5)), line("a0", "s")]
    assert len(folded(nodes, lines).nodes) == 7


def test_the_start_is_never_folded_away():
    nodes = [node("r", "run"), *(node(f"a{i}", is_start=i == 2) for i in range(6))]
    found = folded(nodes, [line(f"a{i}", "r") for i in range(6)])
    assert {it.id for it in found.nodes if it.is_start} == {"a2"}
    assert sorted(it.count for it in found.nodes) == [1, 1, 5]


def test_a_cycle_is_drawn():
    cycle = Picture(nodes=[node("a"), node("r", "run")], lines=[line("a", "r"), line("r", "a")])
    assert svg(cycle).count('class="edge"') == 2
    assert mermaid(cycle).count("-->") == 2
    assert [row[2] for row in graph_rows(cycle, upward=True)] == ["", "↺ a"]


# --- with characters ------------------------------------------------------------------------------


def tree(nodes, lines, *, upward=True):
    rows = graph_rows(Picture(nodes=nodes, lines=lines), upward=upward)
    return [f"{drawn}  {it.id}" if it else drawn for drawn, it, _ in rows]


def test_a_chain_is_a_column():
    nodes = [node("a"), node("r", "run"), node("b")]
    lines = [line("a", "r"), line("r", "b")]
    assert tree(nodes, lines) == ["●  b", "◆  r", "●  a"]
    assert tree(nodes, lines, upward=False) == ["●  a", "◆  r", "●  b"]


def test_lanes_part_and_join():
    nodes = [node(uid) for uid in "abcd"]
    lines = [line("a", "b"), line("a", "c"), line("b", "d"), line("c", "d")]
    assert tree(nodes, lines) == ["●  d", "├─╮", "● │  b", "│ ●  c", "├─╯", "●  a"]


def test_a_ladder_needs_two_lanes_however_long():
    nodes, lines = [node("a0"), node("b0")], []
    for n in range(1, 40):
        nodes += [node(f"r{n}", "run"), node(f"a{n}"), node(f"b{n}")]
        lines += [line(f"{side}{n - 1}", f"r{n}") for side in "ab"]
        lines += [line(f"r{n}", f"{side}{n}") for side in "ab"]
    rows = tree(nodes, lines)
    assert max(len(row.split("  ")[0]) for row in rows) == 3
    assert sum("  " in row for row in rows) == len(nodes)


def test_every_line_can_be_said_in_ascii():
    nodes = [node(uid) for uid in "abcdef"] + [node("r", "run"), node("s", "collection")]
    lines = [line(a, b) for a, b in ("ab", "ac", "bd", "cd", "ad", "er", "rd", "fs", "sd", "fd")]
    for row in tree(nodes, lines):
        assert plain(row).isascii()


def test_a_revision_is_a_remark():
    nodes = [node("a"), node("b")]
    rows = graph_rows(Picture(nodes=nodes, lines=[line("a", "b", "revision")]), upward=True)
    assert [row[2] for row in rows] == ["", "revises a"]
