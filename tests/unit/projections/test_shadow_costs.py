"""What fresh read models cost, counted in commits of the database that sorts their changes."""

from __future__ import annotations

import pytest

from projections import shadow as shadows
from projections.fold import Opened
from projections.shadow import Shadow
from tests.support.counting import Counted


def label(number: int) -> Opened:
    return Opened("ulabel", {"uid": f"{number:05}", "name": f"label {number}", "state": 0})


@pytest.mark.parametrize("size", [10, 300])
def test_a_shadow_commits_nothing_however_many_rows_it_makes(size, monkeypatch):
    monkeypatch.setattr(shadows, "_NOTED", 20)
    monkeypatch.setattr(shadows, "_FETCHED", 20)
    counted = Counted(monkeypatch)
    with Shadow() as shadow:
        for position in range(size):
            shadow.apply(position + 1, [label(position)])
        assert len(list(shadow.rows("ulabel"))) == size
        shadow.forget()
        shadow.apply(1, [label(0)])
        assert len(list(shadow.rows("ulabel"))) == 1
    assert any("live_names" in said for said in counted.statements)
    assert counted.commits == 0
