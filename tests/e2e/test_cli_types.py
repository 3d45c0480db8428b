"""`registry`, `record` and `annotate`: registries of one's own, without their classes."""

# ruff: noqa: F401, F811 (the fixture `made` is imported)

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.command import environment, made, metaledger

SCRIPT = """
import ledger as ln

class Donor(ln.Record):
    age: int | None = ln.field(ge=0, le=130, description="years at enrolment")

class Sample(ln.Record):
    donor: Donor
    volume: float | None = ln.field(unit="mL")

Sample(name="S2", donor=Donor(name="D2", age=1).save()).save()
ln.Feature(name="temperature", dtype=float, unit="degC").save()
open("x.csv", "w").write("1")
print(ln.Artifact("x.csv", key="x.csv").save().uid)
"""


@pytest.fixture
def plate(made):
    """The folder of a ledger with two registries, and the uid of an artifact."""
    said = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=made,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return made, said.stdout.split()[-1]


def test_registries_are_shown_with_their_fields(plate):
    folder, _ = plate
    assert [
        it["registry"] for it in metaledger(folder, "registry", "list", "--json").json_lines
    ] == [
        "donor",
        "sample",
    ]
    said = metaledger(folder, "registry", "show", "sample").out
    assert "volume" in said
    assert "mL" in said


def test_records_are_added_with_typed_values(plate):
    folder, _ = plate
    added = metaledger(folder, "record", "add", "donor", "D7", "age=61", "--json").json
    assert (added["name"], added["age"]) == ("D7", 61)
    assert "130" in metaledger(folder, "record", "add", "donor", "D8", "age=999", status=1).err
    assert "int" in metaledger(folder, "record", "add", "donor", "D8", "age=old", status=1).err
    (folder / "donors.csv").write_text("name,age\nD20,33\nD21,34\n")
    assert metaledger(folder, "record", "import", "donor", "donors.csv").out.startswith("2 records")
    assert "0 new" in metaledger(folder, "record", "import", "donor", "donors.csv").out
    (folder / "bad.csv").write_text("name,age\nD22,33\nD23,340\n")
    assert "130" in metaledger(folder, "record", "import", "donor", "bad.csv", status=1).err
    listed = metaledger(folder, "list", "sample", "--filter", "donor=D2").out
    assert "S2" in listed


def test_features_are_set_and_taken_away(plate):
    folder, uid = plate
    metaledger(folder, "annotate", uid, "temperature=36.6")
    assert "36.6" in metaledger(folder, "history", uid).out
    metaledger(folder, "annotate", uid, "temperature=")
    assert "no feature" in metaledger(folder, "annotate", uid, "temprature=1", status=1).err
    metaledger(folder, "diff", "1", "now")
    metaledger(folder, "audit")


def test_what_is_typed_is_listed_searched_and_shown(plate):
    folder, uid = plate
    script = (
        "import ledger as ln\nimport datetime as dt\n"
        "class Visit(ln.Record, key=('donor', 'day')):\n    donor: ln.registry('donor')\n"
        "    day: dt.date\n"
        "Visit(donor='D2', day='2026-02-01').save()\nprint(Visit.filter())"
    )
    told = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "day=datetime.date(2026, 2, 1), donor='D2'" in told.stdout
    assert "2026-02-01  D2" in metaledger(folder, "list", "visit").out
    assert metaledger(folder, "record", "add", "sample", "S3", "donor=D2", "volume=2").out
    assert "2.0" in metaledger(folder, "list", "sample").out
    # A registry without names has nothing to search in but uids.
    assert "Sample:" in metaledger(folder, "search", "S3").out
    assert "nothing found" in metaledger(folder, "search", "immunology").err
    metaledger(folder, "annotate", uid, "temperature=36.6")
    assert "36.6 degC" in metaledger(folder, "show", uid).out
    assert metaledger(folder, "show", uid, "--json").json["features"] == {
        "temperature": "36.6 degC"
    }
    assert "temperature=36.6" in metaledger(folder, "log", "--limit", "1").out
