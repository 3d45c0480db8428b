"""The verb that brings a log from elsewhere: `import`."""

from __future__ import annotations

import click

from ledger.cli.group import VerbGroup, verb

import_verb = VerbGroup(
    "import",
    verbs={
        "archive": ("ledger.cli.archives", "Make a ledger here of an export of one."),
        "dvc": ("ledger.cli.imports", "Bring a project of DVC into this ledger."),
        "lamindb": ("ledger.cli.imports", "Bring an instance of LaminDB into this ledger."),
        "mlflow": ("ledger.cli.imports", "Bring the runs of MLflow into this ledger."),
        "openlineage": ("ledger.cli.imports", "Bring in runs that OpenLineage tells of."),
    },
    otherwise="archive",
    examples=(
        "metaledger import ./archive --storage ./storage --key ledger.pub",
        "metaledger import lamindb ./my-instance --dry-run",
        "metaledger import openlineage events.jsonl",
    ),
    help=(
        "Make a ledger of an archive, or bring in what another tool holds. Without the name of a "
        "tool, the arguments are those of `archive`."
    ),
)


@verb(
    "archive",
    examples=(
        "metaledger import ./archive --storage ./storage --key ledger.pub",
        "metaledger import s3://bucket/archive --storage ./storage --db postgresql://host/lab",
    ),
)
@click.argument("where", metavar="FOLDER|URL")
@click.option("--storage", required=True, metavar="ROOT", help="Where content is from now on.")
@click.option("--db", "database", metavar="URL", help="Database of log and read models.")
@click.option(
    "--key", multiple=True, help="Public key line or a file of them; then only these are trusted."
)
@click.option("--name", help="What to call the ledger. [default: its former name]")
def archive_verb(
    where: str, *, storage: str, database: str | None, key: tuple[str, ...], name: str | None
) -> None:
    """Make a ledger here of an export: the same events, the same root hash.

    The archive is audited first, and refused as a whole if there is any finding.
    """
    from ledger.cli.proving import keys_of
    from ledger.display.messages import say
    from ledger.transfer.archive_import import restore

    lines = [line for given in key for line in keys_of(given)]
    place = restore(where, storage, database=database, keys=lines, name=name)
    say("success", f"made ledger '{place.configuration.name}' in {place.root}")
    click.echo(place.configuration.id)
