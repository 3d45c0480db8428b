"""Registries and features that several programs define at the same moment."""

from __future__ import annotations

import pytest

import ledger as ln
from tests.support import processes
from tests.support.judge import assert_log_and_read_models_agree

pytestmark = pytest.mark.usefixtures("here")

DEFINE = """
class Donor(ln.Record):
    age: int | None = None
    {field}: {kind} | None = None

ln.Feature  # loaded before the barrier
barrier()
ln.Feature(name="temperature", dtype=float, unit="degC").save()
Donor(name="D1", {field}={value!r}).save()
Donor(name="own {field}").save()
print(ln.head())
"""


def test_programs_that_define_one_registry_leave_the_union_of_its_fields():
    fields = {"sex": ("str", "f"), "weight": ("float", 61.5), "visits": ("int", 3)}
    texts = [
        DEFINE.format(field=field, kind=kind, value=value)
        for field, (kind, value) in fields.items()
    ]
    processes.together(*texts)
    donor = ln.registry("donor")
    assert {it.name for it in donor.schema.fields} == {"name", "age", *fields}
    one = donor.get(name="D1")
    assert {field: getattr(one, field) for field in fields} == {
        field: value for field, (_, value) in fields.items()
    }
    assert donor.filter().count() == 1 + len(fields)
    assert ln.Feature.filter().count() == 1
    changes = [it.what for it in donor.schema.history()]
    assert changes.count("defined") == 1
    assert len(changes) == len(fields)
    assert_log_and_read_models_agree()
    head = ln.head()
    processes.together(*texts)
    assert ln.head() == head


def test_one_field_of_two_types_is_defined_by_one_program_and_refused_to_the_other():
    body = """
class Donor(ln.Record):
    code: {kind} | None = None

barrier()
try:
    Donor(name={name!r}, code={value!r}).save()
    print("saved")
except ln.errors.CommandRejectedError as error:
    print("refused", error)
"""
    said = processes.together(
        body.format(kind="int", name="a", value=1), body.format(kind="str", name="b", value="x")
    )
    assert sorted(it.split()[0] for it in said) == ["refused", "saved"]
    assert "retype" in "".join(said)
    donor = ln.registry("donor")
    assert donor.filter().count() == 1
    (field,) = [it for it in donor.schema.fields if it.name == "code"]
    assert field.type == ("int" if donor.filter().one().name == "a" else "str")
    assert_log_and_read_models_agree()
