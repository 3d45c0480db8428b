"""Verbs about evidence: `checkpoint`, `key`, `prove`, `verify`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.cli.ending import NOT_SHOWN
from ledger.cli.group import json_option, verb

if TYPE_CHECKING:
    from ledger.proving.verification import Verified

_MOST_TEXT = 1 << 26  # bytes of a checkpoint, a key, or a proof, whose entry may be long
_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


@verb(
    "checkpoint",
    examples=(
        "metaledger checkpoint --out 2026-03.checkpoint",
        "metaledger checkpoint --cosign witness.key",
    ),
)
@click.option("--out", type=click.Path(path_type=Path), help="Write it to this file.")
@click.option(
    "--cosign",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    metavar="KEY",
    help="Let a witness's key sign too, with the time.",
)
def checkpoint_verb(*, out: Path | None, cosign: Sequence[Path]) -> None:
    """Sign what the log holds now: a few lines to keep far from this computer.

    A kept checkpoint shows whether anything before it was changed since. The first checkpoint
    makes the key that signs. It is published where the configuration says ('metaledger config
    --publish URL'), and given to the program that METALEDGER_PUBLISH_COMMAND names; if that
    fails, this ends with status 1, and the next checkpoint makes up for it.
    """
    from ledger.proving.checkpoints import checkpoint
    from ledger.proving.keys import read_private_key_file

    made = checkpoint(cosign=[read_private_key_file(path) for path in cosign])
    _give(str(made), out)
    if made.unpublished:
        raise click.exceptions.Exit(1)


@verb(
    "key",
    examples=(
        "metaledger key --public",
        "metaledger key --create",
        "metaledger key --rotate",
        "metaledger key --eraser",
        "metaledger key --adopt 'metaledger.local/…/eraser+…+…'",
    ),
)
@click.option("--create", is_flag=True, help="Make a key, unless there is one.")
@click.option("--rotate", is_flag=True, help="Adopt a new key, endorsed by the present one.")
@click.option("--lost", is_flag=True, help="With --rotate: do without the present key.")
@click.option("--eraser", is_flag=True, help="Make a key of your own that only signs erasures.")
@click.option("--adopt", metavar="KEY", help="Let an eraser's key sign erasures; a line or a file.")
@click.option("--drop", metavar="KEY", help="Let that key sign no more erasures.")
@click.option("--public", is_flag=True, help="Print the public key line and nothing else.")
@click.option(
    "--witness", metavar="NAME", help="Make a key for a witness instead, and write it to --out."
)
@click.option("--out", type=click.Path(path_type=Path), help="File for the key of a witness.")
def key_verb(  # noqa: PLR0913 (its options)
    *, create: bool, rotate: bool, lost: bool, eraser: bool, adopt: str | None, drop: str | None,
    public: bool, witness: str | None, out: Path | None,
) -> None:  # fmt: skip
    """Show the key that verifies checkpoints and proofs, make it, or adopt another one.

    Give the public line to everyone who verifies. The private key stays with its owner, outside of
    the ledger. A person who erases on another computer makes a key there with --eraser; the owner
    adopts its public line with --adopt.
    """
    from ledger.display.messages import say
    from ledger.places import instance
    from ledger.proving import checkpoints

    if (witness is None) != (out is None):
        raise click.UsageError("--witness and --out belong together")
    if lost and not rotate:
        raise click.UsageError("--lost belongs to --rotate")
    if witness is not None and out is not None:
        click.echo(_witness_key(witness, out))
        return
    if sum((create, rotate, eraser, adopt is not None, drop is not None)) > 1:
        raise click.UsageError(
            "--create, --rotate, --eraser, --adopt and --drop exclude each other"
        )
    if eraser or adopt is not None or drop is not None:
        _erasers(adopt, drop, is_quiet=public)
        return
    if rotate:
        found = checkpoints.rotate_key(is_lost=lost)
    elif create:
        found = checkpoints.create_key()
    else:
        found = checkpoints.public_key()
    click.echo(str(found))
    if not public:
        say("info", f"private keys are in {checkpoints.ring_of(instance.current()).folder}")


def _erasers(adopt: str | None, drop: str | None, *, is_quiet: bool) -> None:
    """Make an eraser's key, or have one count or not, and print what there is then."""
    from ledger.display.messages import say
    from ledger.proving import eraser_keys

    if adopt is None and drop is None:
        own = str(eraser_keys.own_key())
        click.echo(own)
        if not is_quiet and own not in eraser_keys.eraser_keys():
            say(
                "info",
                "it counts once the ledger's owner has adopted it: 'metaledger key --adopt' and "
                "this line",
            )
        return
    for given, change in ((adopt, eraser_keys.adopt), (drop, eraser_keys.drop)):
        for line in () if given is None else keys_of(given):
            change(line)
    for line in eraser_keys.eraser_keys():
        click.echo(line)


def _witness_key(name: str, out: Path) -> str:
    from ledger import files
    from ledger.places.config import outside_of_ledgers
    from ledger.proving.notes import COSIGNATURE, generate

    key = generate(name, kind=COSIGNATURE)
    files.write_durably(
        outside_of_ledgers(out), f"{key.text()}\n".encode(), mode=0o600, replace=False
    )
    return str(key.public())


@verb(
    "prove",
    examples=(
        "metaledger prove 41 --out plate.tlog-proof",
        "metaledger prove --since 2026-03.checkpoint --out extension.txt",
    ),
)
@click.argument("what", required=False, metavar="UID|POSITION")
@click.option("--checkpoint", type=_FILE, help="Lead to this checkpoint. [default: a new one]")
@click.option(
    "--since", type=_FILE, help="Prove that the log was only extended since this checkpoint."
)
@click.option("--out", type=click.Path(path_type=Path), help="Write it to this file.")
def prove_verb(
    what: str | None, *, checkpoint: Path | None, since: Path | None, out: Path | None
) -> None:
    """Prove that an entry is in the log; for a uid, the entry of its creation.

    Everyone with the public key can verify the proof, without the ledger.
    """
    from ledger.proving.checkpoints import prove

    if (what is None) == (since is None):
        raise click.UsageError("give a uid or a position, or --since")
    given = None if checkpoint is None else text_of(checkpoint)
    _give(prove(what if since is None else text_of(since), checkpoint=given), out)


@verb(
    "verify",
    examples=(
        "metaledger verify plate.tlog-proof --key 'metaledger.local/…+…+…'",
        "metaledger verify extension.txt --old 2026-03.checkpoint --key ledger.pub",
    ),
)
@click.argument("proof", type=_FILE)
@click.option(
    "--key", required=True, multiple=True, help="Public key line, or a file that holds it."
)
@click.option("--old", type=_FILE, help="The older checkpoint, for a proof of an extension.")
@click.option("--erasure", type=_FILE, help="A proof of the event that erased the entry.")
@json_option
def verify_verb(
    *, proof: Path, key: Sequence[str], old: Path | None, erasure: Path | None, as_json: bool
) -> None:
    """Verify a proof or a checkpoint; no ledger is needed or read.

    Ends with status 0 if it holds and shows the entry, 3 if it holds and the entry is not shown:
    the entry is erased, or somebody cut it off the proof.
    """
    from ledger.cli.output import print_json
    from ledger.display.messages import say
    from ledger.proving.verification import verify

    lines = [line for given in key for line in keys_of(given)]
    found = verify(
        text_of(proof),
        key=lines,
        old=None if old is None else text_of(old),
        erasure=None if erasure is None else text_of(erasure),
    )
    if as_json:
        print_json(found)
    else:
        _tell(found)
    if found.status == "not shown":
        say(
            "warning",
            "verified, and the entry is not shown whole: it was erased, or whoever gave the proof "
            "cut it off; ask for the proof of the erasure, and give it with --erasure",
        )
        raise click.exceptions.Exit(NOT_SHOWN)
    if not as_json:
        say("success", "verified")


def _tell(found: Verified) -> None:
    import msgspec

    from ledger.cli.output import print_pairs
    from ledger.model.times import to_datetime

    event = found.event
    recorded = None if found.recorded_at is None else to_datetime(found.recorded_at).isoformat()
    print_pairs(
        [
            ("log", found.origin),
            ("checkpoint", f"{found.size:,} entries, root {found.root}"),
            ("extends", None if found.old_size is None else f"{found.old_size:,} entries"),
            ("signed by", ", ".join(found.signers)),
            *(
                ("cosigned", f"{name} at {to_datetime(seconds * 1_000_000).isoformat()}")
                for name, seconds in found.cosigned
            ),
            ("position", found.position),
            ("recorded", recorded),
            ("type", found.type),
            ("status", found.status),
            ("event", event and msgspec.json.encode(event).decode()),
        ]
    )


# --- files --------------------------------------------------------------------------------------


def keys_of(given: str) -> list[str]:
    """Return public key lines that were given as such, or as a file that holds them."""
    if "+" in given:
        return [given]
    return [line for line in text_of(Path(given)).splitlines() if line.strip()]


def checkpoints_of(given: str) -> list[str]:
    """Return the checkpoint in a file, or all that are in a folder or at a URL."""
    if given == "-" or Path(given).is_file():
        return [text_of(Path(given))]
    from ledger.proving.publication import read_published

    return read_published(given)


def text_of(path: Path) -> str:
    """Return a file as text; `-` is standard input.

    Raises:
        InvalidProofError: It is not UTF-8.
        InvalidValueError: It is far larger than any such text, or has no end.
        MissingFileError: It is not there, or cannot be read.
    """
    from ledger.errors import InvalidProofError, MissingFileError
    from ledger.input_files import read_up_to

    try:
        # Pipes are welcome here, as a shell makes them.
        with contextlib.ExitStack() as opened:
            is_input = str(path) == "-"
            reader = sys.stdin.buffer if is_input else opened.enter_context(path.open("rb"))
            return read_up_to(reader, path, most=_MOST_TEXT).decode()
    except OSError as error:
        raise MissingFileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidProofError(f"{path}: expected text in UTF-8") from error


def _give(text: str, out: Path | None) -> None:
    """Print a text, or write it to a file that is whole once it is there."""
    from ledger.cli.output import write_output
    from ledger.display.messages import say

    if out is None or str(out) == "-":
        click.echo(text, nl=False)
        return
    write_output(text, out, opening=text.split(None, 1)[0])
    say("success", f"wrote {out}")
