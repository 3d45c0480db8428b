"""Translation of Django's lookups into conditions of the read models.

`filter(name__icontains="x", run__transform__key="a.py")`: names joined by two underscores lead
over relations to a field; a last part after the field names the comparison. After a field that
questions look into, the parts between name a value inside it: `params__model__rate__lt=0.1`. Parts
are joined again, so that a parameter whose own name holds two underscores is found too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from operator import index
from typing import Any, NamedTuple, SupportsIndex

from ledger.errors import InvalidValueError
from ledger.model.canonical import asked, nfc
from ledger.model.parameters import plain_value
from ledger.model.schema import FieldSpec, RegistrySpec, RelationSpec
from ledger.model.times import ago, now_micros, to_micros
from ledger.model.values import FIELD_KINDS, columns_of, tagged
from ledger.model.ways import way
from projections.select import OPERATORS, And, Not, Operator, Or, Test, Where

_ALIASES = {"pk": "id"}
# Paths keep the spelling of the file system; all other text, recorded or asked for, is NFC.
_AS_RECORDED = {"storage", "storage_key"}
TEXT_ONLY = {op for op in OPERATORS if "contains" in op or "with" in op or op == "iexact"}


class Q:
    """A condition that can be joined: `Q(name="a") | Q(name="b")`, `~Q(key__startswith="x")`."""

    def __init__(self, *conditions: Q, **lookups: object) -> None:
        for condition in conditions:
            _require_q(condition)
        self._build: Callable[[RegistrySpec], Where] = lambda registry: And(
            (
                *[condition.where(registry) for condition in conditions],
                *[_test(registry, name, value) for name, value in lookups.items()],
            )
        )

    def where(self, registry: RegistrySpec) -> Where:
        """Return the condition on a registry."""
        return self._build(registry)

    def __and__(self, other: Q) -> Q:
        _require_q(other)
        return _joined(lambda registry: And((self.where(registry), other.where(registry))))

    def __or__(self, other: Q) -> Q:
        _require_q(other)
        return _joined(lambda registry: Or((self.where(registry), other.where(registry))))

    def __invert__(self) -> Q:
        return _joined(lambda registry: Not(self.where(registry)))


def _require_q(value: object) -> None:
    if not isinstance(value, Q):
        raise InvalidValueError(
            f"condition: expected Q(...), got {type(value).__name__} {value!r}; "
            "name a field, as in filter(name='x')"
        )


def _joined(build: Callable[[RegistrySpec], Where]) -> Q:
    joined = Q()
    joined._build = build
    return joined


def conditions(registry: RegistrySpec, queries: Iterable[Q], lookups: dict[str, object]) -> Where:
    """Return the condition of `filter(*queries, **lookups)` on a registry.

    Raises:
        UnknownFieldError: A lookup names no field, relation or comparison.
        InvalidValueError: A value is not of its field's kind.
    """
    return Q(*queries, **lookups).where(registry)


def _test(registry: RegistrySpec, lookup: str, value: object) -> Where:
    path, operator, end = taken_apart(registry, lookup)
    if isinstance(end, RelationSpec) and end.is_reference and operator in {"exact", "in"}:
        return _referring(registry, path, operator, end, value, lookup)
    if isinstance(end, FieldSpec) and end.is_looked_into and isinstance(value, Mapping):
        return _whole(path, operator, value, lookup)
    test = Test(path, operator, _value(end, operator, value, lookup))
    if isinstance(end, FieldSpec) and end.is_also_of_keys and operator in {"exact", "in"}:
        endings = test.value if operator == "in" else (test.value,)
        to_key = (*path[:-1], "key")
        return Or((test, *[Test(to_key, "endswith", ending) for ending in endings if ending]))
    return test


def _referring(  # noqa: PLR0913, PLR0917 (parts of one test)
    registry: RegistrySpec,
    path: tuple[str, ...],
    operator: Operator,
    end: RelationSpec,
    value: object,
    lookup: str,
) -> Where:
    """Return the test of a reference: a text means the name of a record, else it is a record."""
    target = way(registry, path).end
    by_name = "name" if target.is_named else "uid"
    given = [value] if operator == "exact" else _listed(value, lookup)
    tests = [
        Test((*path, by_name), "exact", asked(f"lookup '{lookup}'", item))
        if isinstance(item, str)
        else Test(path, "exact", _single(end, item, lookup))
        for item in given
    ]
    return tests[0] if operator == "exact" else Or(tuple(tests))


def _listed(value: object, lookup: str) -> list[object]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidValueError(f"lookup '{lookup}': expected a list of values, got {value!r}")
    return list(value)


def _whole(
    path: tuple[str, ...], operator: Operator, value: Mapping[object, object], lookup: str
) -> Test:
    """Return the test whether a field holds exactly these values."""
    if operator != "exact":
        raise InvalidValueError(f"lookup '{lookup}': a mapping can only be equal to another one")
    path = (*path, "")
    if not value:
        return Test(path, "isnull", value=True)
    return Test(path, "exact", plain_value(value, f"lookup '{lookup}'"))


class Inner(NamedTuple):
    """The end of a lookup of a value inside a field: it may be of any kind."""

    field: FieldSpec


@lru_cache(maxsize=1024)
def taken_apart(
    spec: RegistrySpec, lookup: str
) -> tuple[tuple[str, ...], Operator, FieldSpec | RelationSpec | Inner]:
    """Return path, comparison, and end of a lookup (`run__transform__key__in`).

    Raises:
        UnknownFieldError: A name in it is no field or relation of its registry.
        InvalidValueError: A field is followed by a name that is no comparison.
    """
    parts = lookup.split("__")
    has_operator = len(parts) > 1 and parts[-1] in OPERATORS
    names = parts[:-1] if has_operator else parts
    path = tuple(_ALIASES.get(name, name) for name in names)
    relations, registry, field, rest = way(spec, path)
    operator: Operator = parts[-1] if has_operator else "exact"  # type: ignore[assignment]
    if rest and field is not None and field.is_looked_into:
        # Parameters may have any name: `id` is none of ours here.
        inner = tuple(map(nfc, names[-len(rest) :]))
        return (*path[: -len(rest)], *inner), operator, Inner(field)
    if rest:
        raise InvalidValueError(
            f"{registry.title} lookup '{lookup}': '{names[-len(rest)]}' is no comparison; "
            f"there are {', '.join(OPERATORS)}",
            lookup=lookup,
        )
    return path, operator, relations[-1] if field is None else field


def _value(
    end: FieldSpec | RelationSpec | Inner, operator: str, value: object, lookup: str
) -> object:
    if operator == "isnull":
        if not isinstance(value, bool):
            raise InvalidValueError(f"lookup '{lookup}': expected True or False, got {value!r}")
        return value
    if operator in {"in", "range"}:
        if isinstance(value, str | bytes) or not isinstance(value, Iterable):
            raise InvalidValueError(f"lookup '{lookup}': expected a list of values, got {value!r}")
        items = tuple(_one(end, item, lookup) for item in value)
        if operator == "range" and len(items) != 2:  # noqa: PLR2004 (two ends)
            raise InvalidValueError(f"lookup '{lookup}': expected two values, got {len(items)}")
        return items
    is_text = isinstance(end, FieldSpec) and end.kind in {"text", "json"}
    if operator in TEXT_ONLY and not (is_text or isinstance(end, Inner)):
        raise InvalidValueError(f"lookup '{lookup}': '{operator}' compares text only")
    if value is None:
        raise InvalidValueError(
            f"lookup '{lookup}': None compares with nothing; use '{lookup}__isnull=True'"
        )
    return _one(end, value, lookup)


def _typed(end: FieldSpec, value: object, lookup: str) -> object:
    """Return a value as the rows of typed values hold it.

    Raises:
        InvalidValueError: It is not of the field's type.
    """
    kind: Any = next(kind for kind, it in FIELD_KINDS.items() if it == end.kind)
    (found,) = columns_of(tagged(kind, value, f"lookup '{lookup}'")).values()
    return bool(found) if kind == "bool" else found


_EXPECTED = {
    "real": "a number",
    "date": "a date",
    "text": "text",
    "json": "text",
    "integer": "a whole number",
    "boolean": "True or False",
    "time": "a datetime with a time zone, or a text such as '2 days ago'",
}


def _one(end: FieldSpec | RelationSpec | Inner, value: object, lookup: str) -> object:
    if isinstance(end, Inner):
        return plain_value(value, f"lookup '{lookup}'")
    return _single(end, value, lookup)


def _moment(value: dt.datetime | str) -> int | None:
    return ago(value, now_micros()) if isinstance(value, str) else to_micros(value)


def _single(  # noqa: PLR0911 (one a kind)
    end: FieldSpec | RelationSpec, value: object, lookup: str
) -> object:
    if isinstance(end, RelationSpec):
        uid = getattr(value, "uid", value)
        if not isinstance(uid, str):
            raise InvalidValueError(
                f"lookup '{lookup}': expected a saved {end.target} or its uid, got {value!r}"
            )
        return asked(f"lookup '{lookup}'", uid)
    if end.values is not None:
        return _typed(end, value, lookup)
    match end.kind, value:
        case "text" | "json", str():
            text = asked(f"lookup '{lookup}'", value)
            return value if end.name in _AS_RECORDED else text
        case "boolean", bool():
            return value
        case "integer", SupportsIndex() if not isinstance(value, bool):
            return index(value)
        case "time", dt.datetime() | str() if (moment := _moment(value)) is not None:
            return moment
        case _:
            pass
    if end.name == "uid" and isinstance(getattr(value, "uid", None), str):
        return value.uid  # type: ignore[attr-defined]
    expected = _EXPECTED[end.kind]
    raise InvalidValueError(
        f"lookup '{lookup}': expected {expected}, got {type(value).__name__} {value!r}",
        lookup=lookup,
    )
