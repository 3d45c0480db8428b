"""Features and records of LaminDB as features and registries of this ledger.

1. A type of records that has records is a registry; what its records bear are its fields.
2. A feature is of the type that LaminDB says. Where it says only that values are of a category,
   the links that bear the feature tell which.
3. Where one record bears a feature several times, the feature is a list.
4. What cannot be told so is not lost: it is counted, and kept as it is (`kept`).
"""

from __future__ import annotations

import datetime as dt
import keyword
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import msgspec

from ledger.bridges.lamindb.chosen import Chosen
from ledger.bridges.lamindb.kept import Unplaced
from ledger.bridges.lamindb.read import Row
from ledger.bridges.steps import (
    AnyStep,
    FeatureSeen,
    FieldSeen,
    LeftOut,
    RecordSeen,
    RegistrySeen,
    ValuesSeen,
)
from ledger.model.schema import REGISTRIES
from ledger.registries.typed import taken_names

_MOST = 60  # characters of a name
_PLAIN = {
    "int": "int", "float": "float", "num": "float", "str": "str", "bool": "bool", "date": "date",
    "datetime": "datetime", "dict": "dict", "path": "str", "url": "str", "cat": "str",
}  # fmt: skip
_LABEL = re.compile(r"cat\[ULabel\b.*\]")
_TAKEN_TITLES = {spec.title for spec in REGISTRIES.values()} | {"Record", "Registry", "Field"}
_UNPLACED_VALUE = "a value that no feature here can hold"
_NO_TYPE = "its type has none here"


class _Value(msgspec.Struct, frozen=True):
    """A value that a record bears: of a feature, with the row that says so.

    Attributes:
        value: A plain value, or the ref of a record in a tuple.
        target: Type of the record that it leads to; None for a plain value.
        table: Name here of the table of the row.
    """

    feature: int
    value: Any
    target: str | None
    table: str
    row: Row
    ends: tuple[tuple[str, int], ...] = ()


class Typed:
    """Steps of features, registries, records and values; `unplaced` is what remains."""

    def __init__(self, reader: Chosen) -> None:
        """Find out which type each feature and registry has."""
        self._reader = reader
        self.unplaced: list[Unplaced] = []
        self._titles = self._registries()
        self._of_artifact = self._artifact_values()
        self._of_run = self._run_values()
        self._of_record = self._record_values()
        borne = {**self._of_artifact, **{("run", key): it for (_, key), it in self._of_run.items()}}
        self._features = self._typed(borne)
        self._fields = {
            kind: self._typed(
                {key: it for key, it in self._of_record.items() if self._kind(key) == kind}
            )
            for kind in self._titles
        }

    def steps(self) -> Iterator[AnyStep]:
        """Return every step; what cannot be placed is in `unplaced` then."""
        yield from self._feature_steps()
        yield from self._record_steps()
        yield from self._value_steps()

    # --- what bears which values -----------------------------------------------------------------

    def _artifact_values(self) -> dict[tuple[str, int], list[_Value]]:
        reader, found = self._reader, {}  # type: ignore[var-annotated]
        values = reader.by_id.get("value", {})
        for row in reader.instance.rows("artifactvalue"):
            value = values.get(row["value_id"])
            if value is not None and value["feature_id"] is not None:
                one = _Value(value["feature_id"], value["value"], None, "artifactvalue", row)
                found.setdefault(("artifact", row["artifact_id"]), []).append(one)
            else:
                self._drop("artifactvalue", row)
        for row in reader.instance.rows("artifactulabel"):
            if row["feature_id"] is not None:
                one = self._link("artifactulabel", row, "ulabel", row["ulabel_id"])
                found.setdefault(("artifact", row["artifact_id"]), []).append(one)
        for row in reader.instance.rows("artifactrecord"):
            if row["feature_id"] is not None and self._title(row["record_id"]) is not None:
                one = self._link("artifactrecord", row, "record", row["record_id"])
                found.setdefault(("artifact", row["artifact_id"]), []).append(one)
            else:
                self._drop("artifactrecord", row, "a link to a record without a feature")
        return found

    def _run_values(self) -> dict[tuple[str, int], list[_Value]]:
        found: dict[tuple[str, int], list[_Value]] = {}
        values = self._reader.by_id.get("value", {})
        for row in self._reader.instance.rows("runvalue"):
            value = values.get(row["value_id"])
            if value is not None and value["feature_id"] is not None:
                one = _Value(value["feature_id"], value["value"], None, "runvalue", row)
                found.setdefault(("run", row["run_id"]), []).append(one)
        return found

    def _record_values(self) -> dict[tuple[str, int], list[_Value]]:
        reader, found = self._reader, {}  # type: ignore[var-annotated]
        for row in reader.instance.rows("recordjson"):
            one = _Value(row["feature_id"], row["value"], None, "recordjson", row)
            found.setdefault(("record", row["record_id"]), []).append(one)
        for table, target in (("recordulabel", "ulabel"), ("recordrecord", "record")):
            for row in reader.instance.rows(table):
                if target == "record" and self._title(row["value_id"]) is None:
                    self._drop(table, row)
                    continue
                one = self._link(table, row, target, row["value_id"])
                found.setdefault(("record", row["record_id"]), []).append(one)
        return found

    def _link(self, table: str, row: Row, target: str, key: int) -> _Value:
        uid = str(self._reader.by_id[target][key]["uid"])
        title = "ULabel" if target == "ulabel" else str(self._title(key))
        return _Value(row["feature_id"], (uid,), title, table, row, ((target, key),))

    # --- types -----------------------------------------------------------------------------------

    def _registries(self) -> dict[int, str]:
        """Return the title of each type of records that has records, by its id."""
        records = self._reader.instance.rows("record")
        used = {
            it["type_id"]
            for it in records
            if it["type_id"] is not None and not it["is_type"] and it["id"] in self._brought
        }
        found: dict[int, str] = {}
        for row in records:
            if row["id"] in used and row["is_type"]:
                title = name = _title(str(row["name"] or row["uid"]))
                number = 2
                while title in _TAKEN_TITLES or title.lower() in map(str.lower, found.values()):
                    title, number = f"{name}{number}", number + 1
                found[row["id"]] = title
        return found

    @property
    def _brought(self) -> set[int]:
        return self._reader.brought["record"]

    def _kind(self, key: tuple[str, int]) -> int | None:
        row = self._reader.by_id["record"].get(key[1])
        found = None if row is None else row["type_id"]
        return found if found in self._titles else None

    def _title(self, record: int | None) -> str | None:
        """Return the registry of a record; None where it has none, or does not come in."""
        if record is None or record not in self._brought:
            return None
        row = self._reader.by_id["record"][record]
        return None if row["is_type"] else self._titles.get(row["type_id"])

    def _typed(self, borne: dict[tuple[str, int], list[_Value]]) -> dict[int, FieldSeen]:
        """Return the field of each feature that these records bear, or that is defined."""
        targets: dict[int, set[str | None]] = {}
        many: set[int] = set()
        for values in borne.values():
            seen: set[int] = set()
            for it in values:
                targets.setdefault(it.feature, set()).add(it.target)
                if it.feature in seen:
                    many.add(it.feature)
                seen.add(it.feature)
        found: dict[int, FieldSeen] = {}
        names: set[str] = set()
        for row in self._reader.instance.rows("feature"):
            if row["id"] not in self._reader.brought["feature"] or row["is_type"]:
                continue
            kind = self._type(str(row["dtype"] or ""), targets.get(row["id"], set()))
            if kind is None:
                continue
            name = field_name(str(row["name"]))
            while name in names:
                name += "_2"
            names.add(name)
            if row["id"] in many and not kind.startswith("list["):
                kind = f"list[{kind}]"
            found[row["id"]] = FieldSeen(
                name=name,
                type=kind,
                unit=row["unit"] or None,
                description=row["description"] or None,
            )
        return found

    def _type(self, dtype: str, targets: set[str | None]) -> str | None:
        """Return the type of a feature; None where there is none for it here."""
        inner, is_list = dtype, False
        if dtype.startswith("list[") and dtype.endswith("]"):
            inner, is_list = dtype[5:-1], True
        linked = targets - {None}
        if len(linked) == 1 and None not in targets:
            found: str | None = f"record[{linked.pop()}]"
        elif linked:
            return None
        elif _LABEL.fullmatch(inner):
            found = "record[ULabel]"
        elif inner.startswith("cat["):
            found = self._named_type(inner)
        else:
            found = _PLAIN.get(inner)
        return found if found is None or not is_list else f"list[{found}]"

    def _named_type(self, dtype: str) -> str | None:
        """Return the type that `cat[Record[Donor]]` means: by the uid or the name of a type."""
        if not dtype.startswith("cat[Record"):
            return None
        parts = [it for it in re.split(r"[\[\]]", dtype.split("].", 1)[0]) if it][2:]
        for row in self._reader.instance.rows("record"):
            if parts and row["id"] in self._titles and parts[-1] in {row["uid"], row["name"]}:
                return f"record[{self._titles[row['id']]}]"
        return None

    # --- steps -----------------------------------------------------------------------------------

    def _feature_steps(self) -> Iterator[AnyStep]:
        reader = self._reader
        for row in reader.rows_in("feature"):
            field = self._features.get(row["id"])
            if field is None:
                self._drop("feature", row, _NO_TYPE)
                yield LeftOut(table="feature", row=row["uid"], why=_NO_TYPE)
                continue
            yield FeatureSeen(**reader.born("feature", row), ref=row["uid"], feature=field)

    def _record_steps(self) -> Iterator[AnyStep]:
        reader = self._reader
        done: dict[int, dict[int, FieldSeen]] = {}
        first = min(
            (reader.at["record", it["id"]] for it in reader.rows_in("record")), default=None
        )
        for kind in self._in_order():
            row = reader.by_id["record"][kind]
            done[kind] = self._known_fields(kind, done)
            yield RegistrySeen(
                **reader.born("record", row) | {"at": first},
                ref=row["uid"],
                name=self._titles[kind],
                description=row["description"] or None,
                fields=tuple(done[kind].values()),
            )
        yield from self._records(done)

    def _in_order(self) -> list[int]:
        """Return types of records, each after those that its fields lead to as far as that goes."""
        found: list[int] = []
        by_title = {title: kind for kind, title in self._titles.items()}

        def visit(kind: int, path: tuple[int, ...]) -> None:
            if kind in found or kind in path:
                return
            for field in self._fields[kind].values():
                if target := re.search(r"record\[(\w+)\]", field.type):
                    other = by_title.get(target[1])
                    if other is not None:
                        visit(other, (*path, kind))
            found.append(kind)

        for kind in self._titles:
            visit(kind, ())
        return found

    def _known_fields(self, kind: int, done: dict[int, Any]) -> dict[int, FieldSeen]:
        """Return the fields that records of a type bear, and that lead to what is defined."""
        titles = {"ULabel", self._titles[kind], *(self._titles[it] for it in done)}
        used = {it.feature for key, values in self._of_record.items() if self._kind(key) == kind
                for it in values}  # fmt: skip
        found = {}
        for feature, field in self._fields[kind].items():
            target = re.search(r"record\[(\w+)\]", field.type)
            if feature in used and (target is None or target[1] in titles):
                name = field.name
                if name in taken_names():
                    name += "_value"
                found[feature] = msgspec.structs.replace(field, name=name)
        return found

    def _records(self, fields: dict[int, dict[int, FieldSeen]]) -> Iterator[AnyStep]:
        reader = self._reader
        names: dict[tuple[int, str], str] = {}
        placed: set[int] = set()
        for row in self._by_reference(reader.rows_in("record")):
            kind = row["type_id"]
            if row["is_type"]:
                if row["id"] not in self._titles:
                    why = "a type of records without records"
                    self._drop("record", row, why)
                    yield LeftOut(table="record", row=row["uid"], why=why)
                continue
            if kind not in self._titles:
                why = "a record without a type"
                self._drop("record", row, why)
                yield LeftOut(table="record", row=row["uid"], why=why)
                continue
            name = str(row["name"] or row["uid"])
            if names.setdefault((kind, name), row["uid"]) != row["uid"]:
                name = f"{name} ({row['uid']})"
            at = reader.at["record", row["id"]]
            borne = []
            for it in self._of_record.get(("record", row["id"]), []):
                late = [end for end in it.ends if end[0] == "record" and end[1] not in placed]
                if late or any(end[1] not in reader.brought[end[0]] for end in it.ends):
                    self._drop(it.table, it.row, "a link to a record that leads back to it")
                    continue
                at = max(at, *(reader.at[end] for end in it.ends), at)
                borne.append(it)
            reader.at["record", row["id"]] = at
            placed.add(row["id"])
            yield RecordSeen(
                **reader.born("record", row),
                ref=row["uid"],
                registry=self._titles[kind],
                name=name,
                values=self._values(borne, fields[kind]),
            )

    def _by_reference(self, rows: list[Row]) -> list[Row]:
        """Return records, each after those that its values lead to as far as that goes."""
        wanted = {row["id"]: row for row in rows}
        found: dict[int, Row] = {}
        for row in rows:
            path = [row["id"]]
            while path:
                here = path[-1]
                ends = (end for it in self._of_record.get(("record", here), []) for end in it.ends)
                next_one = next(
                    (
                        key
                        for table, key in ends
                        if table == "record"
                        and key in wanted
                        and key not in found
                        and key not in path
                    ),
                    None,
                )
                if next_one is not None:
                    path.append(next_one)
                else:
                    found[here] = wanted[here]
                    path.pop()
        return list(found.values())

    def _value_steps(self) -> Iterator[AnyStep]:
        for table, borne in (("artifact", self._of_artifact), ("run", self._of_run)):
            for (_, key), values in borne.items():
                if key in self._reader.brought[table]:
                    yield from self._values_of(table, key, values)

    def _values_of(self, table: str, key: int, values: list[_Value]) -> Iterator[AnyStep]:
        """Return the steps of one record: a step for what was set at one time by one run."""
        reader = self._reader
        by_feature: dict[int, list[_Value]] = {}
        for it in values:
            is_in = all(end[1] in reader.brought[end[0]] for end in it.ends)
            if is_in and it.feature in self._features:
                by_feature.setdefault(it.feature, []).append(it)
            else:
                self._drop(it.table, it.row)
        steps: dict[tuple[Any, ...], dict[str, Any]] = {}
        for feature, same in by_feature.items():
            ends = [(table, key), ("feature", feature), *(end for it in same for end in it.ends)]
            when = max((reader.linked(it.row, *ends) for it in same), key=lambda it: it["at"])
            if table == "run":
                when["run"] = None
            found = self._values(same, self._features)
            steps.setdefault(tuple(when.items()), {}).update(found)
        uid = reader.by_id[table][key]["uid"]
        for told, found in steps.items():
            if found:
                yield ValuesSeen(table=table, row=uid, ref=uid, values=found, **dict(told))

    def _values(self, borne: list[_Value], fields: dict[int, FieldSeen]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for it in borne:
            field = fields.get(it.feature)
            if field is None:
                self._drop(it.table, it.row)
                continue
            try:
                value = it.value if it.target else converted(it.value, field.type)
            except (TypeError, ValueError):
                self._drop(it.table, it.row)
                continue
            if not field.type.startswith("list["):
                found[field.name] = value
            elif it.target:
                found[field.name] = (*found.get(field.name, ()), *value)
            else:
                more = value if isinstance(value, list) else [value]
                found[field.name] = [*found.get(field.name, []), *more]
        return found

    def _drop(self, table: str, row: Row, why: str = _UNPLACED_VALUE) -> None:
        """Note a row that has no place."""
        if table == "artifactvalue":
            value = self._reader.by_id.get("value", {}).get(row["value_id"], {})
            row = row | {"value": value.get("value"), "feature_id": value.get("feature_id")}
        self.unplaced.append(Unplaced(self._reader.instance.name(table), row, why))


def converted(value: Any, kind: str) -> Any:  # noqa: PLR0911 (one a kind)
    """Return a JSON value as a value of a type.

    Raises:
        ValueError: It cannot be one.
        TypeError: Likewise.
    """
    if kind.startswith("list["):
        inner = kind[5:-1]
        return (
            [converted(it, inner) for it in value]
            if isinstance(value, list)
            else converted(value, inner)
        )
    match kind:
        case "int" if isinstance(value, int | float) and not isinstance(value, bool):
            if value != int(value):
                raise ValueError(value)
            return int(value)
        case "float" if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        case "bool" if isinstance(value, bool):
            return value
        case "str" if isinstance(value, str):
            return value
        case "dict" if isinstance(value, dict):
            return value
        case "date" if isinstance(value, str):
            return dt.date.fromisoformat(value[:10])
        case "datetime" if isinstance(value, str):
            found = dt.datetime.fromisoformat(value)
            return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found
        case _:
            raise TypeError(kind)


def field_name(text: str) -> str:
    """Return a name of LaminDB as the name of a field: ASCII letters, digits and underscores."""
    name = re.sub("[^A-Za-z0-9]+", "_", _ascii(text)).strip("_")[:_MOST].strip("_")
    if not name or name[0].isdigit():
        name = f"f_{name}".strip("_")
    return f"{name}_value" if keyword.iskeyword(name) else name


def _title(text: str) -> str:
    parts = re.findall("[A-Za-z0-9]+", _ascii(text))
    title = "".join(it[:1].upper() + it[1:] for it in parts)[:_MOST]
    return title if title and not title[0].isdigit() else f"Type{title}"


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
