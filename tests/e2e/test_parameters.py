"""Parameters come back as the values that were given, and runs are found by them."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

import ledger as ln
from ledger.errors import InvalidValueError
from tests.e2e.command import made, metaledger  # noqa: F401 (a fixture)

GIVEN = {
    "lr": 0.5,
    "layers": [64, 2.5],
    "n": 2**60,
    "huge": 2**80,
    "deep": {"eps": 1e-08},
    "one": {"float": "y"},
    "flag": True,
    "nothing": None,
    "clf__max_depth": 3,
}


def run_with(**params):
    run = ln.track(key="train.py", params=params, new_run=True)
    ln.finish()
    return run


def numbers(*queries, **lookups):
    every = [run.uid for run in ln.Run.filter()]
    return [1 + every.index(run.uid) for run in ln.Run.filter(*queries, **lookups)]


@pytest.mark.usefixtures("here")
def test_every_way_out_gives_the_values_back():
    run = run_with(**GIVEN)
    assert run.params == ln.Run.get(run.uid).params == GIVEN
    assert type(run.params["n"]) is int
    table = ln.Run.filter().to_arrow()
    assert json.loads(table.column("params")[0].as_py()) == GIVEN
    for shown in (run._repr_html_(), ln.Run.filter()._repr_html_()):
        assert "deep={&#x27;eps&#x27;: 1e-08}" in shown
    (difference,) = [it for it in ln.diff(0, ln.head()) if it.registry == "run"]
    assert difference.changes["params"][1] == GIVEN


@pytest.mark.usefixtures("here")
def test_runs_are_found_by_their_parameters():
    run_with(**GIVEN)
    before = ln.head()
    run_with(**GIVEN | {"lr": 0.01, "deep": {"eps": 1}})
    run_with()
    assert numbers(params__lr=0.5) == [1]
    assert numbers(params__lr__lt=0.1) == [2]
    assert numbers(params__deep__eps=1) == numbers(params__deep__eps=1.0) == [2]
    assert numbers(params__n=2**60, params__huge__gt=2**80 - 1) == [1, 2]
    assert numbers(params__clf__max_depth=3) == [1, 2]
    assert numbers(params__layers=(64, 2.5), params__one={"float": "y"}) == [1, 2]
    assert numbers(params__flag=1) == []
    assert numbers(params__nothing__isnull=True, params__flag=True) == [1, 2]
    assert numbers(params=GIVEN) == [1]
    assert numbers(params={}) == [3]
    assert numbers(ln.Q(params__lr=0.01) | ~ln.Q(params__n__gt=0)) == [2, 3]
    assert ln.as_of(before).Run.filter(params__lr__gt=0).count() == 1
    for lookups, message in (
        ({"params__lr__lt": [1]}, "a number or a text"),
        ({"params__lr": object()}, r"lookup 'params__lr': expected text, a number"),
        ({"params__lr": None}, "params__lr__isnull"),
        ({"params__lr__range": (1, "a")}, "two values of one kind"),
        ({"modules__numpy": "2"}, "is no comparison"),
    ):
        with pytest.raises(InvalidValueError, match=message):
            ln.Run.filter(**lookups).count()


@pytest.mark.usefixtures("here")
def test_a_table_of_runs_has_a_column_for_each_parameter():
    run_with(**GIVEN)
    run_with(lr=1, deep={"eps": 0.5, "on": True}, n="many", nan=math.nan)
    table = ln.Run.filter().to_arrow()
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    assert columns["params.lr"] == [0.5, 1.0]
    assert columns["params.deep.eps"] == [1e-08, 0.5]
    assert columns["params.deep.on"] == [None, True]
    assert columns["params.n"] == [str(2**60), "many"]
    assert columns["params.huge"] == [str(2**80), None]
    assert columns["params.layers"] == ["[64, 2.5]", None]
    assert math.isnan(columns["params.nan"][1])
    assert "params.nothing" not in columns
    assert list(ln.Run.filter().df()["params.lr"]) == [0.5, 1.0]
    # A relation, or a field of another registry, has no columns of this kind.
    assert not any("." in name for name in ln.Transform.filter().to_arrow().column_names)


def test_the_command_shows_parameters_and_filters_by_them(made):  # noqa: F811
    script = (
        "import ledger as ln\n"
        "for lr in (0.5, '0.5', 0.01):\n"
        "    ln.track(key='train.py', params={'lr': lr, 'inf': float('inf')}, new_run=True)\n"
        "    ln.finish()\n"
    )
    (made / "train.py").write_text(script)
    subprocess.run([sys.executable, "train.py"], cwd=made, check=True)
    runs = metaledger(made, "list", "run", "--json").json_lines
    assert [run["params"] for run in runs] == [
        {"inf": "inf", "lr": 0.01}, {"inf": "inf", "lr": "0.5"}, {"inf": "inf", "lr": 0.5},
    ]  # fmt: skip

    def found(*filters):
        options = [part for each in filters for part in ("--filter", each)]
        listed = metaledger(made, "list", "run", *options, "--json").json_lines
        return [run["params"]["lr"] for run in listed]

    # What is typed may have been recorded as a number or as text.
    assert found("params__lr=0.5") == ["0.5", 0.5]
    assert found("params__lr__exact=0.01") == found("params__lr__lt=0.1") == [0.01]
    assert found("params__lr__in=0.01,7") == [0.01]
    assert found("params__lr__range=0,1") == [0.01, 0.5]
    assert found("params__lr__startswith=0") == ["0.5"]
    assert found("params__lr__isnull=true") == []
    assert "lr=0.01" in metaledger(made, "list", "run").out
    assert "lr=0.01" in metaledger(made, "show", runs[0]["uid"]).out
