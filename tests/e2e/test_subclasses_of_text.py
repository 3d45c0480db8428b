"""Text of a class of its own, as arrays and enumerations give it, is recorded as plain text."""

from __future__ import annotations

import enum
from pathlib import Path

import numpy as np
import pytest

import ledger as ln
from tests.support.door import file

pytestmark = pytest.mark.usefixtures("here")


class Loud(str):
    """A text that shows itself as another one."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


class Tissue(enum.StrEnum):
    """A text that has a name."""

    LIVER = "liver"


@pytest.mark.parametrize(
    "text", [np.str_("liver"), Loud("liver"), Tissue.LIVER], ids=["numpy", "own", "enum"]
)
def test_a_subclass_of_text_is_the_text_that_it_is(text):
    label = ln.ULabel(name=text, description=text).save()
    assert [type(it) for it in (label.name, label.description)] == [str, str]
    assert (label.name, label.description) == ("liver", "liver")
    label.name = np.str_("kidney")
    assert label.save().name == "kidney"
    made = ln.Artifact(Path(file("a.txt")), key=text, description=text, version=text).save()
    assert (made.key, made.description, made.version) == ("liver", "liver", "liver")
    assert ln.Artifact(type(text)("a.txt") if text is not Tissue.LIVER else "a.txt").save() == made
    assert ln.Collection([made], name=text, description=text).save().name == "liver"
    ln.tag(text)
    assert ln.as_of("liver").position == ln.head() - 1
    made.retract(text)
    assert made.retraction == "liver"
    assert ln.Artifact.get(key=text) == made
    assert ln.Artifact.filter(description__startswith=text).one() == made
    assert ln.ULabel.search(text).count() == 1
    run = ln.track(key=text, params={text: text}, new_run=True)
    ln.finish()
    assert run.transform.key == "liver"
    assert run.params == {"liver": "liver"}


def test_labels_may_be_named_by_an_array():
    names = np.unique(np.array(["T cell", "B cell"]))
    saved = ln.save([ln.ULabel(name=name) for name in names])
    assert [it.name for it in saved] == ["B cell", "T cell"]
    assert ln.ULabel.filter(name__in=names).count() == 2


@pytest.mark.parametrize(
    ("name", "letter"),
    [
        ("\N{CYRILLIC CAPITAL LETTER TE} cell", "CYRILLIC CAPITAL LETTER TE"),
        ("T \N{CYRILLIC SMALL LETTER ES}ell", "CYRILLIC SMALL LETTER ES"),
        ("\N{GREEK CAPITAL LETTER TAU} cell", "GREEK CAPITAL LETTER TAU"),
    ],
)
def test_letters_that_only_look_alike_are_named(name, letter, capfd):
    ln.ULabel(name="T cell").save()
    capfd.readouterr()
    ln.ULabel(name=name)
    said = capfd.readouterr().err
    assert "only look alike" in said
    assert letter in said
    ln.ULabel(name="T  cell")
    assert "only look alike" not in capfd.readouterr().err
