"""Verbs that carry a log elsewhere: `export`, `import`."""

from __future__ import annotations

from pathlib import Path

import click

from ledger.cli.group import json_option, verb

_FOLDER = click.Path(file_okay=False, path_type=Path)


@verb("export", examples=("metaledger export ./archive-2026-03",))
@click.argument("folder", type=_FOLDER)
@json_option
def export_verb(folder: Path, *, as_json: bool) -> None:
    """Write the log and a new checkpoint into FOLDER, as Parquet that other programs read.

    Stored contents are no part of it.
    """
    from ledger.archive import export  # noqa: PLC0415 (loads pyarrow)
    from ledger.cli.output import print_json  # noqa: PLC0415
    from ledger.messages import say  # noqa: PLC0415

    done = export(folder)
    if as_json:
        print_json(done)
        return
    click.echo(f"{done.events:,} events, root {done.root}")
    say("success", f"wrote {folder} ({done.size:,} bytes); keep its checkpoint elsewhere too")


@verb(
    "import",
    examples=("metaledger import ./archive-2026-03 --storage ./storage --key ledger.pub",),
)
@click.argument("folder", type=_FOLDER)
@click.option("--storage", required=True, metavar="ROOT", help="Where content is from now on.")
@click.option(
    "--key", multiple=True, help="Public key line or a file of them; then no other is trusted."
)
@click.option("--name", help="What to call the ledger. [default: its name of before]")
def import_verb(folder: Path, *, storage: str, key: tuple[str, ...], name: str | None) -> None:
    """Make a ledger here of an export: the same events, the same root hash.

    The archive is audited first, and refused whole if anything does not add up.
    """
    from ledger.archive import restore  # noqa: PLC0415 (loads pyarrow)
    from ledger.cli.proving import keys_of  # noqa: PLC0415
    from ledger.messages import say  # noqa: PLC0415

    lines = [line for given in key for line in keys_of(given)]
    place = restore(folder, storage, keys=lines, name=name)
    say("success", f"made ledger '{place.configuration.name}' in {place.root}")
    click.echo(place.configuration.id)
