"""Verbs that correct earlier records: `retract`, `merge`; each can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from ledger.cli.finding import Uid
from ledger.cli.group import verb
from ledger.cli.moment import source_at

if TYPE_CHECKING:
    from ledger.registries.ulabel import ULabel


@verb(
    "retract",
    examples=(
        "metaledger retract Z8ZRoI --reason 'gated on the wrong channel'",
        "metaledger retract Z8ZRoI --undo --reason 'the channel was right'",
    ),
)
@click.argument("record", type=Uid())
@click.option("--reason", help="Why; readers of the record and of its descendants are told.")
@click.option("--undo", is_flag=True, help="Take the retraction back.")
def retract_verb(record: str, *, reason: str | None, undo: bool) -> None:
    """Record that nobody should rely on a RECORD, and list its descendants.

    RECORD is a uid or its beginning, a key, a name, or the path or URL of a file or folder.
    """
    from ledger.cli.output import print_table
    from ledger.display.messages import say
    from ledger.registries.finding import found

    if reason is None and not undo:
        raise click.UsageError("--reason is needed: it is told to readers of the record")
    meant = found(source_at(None), record)
    called = f"{meant.spec.title} {meant.uid}"
    if undo:
        was_retracted = meant.is_retracted
        meant.lift_retraction(reason)
        say("success" if was_retracted else "info", f"{called}: no longer retracted")
        return
    meant.retract(str(reason))
    say("success", f"{called}: retracted; --undo takes it back")
    impact = meant.impact()
    if impact:
        say("info", f"{len(impact):,} records depend on it, of {', '.join(impact.people)}:")
        columns = ["registry", "uid", "name", "created_by"]
        print_table(columns, [[row[name] for name in columns] for row in impact.rows()])


@verb(
    "merge",
    examples=(
        "metaledger merge 'Immune studdy' 'Immune study' --reason 'a typo'",
        "metaledger merge 'Immune studdy' --undo",
    ),
)
@click.argument("label", metavar="LABEL")
@click.argument("into", metavar="[INTO]", required=False)
@click.option("--reason", help="Why.")
@click.option("--undo", is_flag=True, help="Have LABEL stand for itself again.")
def merge_verb(label: str, *, into: str | None, reason: str | None, undo: bool) -> None:
    """Merge LABEL into the label INTO: from now on its name and its links lead there.

    Both are names or uids. The past keeps them apart.
    """
    from ledger.display.messages import say
    from ledger.registries.ulabel import ULabel

    if undo:
        if into is not None:
            raise click.UsageError("--undo takes one LABEL")
        back = ULabel.undo_merge(label)
        say("success", f"'{back.name}' ({back.uid}) stands for itself again")
        return
    if into is None:
        raise click.UsageError(
            "two labels are needed: the one to merge, and the one to merge it into"
        )
    merged, survivor = _label(label), _label(into)
    name = merged.name
    merged.merge_into(survivor, reason=reason)
    say("success", f"'{name}' is now '{survivor.name}' ({survivor.uid}); --undo takes it back")


def _label(text: str) -> ULabel:
    """Return the label of this name, or of this uid."""
    from ledger.registries.finding import found

    return cast("ULabel", found(source_at(None), text, registry="ulabel"))


__all__ = ["merge_verb", "retract_verb"]
