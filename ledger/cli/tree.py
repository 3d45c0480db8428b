"""The verb that follows derivations: `lineage`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ledger.cli.finding import Uid
from ledger.cli.group import json_option, verb
from ledger.cli.moment import as_of_option, source_at

if TYPE_CHECKING:
    from ledger.past.drawing import Drawn
    from ledger.past.lineage import Lineage

_COLOURS = {"artifact": "blue", "run": "yellow", "collection": "green", "transform": "magenta"}


@verb(
    "lineage",
    examples=(
        "metaledger lineage report.csv",
        "metaledger lineage Z8ZRoI --direction descendants --as-of paper-v1",
        "metaledger lineage Z8ZRoI --svg lineage.svg",
    ),
)
@click.argument("record", type=Uid())
@click.option(
    "--direction",
    type=click.Choice(["ancestors", "descendants", "both"]),
    default="ancestors",
    show_default=True,
    help="What it came from, what it went into, or both.",
)
@click.option("--depth", type=click.IntRange(min=0), help="At most so many artifacts far.")
@click.option("--revisions", is_flag=True, help="Follow versions before and after, too.")
@as_of_option
@click.option("--svg", metavar="FILE", type=click.Path(), help="Draw it into an SVG file.")
@click.option("--mermaid", is_flag=True, help="Print it as a Mermaid flowchart.")
@json_option
def lineage_verb(  # noqa: PLR0913 (the options of the verb)
    record: str,
    *,
    direction: str,
    depth: int | None,
    revisions: bool,
    as_of: str | None,
    svg: str | None,
    mermaid: bool,
    as_json: bool,
) -> None:
    """Follow where a RECORD came from, or what it went into.

    RECORD is a uid or its beginning, a key, a name, or the path or URL of a file or folder, which
    is looked up by its content, whatever it is called now.

    ● artifact, ◆ run, ■ collection, ▲ transform; the latest stand at the top, with `descendants`
    the first. Five or more records with the same neighbours are shown as one.
    """
    from ledger.cli.output import print_json
    from ledger.registries.finding import found as meant

    if sum((svg is not None, mermaid, as_json)) > 1:
        raise click.UsageError("--svg, --mermaid and --json each make another form: choose one")
    start = meant(source_at(as_of), record)
    found = start.lineage(direction=direction, depth=depth, follow_revisions=revisions)
    if as_json:
        print_json(found.as_json())
    elif mermaid:
        click.echo(found.to_mermaid(), nl=False)
    elif svg is not None:
        from ledger.cli.output import write_output
        from ledger.display.tables import shown

        write_output(found.to_svg(), svg, opening="<svg")
        click.echo(shown(svg))
    else:
        _draw(found)


def _draw(found: Lineage) -> None:
    from ledger.cli.graph import graph_rows, plain
    from ledger.display.messages import say
    from ledger.past.lineage import picture_of

    rows = graph_rows(picture_of(found), upward=found.direction != "descendants")
    is_plain = not (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    for drawn, node, remark in rows:
        line = drawn if node is None else _line(drawn, node, remark)
        click.echo(plain(line) if is_plain else line)
    say("info", repr(found).strip("<>"))


def _line(drawn: str, node: Drawn, remark: str) -> str:
    from ledger.cli.output import styled
    from ledger.display.tables import shown

    is_named = node.count == 1 and node.label != node.id
    detail = shown(node.detail)
    detail = styled(f"{node.id} · {detail}" if is_named else detail, dim=True)
    label = styled(shown(node.label), fg=_COLOURS[node.registry], bold=node.is_start)
    mark = styled(f"  {node.mark}" if node.mark else "", fg="red", bold=True)
    remark = f"  ({shown(remark)})" if remark else ""
    return f"{drawn}  {label}  {detail}{mark}{remark}"


__all__ = ["lineage_verb"]
