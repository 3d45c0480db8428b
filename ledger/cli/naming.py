"""The verb that gives a record another name: `rename`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.cli.finding import Uid
from ledger.cli.group import verb
from ledger.cli.moment import source_at
from ledger.errors import CommandRejectedError

if TYPE_CHECKING:
    from ledger.registries.base import Record


@verb(
    "rename",
    examples=(
        "metaledger rename 'Imune study' 'Immune study'",
        "metaledger rename Z8ZRoI 'final plates'",
    ),
)
@click.argument("record", type=Uid())
@click.argument("name")
def rename_verb(record: str, *, name: str) -> None:
    """Give a RECORD another NAME; its old name still leads to it.

    RECORD is a uid or its beginning, a name, a key, or the path of a script. An artifact has keys
    instead of a name, and a feature keeps its name.
    """
    from ledger.registries.finding import found

    rename(found(source_at(None), record), name)


def rename(record: Record, name: str) -> None:
    """Give a record another name, and say so.

    Raises:
        CommandRejectedError: Records of its registry have no name that can change.
        InvalidValueError: This is no name.
        NameTakenError: Another record is called so.
    """
    from ledger.display.messages import leave_unsaid, say
    from ledger.registries.base import NO_RUN
    from ledger.registries.description import called

    leave_unsaid(NO_RUN)
    field = record.spec.field("name")
    if field is None:
        raise CommandRejectedError(
            f"{record.spec.title} {called(record)}: it has keys and no name; "
            "'metaledger artifact add FILE --key KEY' gives its content a further key"
        )
    if not field.is_editable:
        raise CommandRejectedError(
            f"{record.spec.title} {called(record)}: its name is given once and never changes"
        )
    before = record.name
    record.name = name
    record.save()
    if record.name == before:
        say("info", f"{record.spec.title} {called(record)}: it is called so already")
    else:
        was = "" if before is None else f", was '{before}'"
        say("success", f"{record.spec.title} {record.uid}: now '{record.name}'{was}")


__all__ = ["rename", "rename_verb"]
