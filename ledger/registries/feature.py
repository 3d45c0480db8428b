"""Features: typed values, with units, that any artifact, collection or run may bear."""

from __future__ import annotations

import datetime as dt
import re
import types
from typing import Any

from ledger.errors import CommandRejectedError, InvalidValueError
from ledger.model.schema import REGISTRIES, FieldSpec
from ledger.registries.checks import check_text
from ledger.registries.classes import registry
from ledger.registries.definition import MAX_UNIT, registry_name, value_type
from ledger.registries.named import NamedRecord


class Feature(NamedRecord):
    """A feature: `Feature(name="temperature", dtype=float, unit="degC").save()`.

    Its type and unit never change: a value would mean something else.
    """

    registry = "feature"

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        *,
        unit: str | None = None,
        description: str | None = None,
    ) -> None:
        if dtype is None:
            raise InvalidValueError(
                f"Feature '{name}': expected dtype=, such as float, str, bool or list[str]"
            )
        meant = of_text(dtype, f"Feature '{name}'") if isinstance(dtype, str) else dtype
        kind, choices, _ = value_type(meant, f"Feature '{name}'")
        if choices is not None:
            raise CommandRejectedError(
                f"Feature '{name}': a feature has no choices; use str, or a registry whose records "
                "are the choices"
            )
        fields: dict[str, object] = {"type": kind.text}
        if unit is not None:
            field = FieldSpec(name="unit", max_length=MAX_UNIT)
            fields["unit"] = check_text("Feature.unit", unit, field, required=True)
        if description is not None:
            fields["description"] = description
        super().__init__(name, **fields)
        if self._target is not None:
            for given, what in (("type", kind.text), ("unit", unit)):
                if self._row.get(given) != what:
                    raise CommandRejectedError(
                        f"Feature '{name}': it has {given} {self._row.get(given)}, and got {what}; "
                        "a feature keeps its type and unit, so name another one"
                    )

    @classmethod
    def _checked(cls, name: str, value: object) -> Any:
        field = cls.spec.require(name)
        if isinstance(field, FieldSpec) and field.is_given_once:
            return check_text(f"Feature.{name}", value, field, required=name == "name")
        return super()._checked(name, value)

    def __setattr__(self, name: str, value: object) -> None:
        field = None if name.startswith("_") else self.spec.field(name)
        if field is not None and field.is_given_once:
            raise InvalidValueError(
                f"Feature.{name}: given once, and never changed; define another feature"
            )
        super().__setattr__(name, value)


_TEXTS = {
    "bool": bool, "date": dt.date, "datetime": dt.datetime, "dict": dict, "float": float,
    "int": int, "num": float, "str": str,
}  # fmt: skip
_OF_RECORDS = re.compile(r"(?:cat|record)\[(?:Record\[)?(\w+)\]?\]")


def of_text(text: str, label: str) -> Any:
    """Return the type that a text means: `float`, `list[str]`, or `cat[ULabel]` for records.

    Raises:
        CommandRejectedError: It means none.
        NotFoundError: It names a registry that is not there.
    """
    text = text.strip()
    if text.startswith("list[") and text.endswith("]"):
        return types.GenericAlias(list, (of_text(text[5:-1], label),))
    if text in _TEXTS:
        return _TEXTS[text]
    found = _OF_RECORDS.fullmatch(text)
    if found is None:
        raise CommandRejectedError(
            f"{label}: '{text}' is no type of a feature; there are {', '.join(_TEXTS)}, "
            "cat[ULabel] or another registry whose records are the values, and list[…] of these"
        )
    # A built-in class is written as it is called: `ULabel`, whose registry is `ulabel`.
    titles = {spec.title: spec.name for spec in REGISTRIES.values()}
    return registry(titles.get(found[1]) or registry_name(found[1]))
