"""How records and results look: one line, a small table in a terminal, HTML in a notebook.

Every text of a user is shown as plain text: markup and control codes in it have no effect.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from ledger.errors import printable
from ledger.model.parameters import json_ready, plain_fields
from ledger.model.schema import RegistrySpec, RelationSpec
from ledger.model.times import to_datetime
from ledger.model.values import untagged

_SHOWN = 10
_CELL = 60


def short_time(micros: int | None) -> str:
    """Return a moment as people read it: UTC, to the second."""
    return "" if micros is None else to_datetime(micros).strftime("%Y-%m-%d %H:%M:%S UTC")


def cell(kind: str, value: Any) -> str:
    """Return a value of a field as one line of text."""
    if value is None:
        return ""
    text = _text(kind, value)
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def _text(kind: str, value: Any) -> str:
    if isinstance(value, dict | list):  # a typed value, in the form of events
        shown = untagged(value)
        text = " ".join(map(str, shown)) if isinstance(shown, list) else str(shown)
        return printable(text).replace("\n", " ")
    if kind == "time":
        return short_time(value)
    text = values_text(value) if kind == "json" else str(value)
    return printable(text).replace("\n", " ")


def values_text(encoded: str) -> str:
    """Return the JSON text of a field as people read it: `rate=0.1, layers=[1, 2.5]`."""
    return plain_text(plain_fields(msgspec.json.decode(encoded)))


def plain_text(found: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return the plain values of a field as people read them."""
    if isinstance(found, Mapping):
        return ", ".join(f"{name}={json_ready(value)!r}" for name, value in found.items())
    return " ".join(map(str, found))


def one_line(spec: RegistrySpec, row: Mapping[str, Any]) -> str:
    """Return `Title(uid='…', name='…', …)` with the fields that have a value."""
    names = {"uid": "uid"}
    names |= {field.column: field.name for field in spec.fields if not field.is_virtual}
    names |= {str(relation.column): relation.name for relation in references(spec)}
    parts = [
        f"{name}={_plain(row[column])!r}"
        for column, name in names.items()
        if _has(row, column) and name not in _HIDDEN and not _is_untold(name, row)
    ]
    parts += ["is_trashed=True"] if row.get("is_trashed") else []
    return f"{spec.title}({', '.join(parts)})"


def _is_untold(name: str, row: Mapping[str, Any]) -> bool:
    """Return whether a field tells nothing here: nearly no artifact is declared."""
    return name == "is_declared" and not row[name]


def _plain(value: Any) -> Any:
    return untagged(value) if isinstance(value, dict | list) else value


def references(spec: RegistrySpec) -> list[RelationSpec]:
    """Return the fields of a registry that are records."""
    return [it for it in spec.relations if it.is_reference and not it.is_reverse]


_HIDDEN = {
    "claimed", "whereabouts",
    "digest", "storage", "storage_key", "in_place", "source", "source_hash", "environment_blob",
    "modules", "params", "arguments", "host", "git_commit", "git_is_dirty", "started_at",
    "finished_at", "resumptions", "task",
}  # fmt: skip


# Long, or of interest to programs only.
_UNLISTED = {
    "digest", "storage", "storage_key", "in_place", "source_hash", "source", "environment_blob",
    "modules",
}  # fmt: skip


def html_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], more: int) -> str:
    """Return a table as HTML, with a line that says how many rows were left out."""
    head = "".join(f"<th style='text-align:left'>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td style='text-align:left'>{html.escape(value)}</td>" for value in row)
        + "</tr>"
        for row in rows
    )
    rest = f"<p>and {more:,} more</p>" if more else ""
    return (
        f"<div><p><b>{html.escape(title)}</b></p><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>{rest}</div>"
    )


def rows_html(spec: RegistrySpec, rows: Sequence[Mapping[str, Any]], total: int) -> str:
    """Return rows of a registry as an HTML table of at most ten."""
    columns = visible_columns(spec, rows)
    shown = [[cell(kind, row.get(column)) for column, _, kind in columns] for row in rows[:_SHOWN]]
    plural = "record" if total == 1 else "records"
    title = f"{spec.title}: {total:,} {plural}"
    return html_table(title, [name for _, name, _ in columns], shown, max(0, total - _SHOWN))


def record_html(spec: RegistrySpec, row: Mapping[str, Any]) -> str:
    """Return one record as an HTML table of its fields."""
    columns = [Column("uid", "uid", "text"), *_own(spec), Column("run", "run", "text")]
    columns += [Column("created_at", "created_at", "time")]
    columns += [
        Column("created_by", "created_by", "text"),
        Column("updated_at", "updated_at", "time"),
    ]
    pairs = [
        [name, cell(kind, row.get(column))]
        for column, name, kind in columns
        if _has(row, column) and not _is_untold(name, row)
    ]
    return html_table(spec.title, ["field", "value"], pairs, 0)


class Column(NamedTuple):
    """A column that is shown: where a row holds it, what people call it, its kind."""

    held: str
    name: str
    kind: str


def _own(spec: RegistrySpec) -> list[Column]:
    fields = [Column(field.column, field.name, field.kind) for field in spec.fields]
    return fields + [Column(str(it.column), it.name, "text") for it in references(spec)]


def _has(row: Mapping[str, Any], column: str) -> bool:
    value = row.get(column)
    return value is not None and value != []


def visible_columns(spec: RegistrySpec, rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Return the columns worth showing: those in which any row has a value."""
    shown = [
        column
        for column in _own(spec)
        if column.name not in _UNLISTED
        and any(_has(row, column.held) and not _is_untold(column.name, row) for row in rows)
    ]
    called = [] if spec.called_by is None else [Column(spec.called_by, spec.called_by, "text")]
    return [
        *called,
        Column("uid", "uid", "text"),
        *shown,
        Column("created_at", "created_at", "time"),
        Column("created_by", "created_by", "text"),
    ]
