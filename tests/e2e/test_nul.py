"""NUL, which no database takes as text, is refused wherever a text comes in.

On both databases alike.
"""

# ruff: noqa: ARG005 (one signature for all requests)

from __future__ import annotations

import sys

import pytest

import ledger as ln
from tests.support.door import artifact, file, label, nothing_recorded

NUL = "a\0b"
OPERATORS = {
    **dict.fromkeys(
        ("exact", "iexact", "contains", "icontains", "startswith", "istartswith", "endswith", "gt"),
        NUL,
    ),
    "in": ["x", NUL],
    "range": ["a", NUL],
}

# Each is asked of a saved artifact and a saved label.
REQUESTS = {
    "name": lambda a, x: ln.ULabel(name=NUL),
    "description": lambda a, x: setattr(x, "description", NUL),
    "new name": lambda a, x: setattr(x, "name", NUL),
    "key": lambda a, x: ln.Artifact(file("f"), key=NUL),
    "path": lambda a, x: ln.Artifact(NUL),
    "version": lambda a, x: ln.Artifact(file("f"), version=NUL),
    "storage": lambda a, x: ln.Artifact(file("f"), storage=NUL),
    "folder": lambda a, x: ln.Artifact.from_dir(NUL),
    "collection": lambda a, x: ln.Collection([a], name=NUL),
    "transform": lambda a, x: ln.Transform(name=NUL),
    "transform key": lambda a, x: ln.Transform(key=NUL),
    "transform version": lambda a, x: ln.Transform(name="t", version=NUL),
    "run": lambda a, x: ln.track(NUL),
    "run key": lambda a, x: ln.track(key=NUL),
    "parameter": lambda a, x: ln.track(key="k", params={"p": [NUL]}),
    "name of a parameter": lambda a, x: ln.track(key="k", params={NUL: 1}),
    "tag": lambda a, x: ln.tag(NUL),
    "retraction": lambda a, x: a.retract(NUL),
    "its end": lambda a, x: a.lift_retraction(NUL),
    "merger": lambda a, x: x.merge_into(ln.ULabel.get(name="y"), reason=NUL),
    "its undoing": lambda a, x: ln.ULabel.undo_merge(NUL),
    "erasure": lambda a, x: ln.erase(x, reason=NUL),
    "search": lambda a, x: ln.ULabel.search(NUL),
    "search of artifacts": lambda a, x: ln.Artifact.filter().search(NUL),
    "get": lambda a, x: ln.ULabel.get(NUL),
    "get by key": lambda a, x: ln.Artifact.get(key=NUL),
    "get by name": lambda a, x: ln.ULabel.get(name=NUL),
    "exclude": lambda a, x: ln.ULabel.filter().exclude(name=NUL),
    "uid": lambda a, x: ln.ULabel.filter(uid=NUL),
    "relation": lambda a, x: ln.ULabel.filter(run=NUL),
    "over a relation": lambda a, x: ln.Artifact.filter(labels__name=NUL),
    "storage asked for": lambda a, x: ln.Artifact.filter(storage_key=NUL),
    "parameters asked for": lambda a, x: ln.Run.filter(params__contains=NUL),
    "point": lambda a, x: ln.as_of(NUL),
    "checkpoint": lambda a, x: ln.as_of(f"a\n1\n{NUL}"),
    "actor": lambda a, x: ln.log(actor=NUL),
    "record": lambda a, x: ln.log(record=NUL),
    "run of a log": lambda a, x: ln.log(run=NUL),
    **{
        f"filter by {name}": lambda a, x, name=name, value=value: ln.ULabel.filter(
            **{f"name__{name}": value}
        )
        for name, value in OPERATORS.items()
    },
}


@pytest.mark.usefixtures("here")
def test_nul_is_refused_wherever_a_text_comes_in():
    ln.settings.verbosity = "error"
    made, tag = artifact("a.txt", key="a.txt"), label("x")
    label("y")
    for what, request in REQUESTS.items():
        with nothing_recorded(), pytest.raises(ln.errors.InvalidValueError) as caught:
            request(made, tag)
        assert "\0" not in str(caught.value), what


@pytest.mark.usefixtures("here")
def test_a_run_that_fails_with_nul_in_its_error_ends_all_the_same(monkeypatch):
    ln.settings.verbosity = "error"
    monkeypatch.setattr("sys.excepthook", lambda *_: None)
    monkeypatch.setattr(ln.context, "_exits", None)
    monkeypatch.setattr("atexit.register", lambda _: None)
    run = ln.track(key="k")
    error = ValueError(NUL)
    sys.excepthook(type(error), error, None)
    ln.context.leave()
    assert ln.Run.get(run.uid).error == "ValueError: a\\x00b"
