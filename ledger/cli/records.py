"""Verbs that read records: `list`, `show`, `search`; and that move one: `trash`, `restore`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.finding import RegistryName, Uid
from ledger.cli.group import json_option, verb
from ledger.cli.moment import as_of_option, source_at

if TYPE_CHECKING:
    from ledger.registries.base import Record

_ON_A_TERMINAL = 50  # rows of a list there without --limit
_RELATED = 20  # rows of a relation that `show` lists

_SQLITE = b"SQLite format 3\0"  # the first bytes of each of its files


@verb(
    "list",
    examples=(
        "metaledger list artifact --filter key__startswith=raw/ --filter labels__name='plate 1'",
        "metaledger list run --filter status=failed --limit 5",
    ),
)
@click.argument("registry", type=RegistryName())
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Only records that pass; also name__icontains=…, size__gt=…, run__transform__key=…; "
    "may be given several times.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help=f"At most so many; 0 for all. [default: {_ON_A_TERMINAL} on a terminal, else all]",
)
@click.option("--trash", is_flag=True, help="Those in the trash instead.")
@as_of_option
@json_option
def list_verb(  # noqa: PLR0913 (the options of the verb)
    registry: str,
    *,
    filters: tuple[str, ...],
    limit: int | None,
    trash: bool,
    as_of: str | None,
    as_json: bool,
) -> None:
    """List the records of a REGISTRY, the newest first.

    A registry is artifact, collection, run, transform, or ulabel (also: label).
    """
    list_records(registry, filters, limit=limit, trash=trash, as_of=as_of, as_json=as_json)


def list_records(  # noqa: PLR0913 (the options of the verb)
    registry: str,
    filters: tuple[str, ...] = (),
    *,
    limit: int | None = None,
    trash: bool = False,
    as_of: str | None = None,
    as_json: bool = False,
) -> None:
    """Print the records of a registry that pass all filters, the newest first."""
    from ledger.cli.finding import lookups
    from ledger.cli.output import print_json_lines, print_records, record_data
    from ledger.display.messages import say
    from ledger.places.kinds import record_class
    from ledger.registries.registry import Registry

    given: dict[str, Any] = lookups(registry, filters)
    query = Registry(record_class(registry), source_at(as_of)).filter(**given)
    if trash:
        query = query.filter(is_trashed=True)
    query = query.reverse()
    if limit is None:
        limit = _ON_A_TERMINAL if sys.stdout.isatty() and not as_json else 0
    records = (query[:limit] if limit else query).all()
    if as_json:
        print_json_lines(record_data(record) for record in records)
    elif not records:
        say("info", f"no {registry} {'in the trash ' if trash else ''}to list")
    else:
        print_records(records)
    if limit and len(records) == limit and (more := query.count() - limit) > 0:
        say("info", f"and {more:,} more; --limit 0 lists all")


@verb("search", examples=("metaledger search 'imune study'", "metaledger search plate --json"))
@click.argument("text")
@click.option("--registry", type=RegistryName(), help="Only in this registry.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="At most so many of each registry.",
)
@as_of_option
@json_option
def search_verb(
    text: str, *, registry: str | None, limit: int, as_of: str | None, as_json: bool
) -> None:
    """Find records by TEXT: words of names, keys and descriptions, beginnings, typos.

    Best matches come first.
    """
    from ledger.cli.output import print_json_lines, print_records, record_data
    from ledger.display.messages import say
    from ledger.model.schema import REGISTRIES
    from ledger.registries import all_registries

    registries = None if registry is None else (registry,)
    found = all_registries.search(source_at(as_of), text, registries=registries, limit=limit)
    if as_json:
        print_json_lines(record_data(record) for records in found.values() for record in records)
        return
    for number, (name, records) in enumerate(found.items()):
        if number:
            click.echo()
        if registry is None:
            click.echo(f"{REGISTRIES[name].title}:")
        print_records(records)
    if not found:
        say("info", f"nothing found for '{text}'")


@verb(
    "show",
    examples=(
        "metaledger show ./report.csv             # which artifact is this file, who made it",
        "metaledger show 'Immune study'",
        "metaledger show Z8ZRoI --json",
    ),
)
@click.argument("record", type=Uid())
@as_of_option
@json_option
def show_verb(record: str, *, as_of: str | None, as_json: bool) -> None:
    """Show everything about a RECORD.

    RECORD is a uid or its beginning, a key, a name, or the path or URL of a file or folder, which
    is looked up by its content. A path begins with ./ or / where a key is called the same.
    Relations are listed below the fields: labels, runs, inputs, outputs, members, versions.
    """
    from ledger.registries.finding import found

    show_record(found(source_at(as_of), record), as_json=as_json)


def show_record(shown: Record, *, as_json: bool) -> None:
    """Print a record with its relations, and warn of a retraction that concerns it."""
    from ledger.cli.output import print_heading, print_json, print_pairs, print_records, record_data
    from ledger.past.retraction import warn_of_retraction

    warn_of_retraction(shown)
    related = _related(shown)
    if as_json:
        document = record_data(shown)
        if shown.registry == "artifact":
            document |= {"keys": shown.keys, "path": _place_of(shown)}
        document["aliases"] = shown.aliases
        if (features := _features(shown)) is not None:
            document["features"] = dict(features)
        document["relations"] = {
            name: [record_data(each) for each in records] for name, records in related.items()
        }
        print_json(document)
        return
    print_pairs(_fields(shown))
    if features := _features(shown):
        print_heading("features")
        print_pairs(features)
    for name, records in related.items():
        if not records:
            continue
        more = f" (the first {_RELATED} of {len(records):,})" if len(records) > _RELATED else ""
        print_records(records[:_RELATED], heading=f"{name.replace('_', ' ')}{more}")


def _features(record: Record) -> list[tuple[str, object]] | None:
    """Return its features by name, as people read them; None where a registry bears none."""
    from ledger.registries.features import told

    return told(record)


def _place_of(record: Record) -> str | None:
    """Return where content lies; None for content that was never seen here."""
    return None if record.is_declared else str(record.path)


def _fields(record: Record) -> list[tuple[str, object]]:
    from ledger.display.tables import shown
    from ledger.registries.description import called

    spec = record.spec
    pairs: list[tuple[str, object]] = [("registry", record.registry), ("uid", record.uid)]
    if record.is_trashed:
        pairs.append(("in the trash", "yes; 'metaledger restore' brings it back"))
    names = [*(field.name for field in spec.fields), "created_at", "created_by", "updated_at"]
    pairs += [(name, _text(getattr(record, name))) for name in names]
    if record.registry == "artifact":
        keys = record.keys
        pairs += [("path", _place_of(record)), ("keys", ", ".join(map(shown, keys)))]
    if aliases := record.aliases:
        pairs.append(("aliases", ", ".join(map(shown, aliases))))
    for relation in spec.relations:
        if not relation.is_many and (other := getattr(record, relation.name)) is not None:
            pairs.append((relation.name, called(other)))
    return [(name.replace("_", " "), value) for name, value in pairs]


def _text(value: object) -> object:
    import datetime as dt

    match value:
        case bool():
            return "yes" if value else "no"
        case dt.datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S UTC")
        case dict() | list():
            from ledger.display.rows import plain_text

            return plain_text(value)
        case int():
            return f"{value:,}"
        case _:
            return value


def _related(record: Record) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {
        relation.name: getattr(record, relation.name).all()
        for relation in record.spec.relations
        if relation.is_many and (record.registry, relation.name) != ("artifact", "runs")
    }
    if record.registry == "artifact":
        found["previous_runs"] = record.previous_runs.all()
    for records in found.values():
        if records and records[0].spec.called_by is not None:
            records.sort(key=lambda it: -it.id)  # the newest first
    if record.spec.is_versioned:
        versions = record.versions.all()
        found["versions"] = versions if len(versions) > 1 else []
    return found


@verb("trash", examples=("metaledger trash Z8ZRoI", "metaledger trash raw/sample.fcs"))
@click.argument("record", type=Uid())
def trash_verb(record: str) -> None:
    """Move a RECORD, given by uid, key, name or path, to the trash; nothing is lost."""
    moved = _meant(record)
    moved.delete()
    _tell(moved, "moved to the trash; 'metaledger restore' brings it back")


@verb(
    "restore",
    examples=(
        "metaledger restore Z8ZRoI",
        "metaledger restore 'Immune study'",
        "metaledger restore ./monday.backup --force",
    ),
)
@click.argument("record", type=Uid(), metavar="RECORD|FILE")
@click.option("--force", is_flag=True, help="Of a backup: put the present database aside.")
def restore_verb(record: str, *, force: bool) -> None:
    """Take a RECORD out of the trash, or restore a backup from a FILE.

    A record is given by uid, key, name or path. A backup takes the place of the database here,
    which is put aside and never destroyed. A file that is a backup of a ledger is a FILE.
    """
    if _is_backup(record):
        _restore_backup(record, force=force)
        return
    moved = _meant(record, trashed=True)
    moved.restore()
    _tell(moved, "taken out of the trash")


def _is_backup(text: str) -> bool:
    from ledger.errors import LedgerError
    from ledger.input_files import named_path, open_regular

    try:
        path = named_path(text)
        if not path.is_file():
            return False
    except (LedgerError, OSError, ValueError):
        return False
    with open_regular(path) as reader:
        return reader.read(len(_SQLITE)) == _SQLITE


def _restore_backup(path: str, *, force: bool) -> None:
    from ledger.display.messages import say
    from ledger.upkeep.backup import restore

    done = restore(path, force=force)
    say("success", f"restored {path}: the log ends at position {done.events:,}")
    if done.aside is not None:
        before = "" if done.events_before is None else f" (to position {done.events_before:,})"
        say("info", f"the ledger of before{before} is in {done.aside}")
    for words in done.missing:
        say(
            "warning",
            f"{words}; a copy of an open ledger that was made without its write-ahead log (-wal) "
            "ends too early: use a later backup, or adopt a new key ('metaledger key --rotate "
            "--lost') and say so",
        )


def _meant(record: str, *, trashed: bool = False) -> Record:
    from ledger.registries.finding import found

    return found(source_at(None), record, which="trashed" if trashed else "any")


def _tell(record: Record, what: str) -> None:
    from ledger.display.messages import say
    from ledger.registries.description import called

    say("success", f"{record.spec.title} {called(record)}: {what}")
