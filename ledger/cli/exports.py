"""The verb `export`: the log as an archive, or what a ledger knows in forms that others read."""

from __future__ import annotations

import click

from ledger.cli.group import VerbGroup, json_option, verb
from ledger.cli.moment import KINDS, PointText, as_of_option

_TOLD = {
    "crate": ("ledger.cli.exports", "Write a result as a research object, proofs inside."),
    "openlineage": ("ledger.cli.exports", "Write runs as events of OpenLineage."),
    "prov": ("ledger.cli.exports", "Write where a result came from as PROV-JSON."),
    "tables": ("ledger.cli.exports", "Write tables for DuckDB, Polars, R or Spark."),
}


class _Exports(VerbGroup):
    """`export FOLDER|URL` writes an archive; where the first word is a verb, that is meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the verb of the archive before anything that begins with no other verb."""
        first = next((it for it in args if not it.startswith("-")), None)
        asks_for_help = first is None and {"-h", "--help"}.intersection(args)
        if args and not asks_for_help and first not in _TOLD:
            args = ["archive", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Return the verbs that people type: an archive is written without one."""
        return list(_TOLD)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the verbs that people type."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, line) for name, (_, line) in _TOLD.items()])


export_verb = _Exports(
    "export",
    verbs={"archive": ("ledger.cli.exports", ""), **_TOLD},
    subcommand_metavar="FOLDER|URL | VERB [ARGS]...",
    examples=(
        "metaledger export ./archive",
        "metaledger export s3://bucket/archive --json",
        "metaledger export tables ./tables --as-of paper-v1",
    ),
    help=(
        "Write the log and a new checkpoint into a folder or to a URL, as an archive; with a "
        "verb, write another form.\n\n"
        "Other programs can read an archive, an auditor can audit it, and a ledger can be made "
        "of it. If an earlier export of this ledger is there, only new events are added. Stored "
        "contents are not exported. A folder that is called like a verb is written with a dot: "
        "./tables.\n\n"
        "Option of an archive: --json prints JSON."
    ),
)


@verb("export", examples=("metaledger export ./archive",), hidden=True)
@click.argument("where", metavar="FOLDER|URL")
@json_option
def archive_verb(where: str, *, as_json: bool) -> None:
    """Write the log and a new checkpoint into a folder or to a URL, as Parquet."""
    from ledger.cli.output import print_json
    from ledger.display.messages import say
    from ledger.transfer.archive_export import export

    done = export(where)
    if as_json:
        print_json(done)
        return
    click.echo(f"{done.events:,} events ({done.added:,} new), root {done.root}")
    say("success", f"wrote {done.where} ({done.size:,} bytes); keep its checkpoint elsewhere too")


@verb(
    "tables",
    examples=(
        "metaledger export tables ./tables",
        "metaledger export tables ./then --as-of 2026-03-01 --format csv",
        "metaledger export tables ./all --history",
    ),
)
@click.argument("folder")
@as_of_option
@click.option(
    "--history",
    is_flag=True,
    help="A row is what was so between two positions: one folder answers for every point.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["parquet", "arrow", "csv"]),
    default="parquet",
    show_default=True,
    help="Format of the files.",
)
@json_option
def tables_verb(folder: str, *, as_of: str | None, history: bool, kind: str, as_json: bool) -> None:
    """Write tables into a new folder: one a registry, links, keys, values, tags and the log.

    DuckDB, Polars, pandas, R and Spark read them as they are. The manifest says as of which
    position they are, with the root hash of the log there.
    """
    from typing import cast

    from ledger.bridges.tables import Format, export_tables
    from ledger.cli.output import print_json, print_table
    from ledger.display.messages import say

    point = "now" if as_of is None else as_of
    done = export_tables(folder, as_of=point, history=history, format=cast("Format", kind))
    if as_json:
        print_json(done)
        return
    print_table(["table", "rows"], [[it.name, f"{it.rows:,}"] for it in done.tables])
    say("success", f"wrote {folder}, as of position {done.position:,}")


@verb(
    "crate",
    examples=(
        "metaledger export crate figure-2.pdf ./figure-2",
        "metaledger export crate B9KpqwLcV0Tz ./small --metadata-only",
    ),
)
@click.argument("uid", metavar="UID|KEY|NAME")
@click.argument("folder")
@click.option("--metadata-only", is_flag=True, help="Leave contents out; name them by digest.")
@click.option(
    "--license", "license_url", metavar="URL", help="Licence of all contents. [default: not stated]"
)
@json_option
def crate_verb(
    uid: str, folder: str, *, metadata_only: bool, license_url: str | None, as_json: bool
) -> None:
    """Write an artifact or a collection, and all that it was made from, into a new folder.

    The folder is a Process Run Crate (RO-Crate): contents, scripts, runs, and the proofs with which
    anybody can verify what the log says of them, without the ledger.
    """
    from ledger.bridges.crate import export_crate
    from ledger.cli.output import print_json
    from ledger.display.messages import say

    done = export_crate(uid, folder, metadata_only=metadata_only, license=license_url)
    if as_json:
        print_json(done)
        return
    click.echo(
        f"artifacts: {done.artifacts:,} ({done.copied:,} with content), runs: {done.runs:,}, "
        f"as of position {done.position:,}"
    )
    say("success", f"wrote {folder}; its proofs need no ledger: see proof/README in it")


@verb(
    "prov",
    examples=("metaledger export prov figure-2.pdf figure-2.prov.json",),
)
@click.argument("uid", metavar="UID|KEY|NAME")
@click.argument("file")
@as_of_option
def prov_verb(uid: str, file: str, *, as_of: str | None) -> None:
    """Write where an artifact or a collection came from into a new file, as PROV-JSON."""
    from ledger.bridges.prov import export_prov
    from ledger.display.messages import say

    export_prov(uid, file, as_of="now" if as_of is None else as_of)
    say("success", f"wrote {file}")


@verb(
    "openlineage",
    examples=(
        "metaledger export openlineage events.jsonl",
        "metaledger export openlineage new.jsonl --since 1200",
    ),
)
@click.argument("file")
@click.option(
    "--since", metavar="POINT", type=PointText(), help=f"What was recorded after POINT: {KINDS}."
)
@json_option
def openlineage_verb(file: str, *, since: str | None, as_json: bool) -> None:
    """Write runs with inputs and outputs into a new file, as events of OpenLineage, one a line.

    Marquez, DataHub, OpenMetadata and Dataplex read them. The ids of runs are the same each time.
    """
    from ledger.bridges.openlineage.write import export_openlineage
    from ledger.cli.output import print_json
    from ledger.display.messages import say

    done = export_openlineage(file, since=0 if since is None else since)
    if as_json:
        print_json(done)
        return
    say("success", f"wrote {file}: {done.events:,} events of {done.runs:,} runs")
