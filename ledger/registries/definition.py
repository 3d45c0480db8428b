"""A class as the definition of a registry: its annotations, and what `field()` says of them.

The definition is read from the class when it is first needed: defining a class touches no ledger,
and a class may name one that comes later in its module.
"""

from __future__ import annotations

import datetime as dt
import enum
import inspect
import keyword
import re
import types
import typing
from collections.abc import Mapping
from typing import Any

import msgspec

from ledger.decisions.values import given
from ledger.errors import CommandRejectedError, InvalidValueError
from ledger.model.definitions import Definition, Field
from ledger.model.schema import NAME_OF_REGISTRY
from ledger.model.values import Bounds, ValueType, tagged

MAX_NAME, MAX_UNIT = 64, 30
_PLAIN: dict[Any, str] = {
    int: "int",
    float: "float",
    str: "str",
    bool: "bool",
    dt.date: "date",
    dt.datetime: "datetime",
    dict: "dict",
}
_ALLOWED = (
    "int, float, str, bool, datetime.date, datetime.datetime, dict, Literal[…] of texts, "
    "a StrEnum, a registry, list[…] of one of these, or … | None"
)
_UNSET: Any = object()


class FieldOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `field()` says of a field."""

    default: Any = None
    unit: str | None = None
    description: str | None = None
    ge: Any = None
    gt: Any = None
    le: Any = None
    lt: Any = None
    max_length: int | None = None


def field(  # noqa: PLR0913 (each says one thing)
    *,
    default: Any = None,
    unit: str | None = None,
    description: str | None = None,
    ge: Any = None,
    gt: Any = None,
    le: Any = None,
    lt: Any = None,
    max_length: int | None = None,
) -> Any:
    """Return what is said of a field of a registry, beside its type.

    `age: int | None = ln.field(ge=0, le=130, description="years at enrolment")`

    Args:
        default: Value of a record that is created without one.
        unit: Unit of its numbers, up to 30 characters; kept, never converted.
        description: A sentence for people.
        ge: Least value.
        gt: A number that every value is above.
        le: Greatest value.
        lt: A number that every value is below.
        max_length: Most characters of a text.
    """
    return FieldOptions(
        default=default,
        unit=unit,
        description=description,
        ge=ge,
        gt=gt,
        le=le,
        lt=lt,
        max_length=max_length,
    )


def registry_name(title: str) -> str:
    """Return the name of the registry of a class: its own in lower case, with underscores."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", title).lower()


def definition_of_class(
    kind: type[Any],
    options: Mapping[str, Any],
    annotations: Mapping[str, Any],
    taken: frozenset[str],
) -> Definition:
    """Return the definition of a registry that a class is.

    Args:
        kind: The class.
        options: What it assigns to its fields: a default, or the answer of `field()`.
        annotations: Type of each of its fields.
        taken: Names that no field may have.

    Raises:
        CommandRejectedError: A type or a name is none that a field can have.
    """
    title, key = kind.__name__, tuple(kind._key)
    if not NAME_OF_REGISTRY.fullmatch(kind.registry):
        raise CommandRejectedError(
            f"{title}: expected a name of up to {MAX_NAME} ASCII letters, digits and underscores, "
            f"got registry '{kind.registry}'"
        )
    fields = []
    for name, annotation in annotations.items():
        if name == "name" and key == ("name",):
            continue
        check_field_name(f"{title}.{name}", name, taken)
        fields.append(_field(f"{title}.{name}", name, annotation, options.get(name, _UNSET)))
    found = Definition(
        name=kind.registry,
        title=title,
        key=key,
        description=" ".join((kind.__dict__.get("__doc__") or "").split()) or None,
        fields=tuple(fields),
    )
    parts: tuple[str, ...] = () if found.is_named else key
    for part in parts:
        of_key = found.require(part)
        if of_key.type.is_list or of_key.type.kind in {"float", "dict"} or not of_key.is_required:
            raise CommandRejectedError(
                f"{title}.{part}: a part of the key is required, and no float, dict or list"
            )
    return found


def check_field_name(label: str, name: str, taken: frozenset[str] = frozenset()) -> None:
    """Require that a field may have a name.

    Raises:
        CommandRejectedError: It may not.
    """
    if (
        not name.isidentifier()
        or not name.isascii()
        or keyword.iskeyword(name)
        or "__" in name
        or name.startswith("_")
        or len(name) > MAX_NAME
    ):
        raise CommandRejectedError(
            f"{label}: expected a name of ASCII letters, digits and single underscores, "
            f"got '{name}'"
        )
    if name in taken:
        raise CommandRejectedError(
            f"{label}: every record has a '{name}' of its own; name the field otherwise"
        )


def _field(label: str, name: str, annotation: Any, assigned: Any) -> Field:
    options = assigned if isinstance(assigned, FieldOptions) else None
    default = options.default if options is not None else assigned
    kind, choices, is_optional = value_type(annotation, label)
    unit: Any = None if options is None else options.unit
    if unit is not None and (not isinstance(unit, str) or not 0 < len(unit) <= MAX_UNIT):
        raise InvalidValueError(
            f"{label}: expected a unit of up to {MAX_UNIT} characters, got {unit!r}"
        )
    bounds = Bounds(choices=choices)
    if options is not None:
        limits = {
            side: None if limit is None else tagged(kind.kind, limit, f"{label} ({side})")
            for side in ("ge", "gt", "le", "lt")
            if (limit := getattr(options, side)) is not None
        }
        bounds = Bounds(choices=choices, max_length=options.max_length, **limits)
    has_default = default is not _UNSET and default is not None
    found = Field(
        name=name,
        held=name,
        type=kind,
        unit=unit,
        bounds=bounds,
        is_required=not is_optional and not has_default and not kind.is_list,
        description=None if options is None else options.description,
    )
    if has_default and default not in ((), []):
        return msgspec.structs.replace(found, default=given(found, default, f"{label} (default)"))
    return found


def value_type(  # noqa: PLR0911 (one a kind)
    annotation: Any, label: str
) -> tuple[ValueType, tuple[str, ...] | None, bool]:
    """Return the type that an annotation means, its choices, and whether a value may be missing.

    Raises:
        CommandRejectedError: No field can have such a type.
    """
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {typing.Union, types.UnionType}:
        others = [it for it in inside if it is not type(None)]
        if len(others) == 1 and len(others) < len(inside):
            kind, choices, _ = value_type(others[0], label)
            return kind, choices, True
    elif origin is list and len(inside) == 1:
        kind, choices, is_optional = value_type(inside[0], label)
        if not kind.is_list and not is_optional:
            return ValueType(kind.kind, kind.target, is_list=True), choices, False
    elif origin is typing.Literal and all(isinstance(it, str) for it in inside):
        return ValueType("str"), tuple(inside), False
    elif origin is dict:
        return ValueType("dict"), None, False
    elif annotation in _PLAIN:
        kind_name: Any = _PLAIN[annotation]
        return ValueType(kind_name), None, False
    elif isinstance(annotation, type) and issubclass(annotation, enum.StrEnum):
        return ValueType("str"), tuple(it.value for it in annotation), False
    elif isinstance(getattr(annotation, "registry", None), str):
        return ValueType("record", annotation.registry), None, False
    raise CommandRejectedError(f"{label}: {_shown(annotation)} is no type of a field; {_ALLOWED}")


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def annotations_of(kind: type[Any]) -> dict[str, Any]:
    """Return the annotations of a class, with names resolved where it was defined.

    Raises:
        CommandRejectedError: A name in them is not known there.
    """
    try:
        hints = inspect.get_annotations(kind, locals=kind._named_nearby(), eval_str=True)
    except NameError as error:
        raise CommandRejectedError(
            f"{kind.__name__}: {error}, which an annotation of the class names; define that class "
            "before, in the same module"
        ) from None
    return dict(hints)
