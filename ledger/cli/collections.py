"""The verbs of collections: `collection add`, `collection list`."""

from __future__ import annotations

from typing import Any

import click

from ledger.cli.finding import Uid
from ledger.cli.group import VerbGroup, json_option, verb
from ledger.cli.moment import source_at

collection_verb = VerbGroup(
    "collection",
    verbs={
        "add": ("ledger.cli.collections", "Put artifacts together under a name."),
        "list": ("ledger.cli.collections", "List the collections."),
    },
    examples=("metaledger collection add 'March plates' raw/p1.csv raw/p2.csv",),
    help="Put artifacts together under one name.",
)


@verb(
    "add",
    examples=(
        "metaledger collection add 'March plates' raw/p1.csv raw/p2.csv",
        "metaledger collection add batches b1.csv b2.csv --ordered --label 'Immune study'",
    ),
)
@click.argument("name")
@click.argument("members", nargs=-1, required=True, type=Uid("artifact"), metavar="ARTIFACT...")
@click.option("--description", help="Description in your own words.")
@click.option(
    "--label", "labels", multiple=True, metavar="NAME", help="Label it; may be given several times."
)
@click.option("--ordered", is_flag=True, help="The order of the artifacts counts.")
@json_option
def add_verb(  # noqa: PLR0913 (the options of the verb)
    name: str,
    *,
    members: tuple[str, ...],
    description: str | None,
    labels: tuple[str, ...],
    ordered: bool,
    as_json: bool,
) -> None:
    """Put each ARTIFACT into a collection called NAME, and print its uid.

    An ARTIFACT is a uid or its beginning, a key, or the path of a file that is registered. The same
    artifacts again are the same collection; others under a name that exists are a new version.
    """
    from ledger.cli.labels import label_called
    from ledger.cli.output import print_json, record_data
    from ledger.display.messages import leave_unsaid
    from ledger.display.tables import shown
    from ledger.registries.base import NO_RUN
    from ledger.registries.collection import Collection
    from ledger.registries.finding import found

    leave_unsaid(NO_RUN)
    source = source_at(None)
    given = [label_called(each) for each in labels]
    artifacts: list[Any] = [found(source, each, registry="artifact") for each in members]
    collection = Collection(artifacts, name, description, ordered=ordered).save()
    collection.labels.add(*given)
    if as_json:
        print_json(record_data(collection))
    else:
        click.echo(f"{collection.uid}  {shown(collection.name)}")


@verb("list", examples=("metaledger collection list --limit 10",))
@click.option("--limit", type=click.IntRange(min=0), help="At most so many; 0 for all.")
@json_option
def list_verb(*, limit: int | None, as_json: bool) -> None:
    """List the collections, the newest first: the same as `metaledger list collection`."""
    from ledger.cli.records import list_records

    list_records("collection", limit=limit, as_json=as_json)


__all__ = ["add_verb", "collection_verb", "list_verb"]
