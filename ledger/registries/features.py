"""The features of one record: a mapping over the ledger, of which each change is one event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from functools import partial
from typing import Any

from ledger.decisions.typed import require_feature
from ledger.decisions.values import given
from ledger.errors import InvalidValueError, NotFoundError
from ledger.model.commands import SetFeatures
from ledger.model.definitions import FEATURED
from ledger.model.schema import RelationSpec
from ledger.model.values import untagged
from ledger.places.kinds import record_class
from ledger.places.source import row_of
from projections.with_values import features_of


class Features(MutableMapping[str, Any]):
    """Features by name: `artifact.features["temperature"] = 37.2`.

    Each assignment, update and removal is durable when it returns.
    """

    def __init__(self, record: Any) -> None:
        self._record = record

    def _values(self) -> dict[str, Any]:
        record, source = self._record, self._record._source
        if not record.is_saved:
            return {}
        source.ledger.catalogues.look()
        spec = source.spec(record.registry)
        found = source.ask(lambda it: features_of(it, spec, [record.uid], at=source.at))
        return {
            name: self._shown(spec.features[name], value)
            for name, value in found.get(record.uid, {}).items()
        }

    def _shown(self, feature: Any, value: Any) -> Any:
        if not isinstance(feature, RelationSpec):
            return untagged(value)
        source, kind = self._record._source, record_class(feature.target)
        uids = [value] if isinstance(value, str) else value
        rows = [row_of(source, feature.target, uid) for uid in uids]
        found = [kind._from_row(row, source) for row in rows if row is not None]
        if feature.is_single:
            return found[0] if found else None
        return found

    def __getitem__(self, name: str) -> Any:
        found = self._values()
        if name in found:
            return found[name]
        _require_text(name)
        self._record._source.ask(lambda it: require_feature(it, name))
        raise NotFoundError(
            f"{self._record.spec.title} {self._record.uid}: has no feature '{name}'", name=name
        )

    def __setitem__(self, name: str, value: Any) -> None:
        self._set({name: value})

    def __delitem__(self, name: str) -> None:
        self[name]
        self._set({}, (name,))

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __contains__(self, name: object) -> bool:
        return name in self._values()

    def update(self, other: Any = (), /, **values: Any) -> None:
        """Set several features in one event: all of them, or none.

        Raises:
            UnknownFieldError: One of them is not defined.
            InvalidValueError: A value is not of its feature's type.
        """
        self._set({**dict(other), **values})

    def clear(self) -> None:
        """Take every feature from the record, in one event."""
        self._set({}, tuple(self._values()))

    def pop(self, name: str, *default: Any) -> Any:
        """Remove a feature and return the value that it had."""
        found = self._values()
        if name not in found and default:
            return default[0]
        value = self[name]
        del self[name]
        return value

    # --- in the words of LaminDB ----------------------------------------------------------------

    def add_values(self, values: Mapping[str, Any]) -> None:
        """Set features; those that are lists gain the items that they do not have."""
        found = self._values()
        joined = {
            name: [*found[name], *(it for it in _listed(value) if it not in found[name])]
            if isinstance(found.get(name), list)
            else value
            for name, value in values.items()
        }
        self._set(joined)

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Set exactly these features: every other one is removed."""
        self._set(dict(values), tuple(it for it in self._values() if it not in values))

    def get_values(self) -> dict[str, Any]:
        """Return the features as a dictionary."""
        return dict(self)

    def remove_values(self, *names: Any) -> None:
        """Remove these features, or all of them where none is named.

        A feature is given by its name, or as the `Feature`; a list of these is one argument.
        """
        given = [each for it in names for each in _listed(it)]
        found = tuple(str(it.name) if hasattr(it, "registry") else it for it in given)
        self._set({}, found if names else tuple(self._values()))

    # --- inside ---------------------------------------------------------------------------------

    def _set(self, values: dict[str, Any], removed: tuple[str, ...] = ()) -> None:
        record = self._record
        record._refuse_view("features")
        checked = {name: value for name, value in self.checked(values).items() if value is not None}
        removed += tuple(name for name in values if name not in checked)
        for name in removed:
            _require_text(name)
        if values or removed:
            record._perform(
                SetFeatures(
                    registry=record.registry, uid=record.uid, values=checked, removed=removed
                )
            )

    def bear(self, values: Mapping[str, Any], schema: str | None, columns: dict[str, Any]) -> None:
        """Set the features that a record was made with, and what its table was checked against."""
        record = self._record
        record._perform(
            SetFeatures(
                registry=record.registry,
                uid=record.uid,
                values=self.checked(values),
                schema=schema,
                columns=columns,
            )
        )

    def checked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return features as an intent holds them.

        Raises:
            UnknownFieldError: One of them is not defined.
            InvalidValueError: A value is not of its feature's type.
        """
        source = self._record._source
        found = {}
        for name, value in values.items():
            _require_text(name)
            field = source.ask(partial(_feature, name, value))
            found[name] = given(field, value, f"feature '{name}'")
        return found

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self._values().items())
        return f"<features {inside}>" if inside else "<no features>"


def _require_text(name: object) -> None:
    if not isinstance(name, str):
        raise InvalidValueError(f"features: expected names as text, got {name!r}")


def _feature(name: str, value: Any, models: Any) -> Any:
    return require_feature(models, name, value)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def told(record: Any) -> list[tuple[str, Any]] | None:
    """Return the features of a record as people read them: units, and names of records.

    None where records of its registry bear none.
    """
    if record.registry not in FEATURED:
        return None
    spec, found = record._source.spec(record.registry), []
    for name, value in record.features.items():
        items = [getattr(it, "name", None) or getattr(it, "uid", it) for it in _listed(value)]
        shown = items if isinstance(value, list) else items[0]
        unit = getattr(spec.features[name], "unit", None)
        found.append((name, shown if unit is None else f"{shown} {unit}"))
    return found
