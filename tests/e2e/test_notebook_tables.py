"""What a notebook shows: tables of the log, of tags, of an audit and of checkpoints."""

from __future__ import annotations

import pytest

import ledger as ln
from tests.support.door import label

pytestmark = pytest.mark.usefixtures("here")


def told() -> dict[str, object]:
    label("<b>bold</b>")
    ln.tag("<i>then</i>")
    return {"log": ln.log(), "tags": ln.tags(), "audit": ln.audit(), "checkpoint": ln.checkpoint()}


@pytest.mark.parametrize("name", ["log", "tags", "audit", "checkpoint"])
def test_a_notebook_shows_a_table_in_which_text_is_text(name):
    shown = told()[name]._repr_html_()
    assert "<table>" in shown
    assert "<b>bold" not in shown
    assert "<i>" not in shown


def test_the_log_and_the_tags_are_lists_and_tables():
    label("one")
    ln.tag("then")
    log, tags = ln.log(), ln.tags()
    assert isinstance(log, list)
    assert log.rows()[-1]["position"] == ln.head() == len(log)
    assert tags.columns() == ["name", "position", "tagged_at", "actor"]
    assert tags.to_arrow()["name"].to_pylist() == ["then"]
    assert list(log.df()["actor"]) == [it.actor for it in log]


def test_an_audit_in_a_notebook_lists_what_it_found():
    label("one")
    report = ln.audit()
    assert "everything adds up" in report._repr_html_()
