"""Names, uids and filters as users type them, made into arguments of the library."""

from __future__ import annotations

import datetime as dt
from typing import Any

import click
import msgspec
from click.shell_completion import CompletionItem

from ledger.cli.moment import zoned
from ledger.errors import InvalidValueError, LedgerError, nearest
from ledger.model.schema import REGISTRIES, FieldSpec, RegistrySpec

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class RegistryName(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """The name of a registry, in the singular or the plural."""

    name = "registry"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the registry that is meant."""
        word = str(value).lower()
        found = word if word in REGISTRIES else _names().get(word)
        if found is None:
            from ledger.display.tables import shown

            names = _names()
            near = nearest(word, names)
            way_out = (
                f"did you mean '{near[0]}'?"
                if near
                else f"there are {', '.join(dict.fromkeys(names.values()))}"
            )
            self.fail(f"no registry '{shown(value)}'; {way_out}", param, ctx)
        return found

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 (click's signature)
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return the registries that begin so."""
        return [CompletionItem(name) for name in REGISTRIES if name.startswith(incomplete)]


def _specs() -> list[RegistrySpec]:
    """Return the registries of the ledger here; the built-in ones where there is no ledger."""
    from ledger.places import instance
    from ledger.places.source import Source

    try:
        source = Source(instance.current())
        return [source.spec(name) for name in source.names]
    except LedgerError:
        return list(REGISTRIES.values())


def _names() -> dict[str, str]:
    """Return the registry that each word means."""
    return {
        word: spec.name
        for plural in ("", "s")
        for spec in _specs()
        for word in (spec.name + plural, (spec.short_name or spec.name) + plural)
    }


class Uid(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """A uid or the beginning of one; shells complete it."""

    name = "uid"

    def __init__(self, registry: str | None = None) -> None:
        self._registry = registry

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 (click's signature)
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return the uids that begin so."""
        from ledger.places import instance
        from ledger.places.source import Source
        from ledger.registries import all_registries

        try:
            source = Source(instance.current())
            found = all_registries.beginning_with(source, incomplete, registry=self._registry)
        except LedgerError:
            return []
        return [CompletionItem(uid, help=REGISTRIES[registry].title) for registry, uid in found]


def lookups(registry: str, filters: tuple[str, ...]) -> dict[str, object]:
    """Return filters such as `name__icontains=x` as the library's `filter()` takes them.

    Raises:
        UnknownFieldError: A filter names no field or relation.
        InvalidValueError: A value is not of its field's kind.
    """
    found: dict[str, object] = {}
    for text in filters:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise InvalidValueError(
                f"--filter {text!r}: expected field=value, such as name__icontains=study"
            )
        lookup, typed = _typed(registry, name.strip(), value)
        found[lookup] = typed
    return found


def _typed(registry: str, lookup: str, text: str) -> tuple[str, object]:
    """Return a lookup, and its value of the kind that the field at its end holds."""
    from ledger.registries.lookups import Inner, taken_apart

    spec = next((it for it in _specs() if it.name == registry), REGISTRIES[registry])
    if lookup.endswith("__within") or "__ancestors__" in f"__{lookup}__":
        return lookup, text
    _, operator, end = taken_apart(spec, lookup)
    if operator == "isnull":
        return lookup, _boolean(lookup, text)
    if isinstance(end, Inner):
        return _inner(lookup, operator, text)
    kind = end.kind if isinstance(end, FieldSpec) else "text"
    if operator in {"in", "range"}:
        return lookup, [_single(kind, lookup, part.strip()) for part in text.split(",")]
    return lookup, _single(kind, lookup, text)


def _inner(lookup: str, operator: str, text: str) -> tuple[str, object]:
    """Return a lookup of a value inside a field, and the value: JSON such as 0.5, or text.

    What is typed does not tell whether a number was recorded as a number or as text: both are
    looked for.
    """
    from ledger.registries.lookups import TEXT_ONLY

    if operator in TEXT_ONLY:
        return lookup, text
    if operator == "exact":
        return f"{lookup.removesuffix('__exact')}__in", _readings(text)
    if operator == "in":
        return lookup, [each for part in text.split(",") for each in _readings(part.strip())]
    if operator == "range":
        return lookup, [_readings(part.strip())[0] for part in text.split(",")]
    return lookup, _readings(text)[0]


def _readings(text: str) -> list[object]:
    """Return the values that a typed text can stand for, the most telling one first."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return [text]
    return [text] if found is None else [found, text]


def _single(kind: str, lookup: str, text: str) -> object:
    try:
        match kind:
            case "integer":
                return int(text.replace("_", ""))
            case "real":
                return float(text)
            case "boolean":
                return _boolean(lookup, text)
            case "time" if text.strip().casefold().endswith("ago"):
                return text
            case "time":
                return dt.datetime.fromisoformat(zoned(text, ends=False))
            case _:
                return text
    except ValueError as error:
        if isinstance(error, LedgerError):
            raise
        expected = {"integer": "a whole number", "time": "a time such as 2030-01-31T12:00+00:00"}
        raise InvalidValueError(
            f"--filter {lookup}: expected {expected[kind]}, got {text!r}", lookup=lookup
        ) from error


def _boolean(lookup: str, text: str) -> bool:
    if text.lower() not in _WORDS:
        raise InvalidValueError(f"--filter {lookup}: expected true or false, got {text!r}")
    return _WORDS[text.lower()]
