"""Verbs that read everything again: `audit`, `rebuild`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ledger.cli.group import json_option, verb
from ledger.cli.moment import PointText

if TYPE_CHECKING:
    from ledger.auditing.findings import Report

_FAILED = 2


@verb(
    "audit",
    examples=(
        "metaledger audit",
        "metaledger audit --checkpoint 2026-03.checkpoint --key ledger.pub --content",
    ),
)
@click.option(
    "--checkpoint",
    multiple=True,
    metavar="FILE|FOLDER|URL",
    help="A checkpoint that was kept, or where some are published; several if you like.",
)
@click.option(
    "--key", multiple=True, help="Public key line or a file of them; then only these are trusted."
)
@click.option(
    "--since",
    metavar="POINT",
    type=PointText(),
    help="Believe hashes and read models up to here: faster.",
)
@click.option("--content", is_flag=True, help="Read stored contents again.")
@click.option(
    "--sample",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="P",
    help="Share of them to read: 0.1",
)
@click.option(
    "--archive",
    metavar="FOLDER|URL",
    help="Audit an export instead; no ledger is needed.",
)
@click.option(
    "--erasures",
    type=click.Choice(["list", "refuse"]),
    default="list",
    help="Tell of erasures since the checkpoint, or take each for a finding.",
)
@click.option("--html", type=click.Path(path_type=Path), help="Write a report to this file too.")
@json_option
def audit_verb(  # noqa: PLR0913 (its options)
    *,
    checkpoint: Sequence[str],
    key: Sequence[str],
    since: str | None,
    content: bool,
    sample: float | None,
    archive: str | None,
    erasures: Literal["list", "refuse"],
    html: Path | None,
    as_json: bool,
) -> None:
    """Read everything again and tell every contradiction; change nothing.

    Every event is hashed anew and held against the rules and the checkpoints given; read models are
    folded anew and compared. Ends with status 0 if all adds up, 1 with findings, 2 if the
    audit could not be carried out.
    """
    from ledger.auditing.audit import audit
    from ledger.cli.output import error_line, print_json
    from ledger.cli.proving import checkpoints_of, keys_of
    from ledger.errors import LedgerError

    if sample is not None and not content:
        raise click.UsageError("--sample belongs to --content")
    try:
        report = audit(
            checkpoints=[text for each in checkpoint for text in checkpoints_of(each)],
            keys=[line for given in key for line in keys_of(given)],
            since=_position(since),
            content=content,
            sample=1.0 if sample is None else sample,
            archive=archive,
            erasures=erasures,
        )
        if html is not None:
            _write_page(report, html)
    except click.ClickException:
        raise
    except Exception as error:
        # Status 1 is for findings: whatever stopped the audit, it was not carried out.
        if not isinstance(error, (LedgerError, OSError)):
            error = LedgerError(f"audit: stopped by {type(error).__name__}: {error}")
        click.echo(error_line(error), err=True, nl=False)
        raise click.exceptions.Exit(_FAILED) from error
    if as_json:
        print_json(report)
    else:
        _tell(report)
    if not report.ok:
        raise click.exceptions.Exit(1)


def _position(since: str | None) -> int:
    if since is None:
        return 0
    if since.isascii() and since.isdecimal():
        return int(since)
    from ledger.past.points import resolve
    from ledger.places import instance

    return resolve(instance.current(), since).position


def _tell(report: Report) -> None:
    from ledger.cli.output import listed, print_pairs, styled
    from ledger.display.messages import say
    from ledger.display.tables import shown

    print_pairs(
        [
            ("ledger", f"{shown(report.name)} (id {report.ledger})"),
            ("events", f"{report.events:,}, of which {report.rehashed:,} hashed anew"),
            ("root", f"{report.root} over {report.head:,}"),
            ("read models", f"{report.rows:,} rows compared"),
            (
                "contents",
                f"{report.contents:,} read ({report.content_bytes:,} bytes)"
                if report.contents
                else None,
            ),
            *(
                ("checkpoint", f"{it.size:,} entries: {'met' if it.is_met else 'NOT met'}")
                for it in report.checkpoints
            ),
        ]
    )
    for erasure in report.erasures:
        click.echo(f"erasure  {shown(erasure)}")
    for lost in report.lost_keys:
        say("warning", shown(lost))
    if report.unverifiable:
        say(
            "warning",
            f"{len(report.unverifiable):,} entries of format 1 were erased (at positions "
            f"{listed(report.unverifiable)}): no hash vouches for what is left of them",
        )
    for finding in report.findings:
        click.echo(f"{styled('finding', fg='red')}  {shown(finding)}")
    if report.ok:
        say("success", f"everything adds up ({report.seconds:,} s)")
    else:
        say("warning", f"{len(report.findings):,} findings; stop writing, and keep a copy as it is")


def _write_page(report: Report, path: Path) -> None:
    from ledger.auditing.page import OPENING, as_page
    from ledger.cli.output import write_output
    from ledger.model.times import now_micros, to_datetime

    told = to_datetime(now_micros()).isoformat(sep=" ", timespec="seconds")
    write_output(as_page(report, told=told), path, opening=OPENING)


@verb("rebuild", examples=("metaledger rebuild", "metaledger rebuild --json"))
@json_option
def rebuild_verb(*, as_json: bool) -> None:
    """Make the read models anew from the log, and tell every difference.

    Others can read and write meanwhile; writers wait at the end. The log is only read.
    """
    from ledger.cli.output import print_json
    from ledger.display.tables import shown
    from ledger.upkeep.rebuild import rebuild

    done = rebuild()
    if as_json:
        print_json(done)
        return
    for table in done.unreadable:
        click.echo(f"{table}: could not be read, and was replaced")
    for each in done.differences:
        key = ", ".join(f"{name} {value}" for name, value in each.key.items())
        click.echo(
            shown(
                f"{each.table} {key}: was {each.found or 'missing'}, is {each.expected or 'gone'}"
            )
        )
    click.echo(
        f"{len(done.differences):,} differences; folded {done.events:,} events into {done.rows:,} "
        f"rows in {done.seconds:,} s"
    )
