"""How records and results look: one line, a small table in a terminal, HTML in a notebook.

Every text of a user is shown as plain text: markup and control codes in it have no effect.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ledger.errors import printable
from ledger.model.parameters import json_ready, plain_fields
from ledger.model.schema import REGISTRIES
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


def one_line(registry: str, row: Mapping[str, Any]) -> str:
    """Return `Title(uid='…', name='…', …)` with the fields that have a value."""
    spec = REGISTRIES[registry]
    names = ["uid", *(field.name for field in spec.fields if not field.is_virtual)]
    parts = [
        f"{name}={row[name]!r}"
        for name in names
        if row.get(name) is not None and name not in _HIDDEN and not _is_untold(name, row)
    ]
    parts += ["is_trashed=True"] if row.get("is_trashed") else []
    return f"{spec.title}({', '.join(parts)})"


def _is_untold(name: str, row: Mapping[str, Any]) -> bool:
    """Return whether a field tells nothing here: nearly no artifact is declared."""
    return name == "is_declared" and not row[name]


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


def rows_html(registry: str, rows: Sequence[Mapping[str, Any]], total: int) -> str:
    """Return rows of a registry as an HTML table of at most ten."""
    columns = visible_columns(registry, rows)
    shown = [[cell(kind, row.get(name)) for name, kind in columns.items()] for row in rows[:_SHOWN]]
    plural = "record" if total == 1 else "records"
    title = f"{REGISTRIES[registry].title}: {total:,} {plural}"
    return html_table(title, list(columns), shown, max(0, total - _SHOWN))


def record_html(registry: str, row: Mapping[str, Any]) -> str:
    """Return one record as an HTML table of its fields."""
    spec = REGISTRIES[registry]
    kinds = {"uid": "text"} | {field.name: field.kind for field in spec.fields}
    kinds |= {"run": "text", "created_at": "time", "created_by": "text", "updated_at": "time"}
    pairs = [
        [name, cell(kind, row.get(name))]
        for name, kind in kinds.items()
        if row.get(name) is not None and not _is_untold(name, row)
    ]
    return html_table(spec.title, ["field", "value"], pairs, 0)


def visible_columns(registry: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return name and kind of the columns worth showing: those in which any row has a value."""
    spec = REGISTRIES[registry]
    kinds = {"uid": "text"}
    if spec.called_by is not None:
        kinds = {spec.called_by: "text", **kinds}
    kinds |= {
        field.name: field.kind
        for field in spec.fields
        if field.name not in _UNLISTED
        and any(row.get(field.name) is not None and not _is_untold(field.name, row) for row in rows)
    }
    return kinds | {"created_at": "time", "created_by": "text"}
