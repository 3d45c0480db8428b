"""The verb that tells where you stand: `status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.cli.group import json_option, verb

if TYPE_CHECKING:
    from ledger.upkeep.status import RunState

_COLOURS = {"changed": "yellow", "outdated": "yellow", "missing": "red", "unreadable": "red"}


@verb("status", examples=("metaledger status", "metaledger status --json | jq .files"))
@json_option
def status_verb(*, as_json: bool) -> None:
    """Tell where you stand: the last run, what came after it, what is open, which files changed.

    Nothing is run and nothing is recorded. Files in this folder and below are compared with what
    the ledger knows under their path; results that were made of something older are outdated.
    """
    from ledger.cli.output import print_json, print_pairs, styled
    from ledger.display.tables import shown
    from ledger.upkeep.status import status

    told = status()
    if as_json:
        print_json(told)
        return
    since = ", ".join(f"{number:,} {kind}" for kind, number in told.since.items())
    print_pairs(
        [
            ("ledger", f"{told.ledger} in {told.root}, position {told.head:,}"),
            ("last run", "none yet" if told.last_run is None else _run(told.last_run)),
            ("since then", since or (None if told.last_run is None else "nothing")),
            ("open", "\n".join(map(_run, told.open_runs))),
            ("files here", f"{told.compared:,} compared, {_counted(told.files)}"),
        ]
    )
    for file in told.files:
        state = styled(f"{file.state:<10}", fg=_COLOURS[file.state])
        known = f"({file.registry} {file.uid})"
        click.echo(f"{state}  {shown(file.key)}: {shown(file.reason)} {known}")


def _counted(files: tuple[object, ...]) -> str:
    return f"{len(files):,} not as the ledger knows them:" if files else "as the ledger knows them"


def _run(run: RunState) -> str:
    ended = run.finished_at
    when = f"since {run.started_at:%Y-%m-%d %H:%M:%S} UTC"
    if ended is not None:
        when = f"at {ended:%Y-%m-%d %H:%M:%S} UTC"
    return f"{run.script}, run {run.uid}: {run.status} {when}, by {run.created_by}"


__all__ = ["status_verb"]
