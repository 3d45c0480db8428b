"""The verbs of labels: `label add`, `label list`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.finding import Uid
from ledger.cli.group import VerbGroup, json_option, verb
from ledger.cli.moment import source_at
from ledger.errors import CommandRejectedError

if TYPE_CHECKING:
    from ledger.registries.ulabel import ULabel

label_verb = VerbGroup(
    "label",
    verbs={
        "add": ("ledger.cli.labels", "Add a label, unless it is there or similar ones are."),
        "list": ("ledger.cli.labels", "List the labels."),
    },
    examples=("metaledger label add 'Immune study'",),
    help="Add and list labels.",
)


@verb(
    "add",
    examples=(
        "metaledger label add 'Immune study' --description 'cohort of 2030'",
        "metaledger label add 'Immune study 2' --yes",
    ),
)
@click.argument("name")
@click.option("--description", help="Description in your own words.")
@click.option("--yes", is_flag=True, help="Add it although similar names exist.")
@click.option(
    "--load", "loaded", metavar="LABEL", type=Uid("ulabel"), help="Take this label instead."
)
@json_option
def add_verb(
    name: str, *, description: str | None, yes: bool, loaded: str | None, as_json: bool
) -> None:
    """Add a label called NAME and print its uid.

    A label of that name is never added twice. Where similar names exist they are shown: on a
    terminal you are asked what to do, elsewhere say --yes or --load.
    """
    from ledger.cli.output import print_json, record_data
    from ledger.display.messages import leave_unsaid, say
    from ledger.display.tables import shown
    from ledger.registries.base import NO_RUN
    from ledger.registries.finding import found
    from ledger.registries.ulabel import ULabel
    from ledger.user_settings import settings

    leave_unsaid(NO_RUN)
    if yes and loaded is not None:
        raise click.UsageError("--yes adds a label, --load takes one that exists: choose one")
    # Asked below, where the answer can be acted on.
    settings.creation.search_names = False
    fields: dict[str, Any] = {} if description is None else {"description": description}
    label: Any = (
        ULabel(name, **fields)
        if loaded is None
        else found(source_at(None), loaded, registry="ulabel")
    )
    if not label.is_saved and not yes:
        label = _instead_of(label, name)
    is_new = not label.is_saved
    if description is not None:
        label.description = description
    label.save()
    say(
        "success" if is_new else "info",
        f"{'added' if is_new else 'this label exists:'} '{label.name}' ({label.uid})",
    )
    if as_json:
        print_json(record_data(label))
    else:
        click.echo(f"{label.uid}  {shown(label.name)}")


def _instead_of(label: ULabel, name: str) -> ULabel:
    """Return the label to save: the new one, or a similar one that the user means.

    Raises:
        CommandRejectedError: Similar names exist and nobody can be asked.
        Abort: The user wants neither.
    """
    from ledger.cli.output import print_table
    from ledger.places import instance
    from ledger.places.source import Source
    from ledger.registries.named import SIMILAR_SHOWN, similar_row

    ledger = instance.current()
    similar = ledger.name_search("ulabel").similar(name, limit=SIMILAR_SHOWN)
    if not similar.hits:
        return label
    total = len(similar.hits) + similar.more
    source = Source(ledger)
    print_table(
        ["uid", "name", "description", "run", "created by", "created at"],
        [similar_row(source, "ulabel", hit.uid) for hit in similar.hits],
        err=True,
    )
    if similar.more:
        click.echo(f"and {similar.more:,} more", err=True)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandRejectedError(
            f"label '{name}': {total:,} with {'a similar name' if total == 1 else 'similar names'} "
            f"exist{'s' if total == 1 else ''}, nothing was added; say --yes to add it, or "
            f"--load {similar.hits[0].uid} to take that one"
        )
    return _ask(label, name, [hit.uid for hit in similar.hits])


def _ask(label: ULabel, name: str, uids: list[str]) -> ULabel:
    from ledger.display.tables import shown
    from ledger.registries.ulabel import ULabel

    which = "it" if len(uids) == 1 else "one of these"
    answer = click.prompt(
        f"save '{shown(name)}' as a new label, load {which}, or cancel?",
        type=click.Choice(["save", "load", "cancel", "s", "l", "c"]),
        show_choices=False,
        prompt_suffix=" [s/l/c] ",
        err=True,
    )
    if answer[0] == "s":
        return label
    if answer[0] == "c":
        click.echo("cancelled, nothing was added", err=True)
        raise click.exceptions.Exit(1)
    uid = uids[0]
    if len(uids) > 1:
        uid = click.prompt(
            "which uid, or the beginning of one?", default=uid, prompt_suffix=" ", err=True
        )
    return ULabel.get(uid)


@verb("list", examples=("metaledger label list --limit 10",))
@click.option("--limit", type=click.IntRange(min=0), help="At most so many; 0 for all.")
@json_option
def list_verb(*, limit: int | None, as_json: bool) -> None:
    """List the labels, the newest first: the same as `metaledger list label`."""
    from ledger.cli import records

    click.get_current_context().invoke(
        records.list_verb, registry="ulabel", filters=(), limit=limit, trash=False, as_json=as_json
    )


__all__ = ["add_verb", "label_verb", "list_verb"]
