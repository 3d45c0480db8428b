"""Verbs that look back: `log`, `history`, `diff`, `tag`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.finding import RegistryName, Uid
from ledger.cli.group import json_option, verb
from ledger.cli.moment import KINDS, PointText, source_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.past.changes import Difference
    from ledger.past.readable_events import Happening, Which
    from ledger.places.instance import Ledger

_ON_A_TERMINAL = 50  # events shown there without --limit
_BEFORE_FOLLOWING = 10  # latest events shown before new ones
_PAUSE = 0.5  # seconds between two looks at the log with --follow
_COLOURS = {"added": "green", "removed": "red", "changed": "yellow"}
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


@verb(
    "log",
    examples=(
        "metaledger log --registry artifact --limit 20",
        "metaledger log --since paper-v1 --json",
        "metaledger log --follow",
    ),
)
@click.option(
    "--since", metavar="POINT", type=PointText(), help=f"Only after POINT, oldest first: {KINDS}."
)
@click.option(
    "--until", metavar="POINT", type=PointText(), help="Only up to POINT, that one included."
)
@click.option("--registry", type=RegistryName(), help="Only about records of this registry.")
@click.option(
    "--record", metavar="RECORD", type=Uid(), help="Only about this record: uid, key, name or path."
)
@click.option(
    "--run", metavar="RUN", type=Uid("run"), help="Only of this run: its uid, its name, its script."
)
@click.option("--actor", metavar="NAME", help="Only what this user did.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help=f"At most so many; 0 for all. [default: {_ON_A_TERMINAL} on a terminal, else all]",
)
@click.option("--follow", is_flag=True, help="Go on as events come in, until Ctrl-C.")
@json_option
def log_verb(  # noqa: PLR0913 (each narrows the log in its own way)
    *,
    since: str | None,
    until: str | None,
    registry: str | None,
    record: str | None,
    run: str | None,
    actor: str | None,
    limit: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Tell what happened, one event a line: the newest first, or the oldest with --since.

    With --json each line is one event as it is recorded.
    """
    from itertools import islice

    from ledger.past.readable_events import happenings, newest_first
    from ledger.places import instance
    from ledger.registries.views import narrowed

    if follow and until is not None:
        raise click.UsageError("--follow goes on, --until ends: choose one")
    ledger = instance.current()
    which = narrowed(
        ledger,
        registry=registry,
        record=record,
        run=run,
        actor=actor,
        since=since,
        until=until,
    )
    if follow:
        _follow(ledger, which, is_bounded=since is not None, as_json=as_json)
        return
    if limit is None:
        limit = _ON_A_TERMINAL if sys.stdout.isatty() and not as_json else 0
    found = newest_first(ledger, which) if since is None else happenings(ledger, which)
    for event in islice(found, limit or None):
        _print_event(event, as_json=as_json)
    if limit and next(found, None) is not None:
        from ledger.display.messages import say

        say("info", "and more; --limit 0 shows all")


def _follow(ledger: Ledger, which: Which, *, is_bounded: bool, as_json: bool) -> None:
    import time
    from itertools import islice

    import msgspec

    from ledger.past.readable_events import happenings, newest_first

    head = ledger.head()
    shown: Iterator[Happening] = happenings(ledger, msgspec.structs.replace(which, until=head))
    if not is_bounded:
        last = msgspec.structs.replace(which, until=head)
        shown = reversed(list(islice(newest_first(ledger, last), _BEFORE_FOLLOWING)))
    while True:
        for event in shown:
            _print_event(event, as_json=as_json)
        sys.stdout.flush()
        after = max(head, which.after)
        while (head := ledger.head()) <= after:
            time.sleep(_PAUSE)
        shown = happenings(ledger, msgspec.structs.replace(which, after=after, until=head))


def _print_event(event: Happening, *, as_json: bool) -> None:
    from ledger.cli.output import styled
    from ledger.display.tables import shown

    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(event.as_json()).decode())
        return
    what = event.type.removesuffix(".v1")
    subject = f"{event.registry} {event.uid}" if event.registry else event.uid
    when = f"{event.recorded_at:%Y-%m-%d %H:%M:%S}Z"
    head = f"{event.position:>7}  {when}  "
    rest = f"  {shown(event.actor):<10}  {shown(subject):<31}  {shown(event.summary)}"
    line = f"{head}{what:<20}{rest}".rstrip()
    if sys.stdout.isatty():
        import shutil

        width = shutil.get_terminal_size().columns
        line = line if len(line) <= width else line[: width - 1] + "…"
    end = len(head) + len(what)
    kind = styled(line[len(head) : end], fg=_colour(what))
    click.echo(styled(line[: len(head)], dim=True) + kind + line[end:])


def _colour(what: str) -> str:
    if any(word in what for word in ("trashed", "withdrawn", "removed", "retracted", "abandoned")):
        return "red"
    if any(word in what for word in ("created", "registered", "added", "started", "restored")):
        return "green"
    return "yellow"


@verb("history", examples=("metaledger history raw/s.csv", "metaledger history Z8ZRoI --json"))
@click.argument("record", type=Uid())
@click.option(
    "--as-of", "as_of", metavar="POINT", type=PointText(), help=f"Only up to POINT: {KINDS}."
)
@json_option
def history_verb(record: str, *, as_of: str | None, as_json: bool) -> None:
    """Tell every change of a RECORD, oldest first, field by field.

    RECORD is a uid or its beginning, a key, a name, or the path or URL of a file or folder.
    """
    from ledger.cli.output import print_json_lines, print_table
    from ledger.registries.finding import found

    history = found(source_at(as_of), record, which="ever").history()
    if as_json:
        print_json_lines(history)
        return
    rows: list[list[object]] = []
    last = None
    for row in history.rows():
        is_same = row["position"] == last
        last = row["position"]
        where = (
            row["position"],
            f"{row['recorded_at']:%Y-%m-%d %H:%M:%SZ}",
            row["actor"],
            row["type"].removesuffix(".v1"),
        )
        begun = [""] * len(where) if is_same else list(where)
        rows.append([*begun, row["field"], *(_value(row[end]) for end in ("before", "after"))])
    print_table(["position", "time", "actor", "event", "field", "before", "after"], rows)


@verb(
    "diff",
    examples=(
        "metaledger diff paper-v1 2030-01-31T12:00Z",
        "metaledger diff 120 180 --json",
        "metaledger diff paper-v1 now --upstream-of Z8ZRoI",
    ),
)
@click.argument("a", metavar="A", type=PointText())
@click.argument("b", metavar="[B]", required=False, default="now", type=PointText())
@click.option(
    "--upstream-of",
    metavar="RECORD",
    type=Uid(),
    help="Only what this result (uid, key, name or path) is made of and by.",
)
@json_option
def diff_verb(a: str, b: str, *, upstream_of: str | None, as_json: bool) -> None:
    """Tell which records were added, changed or removed between the points A and B.

    A point is a position, a time with its zone, a tag, or a run; `now`, which B is by default, is
    the present.
    """
    from ledger.cli.output import print_json_lines
    from ledger.display.messages import say
    from ledger.past.changes import diff
    from ledger.places import instance
    from ledger.places.source import Source
    from ledger.registries.finding import found

    ledger = instance.current()
    end: Any = ledger.head() if b == "now" else b
    changes: Any
    if upstream_of is None:
        changes = diff(ledger, a, end)
    else:
        changes = found(Source(ledger), upstream_of).lineage_diff(a, end)
    if as_json:
        print_json_lines(changes)
        return
    for item in changes:
        _print_difference(item)
    counts = ", ".join(f"{len(getattr(changes, name)):,} {name}" for name in _SIGNS)
    say("info", counts if changes else "nothing differs")


def _print_difference(item: Difference) -> None:
    from ledger.cli.output import styled
    from ledger.display.tables import shown

    name = f" '{shown(item.name)}'" if item.name else ""
    line = f"{_SIGNS[item.change]} {item.registry} {item.uid}{name}"
    click.echo(styled(line, fg=_COLOURS[item.change]))
    if item.change != "changed":
        return
    for field, (before, after) in item.changes.items():
        click.echo(f"    {field}: {_value(before) or '(none)'} → {_value(after) or '(none)'}")


def _value(value: object) -> str:
    from ledger.display.tables import shown
    from ledger.display.tabular import as_text

    return "" if value is None else shown(as_text(value))


@verb(
    "tag",
    examples=("metaledger tag", "metaledger tag paper-v1", "metaledger tag submitted 1042"),
)
@click.argument("name", required=False)
@click.argument("at", metavar="[POINT]", required=False, type=PointText())
@json_option
def tag_verb(name: str | None, at: str | None, *, as_json: bool) -> None:
    """Call the present, or the position that POINT means, NAME; list the tags without a NAME.

    A tag never moves. POINT is a position, a time or date, '2 days ago', another tag, or a run.
    """
    from ledger.cli.output import print_json_lines, print_table
    from ledger.display.messages import say
    from ledger.registries.views import tag, tags

    found = tags() if name is None else [tag(name, at)]
    if as_json:
        print_json_lines(found)
    elif found:
        print_table(
            ["name", "position", "tagged_at", "actor"],
            [
                [it.name, it.position, f"{it.tagged_at:%Y-%m-%d %H:%M:%SZ}", it.actor]
                for it in found
            ],
        )
    else:
        say("info", "no tags; 'metaledger tag NAME' names the present")


__all__ = ["diff_verb", "history_verb", "log_verb", "tag_verb"]
