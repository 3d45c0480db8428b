"""Verbs that bring in what another tool holds: `import dvc`, `lamindb`, `mlflow`, `openlineage`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.cli.group import json_option, verb

if TYPE_CHECKING:
    from ledger.bridges.imported import Imported

_SHOWN = 20  # aliases and reasons of one kind that are shown

_dry_run = click.option(
    "--dry-run", is_flag=True, help="Count what would be recorded; record nothing."
)
_declare = click.option("--declare", is_flag=True, help="Read no content: declare every artifact.")


@verb(
    "lamindb",
    examples=(
        "metaledger import lamindb ./my-instance --dry-run",
        "metaledger import lamindb ./my-instance --root /old/store=/data/store",
        "metaledger import lamindb postgresql://reader@host/lamin --declare --json",
    ),
)
@click.argument("where", metavar="FOLDER|FILE|URL")
@_dry_run
@_declare
@click.option("--root", "roots", multiple=True, metavar="OLD=NEW", help="Where a storage lies now.")
@click.option("--branch", metavar="NAME", help="Bring in this branch of LaminDB, too.")
@json_option
def lamindb_verb(  # noqa: PLR0913 (one an option)
    where: str,
    *,
    dry_run: bool,
    declare: bool,
    roots: tuple[str, ...],
    branch: str | None,
    as_json: bool,
) -> None:
    """Bring an instance of LaminDB into this ledger, with its dates, people and uids.

    Its database is only read, and its contents stay where they lie. The same instance again adds
    what is new in it. Ends with 1 if the rows do not add up.
    """
    from ledger.bridges.lamindb.importing import import_lamindb

    moves = {}
    for text in roots:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise click.UsageError(f"--root: expected OLD=NEW, got '{text}'")
        moves[old] = new
    done = import_lamindb(where, dry_run=dry_run, declare=declare, roots=moves, branch=branch)
    show(done, as_json=as_json)


@verb(
    "openlineage",
    examples=(
        "metaledger import openlineage events.jsonl",
        "cat events/*.json | metaledger import openlineage - --dry-run",
    ),
)
@click.argument("where", metavar="FILE|-")
@_dry_run
@json_option
def openlineage_verb(where: str, *, dry_run: bool, as_json: bool) -> None:
    """Bring in the runs that events of OpenLineage tell of, one event in JSON a line.

    Airflow, Dagster, Spark, dbt and Flink write them. They may come in any order; the same events
    again add nothing. Datasets are declared, and no content is read.
    """
    from ledger.bridges.openlineage.importing import import_openlineage

    show(import_openlineage(where, dry_run=dry_run), as_json=as_json)


@verb(
    "dvc",
    examples=("metaledger import dvc . --dry-run", "metaledger import dvc ./project/dvc.lock"),
)
@click.argument("where", metavar="FOLDER|FILE")
@_dry_run
@_declare
@json_option
def dvc_verb(where: str, *, dry_run: bool, declare: bool, as_json: bool) -> None:
    """Bring a project of DVC into this ledger: its stages as runs, its files as artifacts.

    Reads dvc.lock and each .dvc file, and no commit before. Files stay where they lie. The same
    project again adds what is new in it. Ends with 1 if the rows do not add up.
    """
    from ledger.bridges.dvc import import_dvc

    show(import_dvc(where, dry_run=dry_run, declare=declare), as_json=as_json)


@verb(
    "mlflow",
    examples=(
        "metaledger import mlflow ./mlruns --dry-run",
        "metaledger import mlflow sqlite:///mlflow.db --declare --json",
    ),
)
@click.argument("where", metavar="FOLDER|FILE|URL")
@_dry_run
@_declare
@json_option
def mlflow_verb(where: str, *, dry_run: bool, declare: bool, as_json: bool) -> None:
    """Bring the runs of a tracking store of MLflow into this ledger, with their dates and people.

    The store is only read, and artifacts stay where they lie. The same store again adds what is
    new in it. Ends with 1 if the rows do not add up.
    """
    from ledger.bridges.mlflow.importing import import_mlflow

    show(import_mlflow(where, dry_run=dry_run, declare=declare), as_json=as_json)


def show(done: Imported, *, as_json: bool) -> None:
    """Print what an import did; end with 1 if the rows do not add up."""
    from ledger.cli.output import print_json, print_table
    from ledger.display.messages import say

    if as_json:
        print_json(done)
    else:
        print_table(
            ["table", "read", "imported", "known", "left out"],
            [
                [name, *(f"{it:,}" for it in (row.read, row.imported, row.known, row.left_out))]
                for name, row in done.counts.items()
            ],
        )
        for why, rows in list(done.left_out.items())[:_SHOWN]:
            click.echo(f"left out: {rows:,} of {why}")
        for it in done.unmapped:
            click.echo(f"kept in unmapped.jsonl: {it.rows:,} of {it.table}, {it.why}")
        for what, aliases in (
            ("damaged: another content than the source says", done.damaged),
            ("declared: known without their content", done.declared),
            ("unchecked: a hash that cannot be compared", done.unchecked),
        ):
            if aliases:
                more = f" and {len(aliases) - _SHOWN:,} more" if len(aliases) > _SHOWN else ""
                click.echo(f"{what}: {', '.join(aliases[:_SHOWN])}{more}")
        for note in done.notes:
            click.echo(f"note: {note}")
        verb_ = "would be recorded" if done.is_dry_run else "recorded"
        say("success", f"{done.source}: {done.events:,} events {verb_}")
    if not done.adds_up:
        say("error", f"{done.source}: the rows do not add up; please report this")
        raise click.exceptions.Exit(1)
