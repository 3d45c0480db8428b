"""Random histories of definitions and values, held against a dictionary at every position.

The dictionary knows nothing of events: each step changes it as a person would say what the step
does. After each step it is put aside with the position; at the end the ledger is asked as of each.
"""

from __future__ import annotations

import copy
import datetime as dt
import random
from typing import Any

import pytest

import ledger as ln
from ledger.places.kinds import CLASSES
from ledger.registries.typed import Record
from ledger.upkeep.rebuild import rebuild
from tests.support.judge import assert_log_and_read_models_agree

pytestmark = pytest.mark.usefixtures("here")

DAY = dt.date(2026, 1, 5)
VALUES: dict[str, tuple[Any, list[Any]]] = {
    "whole": (int, [0, -3, 2**53, 7]),
    "real": (float, [0.5, -0.0, 1e300, 3.0]),
    "text": (str, ["", "Ärger", "a b", "x" * 300]),
    "flag": (bool, [True, False]),
    "day": (dt.date, [DAY, dt.date(1900, 2, 28)]),
    "moment": (dt.datetime, [dt.datetime(2026, 1, 5, 12, 30, tzinfo=dt.UTC)]),
    "several": (list[str], [[], ["b", "a", "b"]]),
    "numbers": (list[float], [[1.5], [2.0, 1.0, 2.0]]),
}
NAMES = ["S1", "S2", "S3", "S4"]
State = dict[str, Any]


class Model:
    """What there is, as a person would say it, and the steps that change it and the ledger."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 (not a secret)
        self.kinds: dict[str, Any] = {}
        self.fields: dict[str, str] = {}  # present name to that in VALUES
        self.records: dict[str, State] = {}
        self.parents: dict[str, set[str]] = {}
        self.was: list[tuple[int, Any]] = []

    @property
    def cls(self) -> Any:
        """The class of the registry, as a script of this moment would write it."""
        if not self.kinds:
            return None
        made: Any = type(Record)
        annotations = {
            name: kind | None if not _lists(kind) else kind for name, kind in self.kinds.items()
        }
        return made("Probe", (Record,), {"__annotations__": annotations})

    def step(self) -> None:
        """Take one step, and put aside what is there after it."""
        steps = [self.define, self.create, self.create, self.change, self.change, self.change]
        steps += [self.rename, self.widen, self.retire, self.parent, self.unset, self.again]
        self.random.choice(steps)()
        self.was.append((ln.head(), copy.deepcopy((self.records, self.parents, set(self.fields)))))

    def define(self) -> None:
        free = [name for name in VALUES if name not in self.kinds]
        if free and not any(name.startswith("new_") for name in self.fields):
            name = self.random.choice(free)
            self.kinds[name], self.fields[name] = VALUES[name][0], name
            self.create()

    def create(self) -> None:
        if not self.kinds:
            return
        name = self.random.choice(NAMES)
        given = self._some()
        self._save(name, given)

    def change(self) -> None:
        if not self.records:
            return
        self._save(self.random.choice(sorted(self.records)), self._some())

    def unset(self) -> None:
        if self.records and self.fields:
            name, field = self.random.choice(sorted(self.records)), self._field()
            if field is not None:
                self._save(name, {field: [] if _lists(self._kind(field)) else None})

    def again(self) -> None:
        for name, values in self.records.items():
            head = ln.head()
            self._save(name, dict(values))
            assert ln.head() == head

    def rename(self) -> None:
        field = self._field()
        if self.records and field is not None and field in self.kinds:
            self.cls.schema.rename(field, f"new_{field}")
            self.fields[f"new_{field}"] = self.fields.pop(field)
            for values in self.records.values():
                if field in values:
                    values[f"new_{field}"] = values.pop(field)

    def widen(self) -> None:
        if self.records and self.kinds.get("whole") is int and "whole" in self.fields:
            self.cls.schema.retype("whole", float)
            self.kinds["whole"] = float
            for values in self.records.values():
                if "whole" in values:
                    values["whole"] = float(values["whole"])

    def retire(self) -> None:
        field = self._field()
        if self.records and field is not None and len(self.fields) > 2:
            self.cls.schema.retire(field)
            del self.fields[field]
            for values in self.records.values():
                values.pop(field, None)

    def parent(self) -> None:
        if len(self.records) > 1:
            low, high = sorted(self.random.sample(sorted(self.records), 2))
            ln.registry("probe").get(name=low).parents.add(ln.registry("probe").get(name=high))
            self.parents.setdefault(low, set()).add(high)

    def _field(self) -> str | None:
        return self.random.choice(sorted(self.fields)) if self.fields else None

    def _kind(self, field: str) -> Any:
        return self.kinds[self.fields[field]]

    def _some(self) -> State:
        chosen = [it for it in sorted(self.fields) if self.random.random() < 0.5]
        return {it: self.random.choice(VALUES[self.fields[it]][1]) for it in chosen}

    def _save(self, name: str, given: State) -> None:
        self.cls(name=name, **given).save()
        values = self.records.setdefault(name, {})
        for field, value in given.items():
            if value is None or value == []:
                values.pop(field, None)
            else:
                values[field] = float(value) if self._kind(field) is float else value


def _lists(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is list


@pytest.fixture(autouse=True)
def _quiet():
    ln.settings.verbosity = "error"
    yield
    CLASSES.pop("probe", None)


@pytest.mark.parametrize("seed", range(3))
def test_any_history_of_definitions_and_values_is_what_a_dictionary_says(seed):
    model = Model(seed)
    for _ in range(40):
        model.step()
    CLASSES.pop("probe", None)
    for position, (records, parents, fields) in model.was:
        if not records:
            continue
        then = ln.as_of(position).registry("probe")
        found = {it.name: it for it in then.filter()}
        assert set(found) == set(records), position
        assert fields <= {it.name for it in then.schema.fields}, position
        for name, values in records.items():
            got = {it: getattr(found[name], it) for it in fields}
            assert {it: v for it, v in got.items() if v is not None and v != []} == values, (
                position,
                name,
            )
            assert {it.name for it in found[name].parents} == parents.get(name, set()), position
        for field in sorted(fields):
            having = {name for name, values in records.items() if field in values}
            asked = then.filter(**{f"{field}__isnull": False})
            assert {it.name for it in asked} == having, (position, field)
    assert_log_and_read_models_agree()
    assert rebuild().differences == ()
    assert ln.audit().findings == ()
