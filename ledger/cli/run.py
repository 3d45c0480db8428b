"""The verb that runs a command as a run: `run`."""

from __future__ import annotations

import shutil

import click

from ledger.cli.group import verb

NOT_FOUND = 127  # as shells report a program that is not there


@verb(
    "run",
    examples=(
        "metaledger run -- bash align.sh sample-1",
        "metaledger run --in raw.csv --out report.html -- Rscript report.R",
        "metaledger run --name nightly -- make all",
    ),
    context_settings={"allow_interspersed_args": False},
)
@click.option("--name", help="Name of the transform; by default the command.")
@click.option("--in", "inputs", multiple=True, metavar="FILE", help="A file that it reads.")
@click.option("--out", "outputs", multiple=True, metavar="FILE", help="A file that it writes.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.pass_context
def run_verb(
    ctx: click.Context,
    *,
    name: str | None,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    command: tuple[str, ...],
) -> None:
    """Run COMMAND and record it as a run, with its inputs and outputs.

    The command always runs; the same command on the same files again adds nothing. What its
    processes save belongs to the run. Its exit status is that of this verb: 128 and the number of
    the signal that ended it, 127 where there is no such program. A command that fails is a failed
    run, and its outputs are not registered.
    """
    from ledger.cli.output import error_line
    from ledger.errors import MissingFileError
    from ledger.tracking.command import run_command

    try:
        status = run_command(command, name=name, inputs=inputs, outputs=outputs)
    except MissingFileError as error:
        click.echo(error_line(error), err=True, nl=False)
        ctx.exit(NOT_FOUND if shutil.which(command[0]) is None else 1)
    ctx.exit(status)


__all__ = ["run_verb"]
