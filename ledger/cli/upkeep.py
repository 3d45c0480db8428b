"""The verbs of upkeep: `backup`, `doctor`."""

from __future__ import annotations

import click

from ledger.cli.group import json_option, verb

_SIGNS = {"error": "error", "warning": "warning", "info": "note"}
_COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}


@verb("backup", examples=("metaledger backup ./monday.backup",))
@click.argument("path", metavar="FILE")
@json_option
def backup_verb(path: str, *, as_json: bool) -> None:
    """Copy log and read models into one new FILE, as they are at one moment.

    Others may write meanwhile. Where the key that signs is here, a checkpoint is written beside it.
    Contents are no part of it: back up the storage afterwards.
    """
    from ledger.cli.output import print_json
    from ledger.display.messages import say
    from ledger.upkeep.backup import backup

    done = backup(path)
    if as_json:
        print_json(done)
        return
    click.echo(f"{done.events:,} events, root {done.root}")
    beside = "" if done.checkpoint is None else f" and {done.checkpoint}"
    say("success", f"wrote {done.path}{beside} ({done.size:,} bytes); back up the storage next")


@verb("doctor", examples=("metaledger doctor", "metaledger doctor --remove-orphans"))
@click.option(
    "--content", is_flag=True, help="Read every stored byte and compare it with its digest."
)
@click.option(
    "--remove-orphans",
    is_flag=True,
    help="Remove content that no event names and that is older than an hour, and than the last "
    "event. Content in a storage that others use stays.",
)
@click.option(
    "--alone",
    is_flag=True,
    help="Forget others that have used the storages: say so only where no other ledger, and no "
    "other copy of this one, needs content there any more.",
)
@json_option
def doctor_verb(*, content: bool, remove_orphans: bool, alone: bool, as_json: bool) -> None:
    """Look for orphans, missing content, damage and stale caches.

    Only --remove-orphans and --alone change anything. Ends with status 1 if something is lost or
    wrong.
    """
    from ledger.cli.output import print_json, styled
    from ledger.display.messages import say
    from ledger.display.tables import shown
    from ledger.places import instance
    from ledger.upkeep import doctor

    ledger = instance.current()
    forgotten = doctor.forget_others(ledger) if alone else []
    removed = doctor.remove_orphans(ledger) if remove_orphans else []
    findings = doctor.examine(ledger, content=content)
    is_bad = any(finding.severity == "error" for finding in findings)
    if as_json:
        print_json({"is_healthy": not is_bad, "findings": findings, "removed": removed})
    else:
        for shown_database in forgotten:
            click.echo(f"forgot   {shown(shown_database)}")
        for orphan in removed:
            click.echo(f"removed  {shown(orphan.name)} ({orphan.size:,} bytes)")
        for finding in findings:
            sign = styled(_SIGNS[finding.severity].ljust(7), fg=_COLOURS[finding.severity])
            click.echo(f"{sign}  {shown(finding.message)}")
        if not findings:
            say("success", f"nothing is wrong with ledger '{ledger.place.configuration.name}'")
    if is_bad:
        raise click.exceptions.Exit(1)
