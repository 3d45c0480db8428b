"""The verb that shows what made a result: `transform`."""

from __future__ import annotations

from typing import Any

import click

from ledger.cli.finding import Uid
from ledger.cli.group import json_option, verb
from ledger.cli.moment import as_of_option, source_at
from ledger.errors import NotFoundError


@verb(
    "transform",
    examples=(
        "metaledger transform analysis.py",
        "metaledger transform analysis.py --source > then.py",
        "metaledger transform analysis.py --source --as-of paper-v1",
    ),
)
@click.argument("transform", type=Uid("transform"))
@click.option("--source", "wants_source", is_flag=True, help="Print its source as it ran.")
@as_of_option
@json_option
def transform_verb(transform: str, *, wants_source: bool, as_of: str | None, as_json: bool) -> None:
    """Show a TRANSFORM, a script, notebook or command, with its runs, or print its source.

    TRANSFORM is a uid or its beginning, a key, a name, or the path of a script. A key means the
    latest version; `metaledger show` lists the others.
    """
    from ledger.cli.records import show_record
    from ledger.registries.description import called
    from ledger.registries.finding import found

    if wants_source and as_json:
        raise click.UsageError("--source prints the source itself, --json a document: choose one")
    meant: Any = found(source_at(as_of), transform, registry="transform")
    if not wants_source:
        show_record(meant, as_json=as_json)
        return
    source = meant.source_code
    if source is None:
        raise NotFoundError(
            f"Transform {called(meant)}: no source was recorded with it; scripts and notebooks "
            "that call track() have one"
        )
    click.echo(source, nl=not source.endswith("\n"))


__all__ = ["transform_verb"]
