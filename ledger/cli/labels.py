"""The verbs of labels: `label add`, `list`, `rename`, `attach`, `detach`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.finding import Uid
from ledger.cli.group import VerbGroup, json_option, verb
from ledger.cli.moment import source_at
from ledger.errors import CommandRejectedError, NotFoundError

if TYPE_CHECKING:
    from ledger.registries.ulabel import ULabel

label_verb = VerbGroup(
    "label",
    verbs={
        "add": ("ledger.cli.labels", "Add a label, unless it is there or similar ones are."),
        "list": ("ledger.cli.labels", "List the labels."),
        "rename": ("ledger.cli.labels", "Give a label another name."),
        "attach": ("ledger.cli.labels", "Attach a label to artifacts and collections."),
        "detach": ("ledger.cli.labels", "Take a label off artifacts and collections."),
    },
    examples=(
        "metaledger label add 'Immune study'",
        "metaledger label attach 'Immune study' raw/plate.csv",
    ),
    help="Add, list, rename, attach and detach labels.",
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
    from ledger.cli.records import list_records

    list_records("ulabel", limit=limit, as_json=as_json)


@verb("rename", examples=("metaledger label rename 'Imune study' 'Immune study'",))
@click.argument("label", type=Uid("ulabel"))
@click.argument("name")
def rename_verb(label: str, *, name: str) -> None:
    """Give a LABEL another NAME; its old name still leads to it."""
    from ledger.cli.naming import rename

    rename(label_called(label), name)


@verb(
    "attach",
    examples=(
        "metaledger label attach 'Immune study' raw/plate.csv",
        "metaledger label attach 'Immune study' Z8ZRoI ./report.csv",
    ),
)
@click.argument("label", type=Uid("ulabel"))
@click.argument("records", nargs=-1, required=True, type=Uid(), metavar="RECORD...")
def attach_verb(label: str, *, records: tuple[str, ...]) -> None:
    """Attach a LABEL, given by name or uid, to each RECORD: an artifact or a collection.

    A RECORD is a uid or its beginning, a key, a name, or the path of a file that is registered.
    """
    _link(label, records, is_present=True)


@verb("detach", examples=("metaledger label detach 'Immune study' raw/plate.csv",))
@click.argument("label", type=Uid("ulabel"))
@click.argument("records", nargs=-1, required=True, type=Uid(), metavar="RECORD...")
def detach_verb(label: str, *, records: tuple[str, ...]) -> None:
    """Take a LABEL, given by name or uid, off each RECORD: an artifact or a collection."""
    _link(label, records, is_present=False)


def _link(label: str, texts: tuple[str, ...], *, is_present: bool) -> None:
    """Attach a label to all records, or take it off them; where one cannot be, none is changed."""
    from ledger.api import batch
    from ledger.display.messages import leave_unsaid, say
    from ledger.display.tables import shown
    from ledger.registries.base import NO_RUN
    from ledger.registries.description import called
    from ledger.registries.finding import found

    leave_unsaid(NO_RUN)
    meant = label_called(label)
    source = source_at(None)
    labelled = [name for name in source.names if source.spec(name).relation("labels") is not None]
    records: list[Any] = [found(source, text, among=labelled) for text in texts]
    with batch():
        for record in records:
            had = record.labels.filter(uid=meant.uid).exists()
            (record.labels.add if is_present else record.labels.remove)(meant)
            done = "attached to" if is_present else "taken off"
            idle = "is attached already to" if is_present else "is not attached to"
            name = f"{record.spec.title} {called(record)}"
            say(
                "info" if had == is_present else "success",
                f"'{shown(meant.name)}' {idle if had == is_present else done} {name}",
            )


def label_called(text: str) -> Any:
    """Return the label of this name, or of this uid or its beginning.

    Raises:
        NotFoundError: There is none; the message names the nearest, and how to add one.
    """
    from ledger.registries.finding import found

    try:
        return found(source_at(None), text, registry="ulabel")
    except NotFoundError as error:
        if type(error) is not NotFoundError:  # erased, for example: that says enough
            raise
        from ledger.registries.ulabel import ULabel

        near = ULabel.search(text, limit=1).first()
        hint = f"did you mean '{near.name}'?" if near is not None else "there is none like it;"
        raise NotFoundError(
            f"label '{text}': not in this ledger, nothing was recorded; {hint} "
            "add one with 'metaledger label add'",
            name=text,
        ) from error


__all__ = [
    "add_verb", "attach_verb", "detach_verb", "label_called", "label_verb", "list_verb",
    "rename_verb",
]  # fmt: skip
