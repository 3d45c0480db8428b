"""The verb that removes for good: `erase`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ledger.cli.finding import Uid
from ledger.cli.group import json_option, verb
from ledger.cli.moment import source_at

if TYPE_CHECKING:
    from ledger.upkeep.erasure import Erased


@verb(
    "erase",
    examples=(
        "metaledger erase Z8ZRoI --reason 'request 17' --dry-run",
        "metaledger erase Z8ZRoI --reason 'request 17' --yes",
    ),
)
@click.argument("record", type=Uid())
@click.option(
    "--reason", required=True, help="Why; it stays for good, so name the request, not the person."
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be erased.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def erase_verb(record: str, *, reason: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove for good the data of a RECORD, and its content.

    RECORD is a uid or its beginning, a key, a name, or the path or URL of a file or folder.
    The ledger still tells that there was a record of this uid, when it changed, by whom, in which
    run, its links, and who erased it and why. Proofs and checkpoints stay valid. Backups, exports,
    and copies on other computers are not reached. This cannot be undone.
    """
    from ledger.cli.output import print_json
    from ledger.upkeep.erasure import erase

    uid = _whole(record)
    if not dry_run and not yes:
        _ask(erase(uid, reason=reason, dry_run=True))
    done = erase(uid, reason=reason, dry_run=dry_run)
    if as_json:
        print_json(done)
        return
    _tell(done, is_dry=dry_run)


def _whole(uid: str) -> str:
    """Return the whole uid; that of a withdrawn or erased record has to be given whole."""
    from ledger.errors import NotFoundError
    from ledger.registries.finding import found

    try:
        return found(source_at(None), uid).uid
    except NotFoundError:
        return uid


def _ask(planned: Erased) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody to ask: look with --dry-run, then give --yes")
    what = f"{len(planned.entries)} entries of {planned.registry} {planned.uid}"
    content = " and its stored content" if planned.content_removed else ""
    click.confirm(f"Erase {what}{content} for good?", abort=True)


def _tell(done: Erased, *, is_dry: bool) -> None:
    from ledger.cli.output import listed
    from ledger.display.messages import say
    from ledger.model.schema import REGISTRIES

    called = f"{REGISTRIES[done.registry].title} {done.uid}"
    entries = f"{len(done.entries):,} entr{'y' if len(done.entries) == 1 else 'ies'}"
    places = f" (at {listed(done.entries)})" if done.entries else ""
    content = ", and its stored content" if done.content_removed else ""
    if is_dry:
        say("info", f"{called}: would erase {entries}{places}{content}; nothing was changed")
    elif done.position is None:
        say("info", f"{called}: nothing is left to erase")
    else:
        say("success", f"{called}: erased {entries}{places}{content}; event {done.position}")
    if done.mentions:
        say(
            "warning",
            f"its texts occur elsewhere too, at {listed(done.mentions)}: "
            "'metaledger log' shows what those are; erase them too if they are about the same",
        )
    if done.unverifiable:
        say(
            "warning",
            f"{len(done.unverifiable):,} of them are of format 1: an audit tells of what is left "
            "there as unverifiable",
        )
    if not is_dry and not done.is_scrubbed:
        say(
            "warning",
            "the database may still hold overwritten bytes: a reader was at work, or the user may "
            "not rewrite the tables; run the same command again, as the owner of the tables",
        )


__all__ = ["erase_verb"]
