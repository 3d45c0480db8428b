"""How results look: tables for people, aligned text for pipes, JSON for programs.

1. Text of users is shown as text; no control character reaches a terminal.
2. JSON has times in ISO 8601, and leaves nothing out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from ledger.display.tables import drawn, shown
from ledger.errors import LedgerError, printable

if TYPE_CHECKING:
    from ledger.registries.base import Record

_GAP = "  "
_MOST_LISTED = 20  # positions


def has_colours(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that wants colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, **style: Any) -> str:
    """Return a text in a style for standard output, if that wants colours."""
    return click.style(text, **style) if has_colours(sys.stdout) else text


def error_line(error: BaseException) -> str:
    """Return the message of an error: `error: …`; for debugging also its code and causes."""
    from ledger.user_settings import settings

    lines = [printable(str(error))]
    if settings.verbosity == "debug":
        if isinstance(error, LedgerError):
            lines.append(f"  code: {error.code}")
        cause = error.__cause__
        while cause is not None:
            lines.append(printable(f"  caused by {type(cause).__name__}: {cause}"))
            cause = cause.__cause__
    return f"{_error_sign()} " + "\n".join(lines) + "\n"


def usage_lines(error: click.UsageError) -> str:
    """Return the message for a command line that cannot be understood, and where help is."""
    context = error.ctx
    if context is None:
        return f"{_error_sign()} {shown(error.format_message())}\n"
    if type(error).__name__ == "NoArgsIsHelpError":  # of click 8.2 and later: the message is help
        return f"{error.message}\n"
    said = error.format_message()
    return (
        f"{context.get_usage()}\n"
        f"{_error_sign()} {shown(said[:1].lower() + said[1:].removesuffix('.'))}\n"
        f"help: {context.command_path} --help\n"
    )


def _error_sign() -> str:
    return click.style("error:", fg="red", bold=True) if has_colours(sys.stderr) else "error:"


# --- for people ---------------------------------------------------------------------------------


def print_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one pair a line; several lines of a value are indented."""
    listed = [(name, value) for name, value in pairs if value is not None and value != ""]
    width = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        lines = [shown(line) for line in str(value).split("\n")]
        label = styled(name.ljust(width), bold=True)
        between = f"\n{' ' * width}{_GAP}"
        click.echo(f"{label}{_GAP}{between.join(lines)}".rstrip())


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, err: bool = False
) -> None:
    """Print a table: drawn and cut to the width of a terminal, aligned and whole elsewhere."""
    stream = sys.stderr if err else sys.stdout
    click.echo(drawn(columns, rows, stream), nl=False, err=err)


def print_records(records: Sequence[Record], *, heading: str | None = None) -> None:
    """Print records of one registry as a table, with the columns that have something to show."""
    from ledger.display.rows import Column, visible_columns
    from ledger.registries.named_references import with_caller

    if not records:
        return
    rows = with_caller(records)
    found = visible_columns(records[0].spec, rows)
    columns = [column for column in found if column.name not in _UNLISTED]
    if any(row.get("run") for row in rows):
        columns.append(Column("run", "run", "text"))
    # The last are the first to go where there is little room.
    columns.sort(key=lambda column: column.name == "created_by")
    if any(column.name == "started_at" for column in columns):
        columns = [column for column in columns if column.name != "created_at"]
    if heading is not None:
        print_heading(heading)
    print_table(
        [column.name for column in columns],
        [[_cell(column.kind, row.get(column.held)) for column in columns] for row in rows],
    )


def print_heading(text: str) -> None:
    """Print the heading of the table that follows."""
    click.echo()
    click.echo(styled(text, bold=True))


def _cell(kind: str, value: object) -> object:
    if kind == "time" and isinstance(value, int):
        from ledger.model.times import to_datetime

        # Places are rare on a terminal; elsewhere nothing is cut.
        layout = "%Y-%m-%d %H:%MZ" if sys.stdout.isatty() else "%Y-%m-%d %H:%M:%S UTC"
        return to_datetime(value).strftime(layout)
    if kind == "boolean" and value is not None:
        return "yes" if value else "no"
    if isinstance(value, dict | list):
        from ledger.display.rows import cell

        return cell(kind, value)
    if kind == "json" and isinstance(value, str):
        from ledger.display.rows import values_text

        return values_text(value)
    return value


# Long, or of interest to programs only; `show` and `--json` have them.
_UNLISTED = {
    "claimed", "whereabouts",
    "arguments", "environment_blob", "git_commit", "git_is_dirty", "hash", "hash_type", "host",
    "is_consecutive", "is_ordered", "modules", "n_files", "ordinal", "resumptions", "storage_key",
    "suffix",
}  # fmt: skip


# --- for programs -------------------------------------------------------------------------------


def record_data(record: Record) -> dict[str, Any]:
    """Return a record as plain data: every field, and the uids of the records it points at."""
    spec, row = record.spec, record._row  # noqa: SLF001 (as above)
    data: dict[str, Any] = {"registry": record.registry, "id": record.id, "uid": record.uid}
    names = [field.name for field in spec.fields]
    names += ["created_at", "created_by", "updated_at", "is_trashed"]
    data |= {name: getattr(record, name) for name in names}
    data |= {
        relation.name: row.get(relation.column)
        for relation in spec.relations
        if relation.column is not None and not relation.is_reverse
    }
    return data


def print_json(document: object) -> None:
    """Print one JSON document, indented."""
    import msgspec

    click.echo(msgspec.json.format(_encoded(document), indent=2).decode())


def print_json_lines(objects: Iterable[Any]) -> None:
    """Print one JSON object a line."""
    for each in objects:
        click.echo(_encoded(each).decode())


def _encoded(document: object) -> bytes:
    import msgspec

    from ledger.model.parameters import json_ready

    return msgspec.json.encode(json_ready(document), enc_hook=_plain)


def _plain(value: object) -> str:
    # Paths, mostly; what is not UTF-8 in them is escaped.
    return shown(value)


def listed(positions: Sequence[int]) -> str:
    """Return positions as text, the first of them where there are many."""
    shown = ", ".join(map(str, positions[:_MOST_LISTED]))
    more = len(positions) - _MOST_LISTED
    return shown if more <= 0 else f"{shown} and {more:,} more"


def write_output(text: str, path: str | os.PathLike[str], *, opening: str) -> None:
    """Write a text to a file that is whole once it is there.

    Args:
        text: All of it.
        path: A free path, an empty file, or a file of the same kind, which is replaced.
        opening: Every file of its kind begins with this.

    Raises:
        PathTakenError: Something else is there, or the path is inside a ledger's folder.
        StorageError: The disk refused.
    """
    from ledger import files
    from ledger.errors import PathTakenError
    from ledger.input_files import open_regular
    from ledger.places.config import outside_of_ledgers

    target = outside_of_ledgers(path)
    if target.exists():
        with open_regular(target) as reader:
            known = reader.read(len(opening.encode()))
        if known not in (b"", opening.encode()):
            raise PathTakenError(
                f"{printable(path)}: something else is there already, and is not replaced; remove "
                "it or choose another path",
                path=printable(path),
            )
    files.write_durably(target, text.encode())
