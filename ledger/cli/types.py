"""The verbs of registries of one's own: `registry`, `record`, `annotate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ledger.cli.finding import RegistryName, Uid
from ledger.cli.group import VerbGroup, json_option, verb
from ledger.cli.moment import as_of_option, source_at
from ledger.errors import InvalidValueError, UnknownFieldError

registry_verb = VerbGroup(
    "registry",
    verbs={
        "list": ("ledger.cli.types", "List the registries that this ledger defines."),
        "show": ("ledger.cli.types", "Show the fields of a registry."),
    },
    examples=("metaledger registry show sample",),
    help="Look at the registries that this ledger defines.",
)

record_verb = VerbGroup(
    "record",
    verbs={
        "add": ("ledger.cli.types", "Add a record with typed values."),
        "import": ("ledger.cli.types", "Add a record for each row of a table."),
    },
    examples=("metaledger record add donor D7 age=61",),
    help="Add records to a registry that this ledger defines.",
)


@verb("list", examples=("metaledger registry list",))
@as_of_option
@json_option
def list_verb(*, as_of: str | None, as_json: bool) -> None:
    """List the registries that this ledger defines, with the number of their fields."""
    from ledger.cli.output import print_json_lines, print_table
    from ledger.display.messages import say

    source = source_at(as_of)
    specs = [spec for name in source.names if (spec := source.spec(name)).is_defined]
    if as_json:
        print_json_lines({"registry": it.name, "title": it.title} for it in specs)
    elif specs:
        rows = [[it.name, it.title, ", ".join(it.key)] for it in specs]
        print_table(["registry", "class", "key"], rows)
    else:
        say("info", "this ledger defines no registry; class Donor(ln.Record) in Python does")


@verb(
    "show", examples=("metaledger registry show sample", "metaledger registry show sample --json")
)
@click.argument("registry", type=RegistryName())
@as_of_option
@json_option
def show_verb(registry: str, *, as_of: str | None, as_json: bool) -> None:
    """Show the fields of a REGISTRY: name, type, unit, bounds, and whether they are required."""
    import msgspec

    from ledger.cli.output import print_json, print_table
    from ledger.registries.classes import registry_at

    schema = registry_at(registry, source_at(as_of)).schema
    fields = schema.fields
    if as_json:
        print_json([msgspec.to_builtins(it, enc_hook=str) for it in fields])
        return
    rows = [
        [
            it.name,
            it.type,
            it.unit or "",
            ", ".join(f"{name}={value}" for name, value in it.bounds.items()),
            "required" if it.is_required else "retired" if it.is_retired else "",
            it.description or "",
        ]
        for it in fields
    ]
    print_table(["field", "type", "unit", "bounds", "", "description"], rows)


@verb(
    "add",
    examples=(
        "metaledger record add donor D7 age=61",
        "metaledger record add visit donor=D7 day=2026-02-01",
    ),
)
@click.argument("registry", type=RegistryName())
@click.argument("values", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Add it although similar names exist.")
@json_option
def add_verb(registry: str, values: tuple[str, ...], *, yes: bool, as_json: bool) -> None:
    """Add a record to REGISTRY and print its uid: its name, then VALUES such as age=61.

    A record of that name is never added twice: it gets the values.
    """
    from ledger.cli.output import print_json, record_data
    from ledger.registries.classes import registry as class_of
    from ledger.user_settings import settings

    if yes:
        settings.creation.search_names = False
    kind = class_of(registry)
    named = [it for it in values if "=" not in it]
    if len(named) > 1:
        raise click.UsageError(f"expected one name, got {', '.join(named)}")
    given = _given(kind._definition(), [it for it in values if "=" in it])  # noqa: SLF001
    record = kind(*named, **given).save()
    if as_json:
        print_json(record_data(record))
    else:
        click.echo(record.uid)


def _given(definition: Any, assignments: list[str]) -> dict[str, Any]:
    """Return what `field=value` assigns, of the kind that each field holds."""
    found = {}
    for text in assignments:
        name, _, value = text.partition("=")
        found[name] = typed(definition.require(name).type, value, f"{definition.title}.{name}")
    return found


def typed(kind: Any, text: str, label: str) -> Any:  # noqa: PLR0911 (one a kind)
    """Return a typed text as a value of a type; empty text is no value.

    Raises:
        InvalidValueError: It cannot be one.
    """
    import msgspec

    if not text:
        return None
    if kind.is_list:
        one = msgspec.structs.replace(kind, is_list=False)
        return [typed(one, part.strip(), label) for part in text.split(",")]
    if kind.kind in {"str", "date", "datetime", "record"}:
        return text
    try:
        match kind.kind:
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "bool" if text.lower() in {"true", "false"}:
                return text.lower() == "true"
            case "dict":
                return msgspec.json.decode(text, type=dict[str, Any])
            case _:
                pass
    except (ValueError, msgspec.DecodeError):
        pass
    raise InvalidValueError(f"{label}: expected {kind.kind}, got {text!r:.60}")


@verb(
    "import",
    examples=(
        "metaledger record import donor donors.csv",
        "metaledger record import tissue uberon.obo",
    ),
)
@click.argument("registry", type=RegistryName())
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--obo", is_flag=True, help="It is an ontology, whatever it is called.")
def import_verb(registry: str, table: Path, *, obo: bool) -> None:
    """Add a record to REGISTRY for each row of TABLE, a file of CSV or Parquet.

    The whole table is checked first: with any fault, nothing is added. Of an ontology (OBO) each
    term is a record, with its parents and synonyms.
    """
    import ledger as ln
    from ledger.errors import MissingFileError
    from ledger.registries.classes import registry as class_of
    from ledger.registries.loaders import is_loadable, load

    if not table.is_file():
        raise MissingFileError(f"{table}: no such file", path=str(table))
    suffix = table.suffix.lower()
    before = ln.head()
    if obo or suffix == ".obo":
        terms = class_of(registry).import_obo(table)
        click.echo(f"{len(terms):,} records, {ln.head() - before:,} new events")
        return
    if suffix not in {".csv", ".tsv", ".parquet", ".feather", ".arrow"} or not is_loadable(suffix):
        raise InvalidValueError(
            f"{table}: expected a table of CSV, TSV, Parquet or Feather, or OBO"
        )
    records = ln.save(class_of(registry).from_df(load(table, suffix, called=str(table))))
    click.echo(f"{len(records):,} records, {ln.head() - before:,} new events")


@verb("annotate", examples=("metaledger annotate Z8ZRoI temperature=36.6",))
@click.argument("record", type=Uid())
@click.argument("values", nargs=-1, required=True)
def annotate_verb(record: str, values: tuple[str, ...]) -> None:
    """Set features of an artifact, a collection or a run: RECORD, then VALUES such as t=36.6.

    A name without a value (`t=`) takes the feature away.
    """
    import ledger as ln
    from ledger.model.values import read_type

    found = ln.find(record)
    given: dict[str, Any] = {}
    for text in values:
        name, separator, value = text.partition("=")
        if not separator:
            raise click.UsageError(f"expected name=value, got {text!r}")
        feature = ln.Feature.filter(name=name).first()
        if feature is None:
            raise UnknownFieldError(
                f"no feature is called '{name}'; ln.Feature(name=\"{name}\", dtype=float).save() "
                "defines it",
                field=name,
            )
        given[name] = typed(read_type(feature.type), value, f"feature '{name}'")
    found.features.update(given)
    click.echo(found.uid)
