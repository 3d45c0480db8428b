"""The verb that looks ahead: `plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.cli.group import json_option, verb

if TYPE_CHECKING:
    from ledger.tracking.plan import Plan

SOMETHING_TO_DO = 2
MISUNDERSTOOD = 64  # EX_USAGE of sysexits.h: 2 is taken
_COLOURS = {"created": "green", "registered": "green", "added": "green", "started": "green"}


@verb(
    "plan",
    examples=(
        "metaledger plan analysis.py",
        "metaledger plan analysis.py --fast 3",
        "metaledger plan --json analysis.py | jq .new_events",
        "metaledger plan --format markdown analysis.py >> $GITHUB_STEP_SUMMARY",
    ),
    context_settings={"allow_interspersed_args": False},
    misunderstood=MISUNDERSTOOD,
)
@json_option
@click.option(
    "--format",
    "kind",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="How to print it; markdown suits a comment on a change.",
)
@click.argument("script", type=click.Path())
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
@click.pass_context
def plan_verb(
    ctx: click.Context, script: str, *, arguments: tuple[str, ...], as_json: bool, kind: str
) -> None:
    """Run SCRIPT with its ARGS and show what it would record; nothing is recorded.

    The script itself does run: files that it writes are written, messages that it sends are sent.
    What it prints goes to standard error. Options of this verb stand before SCRIPT.

    Exit status: 0 where there is nothing to record, 2 where there is, 1 where the script fails or
    cannot be planned, 64 where this command line cannot be understood.
    """
    from ledger.cli.output import print_json
    from ledger.tracking.plan import plan_script

    plan = plan_script(script, arguments)
    if as_json or kind == "json":
        print_json(plan.as_json())
    elif kind == "markdown":
        click.echo(plan.to_markdown(title=script), nl=False)
    else:
        _show(plan)
    if plan.error is not None:
        raise click.ClickException(f"plan {script}: {plan.error}; what it would record ends there")
    ctx.exit(0 if plan.is_empty else SOMETHING_TO_DO)


def _show(plan: Plan) -> None:
    from ledger.cli.output import styled
    from ledger.display.tables import shown

    for event in plan:
        what = event.type.removesuffix(".v1")
        subject = f"{event.registry} {event.uid}" if event.registry else event.uid
        padded = styled(f"{what:<20}", fg=_COLOURS.get(what.rsplit("-", 1)[-1], "yellow"))
        click.echo(f"+ {padded}  {shown(subject):<31}  {shown(event.summary)}".rstrip())
    for content in plan.contents:
        click.echo(f"> {'content':<20}  {shown(content.name):<31}  {_bytes(content.size)}")
    for similar in plan.similar_names:
        line = f"! {similar.registry} '{similar.name}' is new and resembles " + ", ".join(
            f"'{name}'" for name in similar.similar
        )
        click.echo(styled(shown(line), fg="yellow"))
    total = sum(content.size for content in plan.contents)
    copied = f", {_bytes(total)} of content" if plan.contents else ""
    events = "event" if len(plan) == 1 else "events"
    click.echo(f"{len(plan):,} new {events}{copied}")


def _bytes(number: int) -> str:
    return f"{number:,} byte{'' if number == 1 else 's'}"


__all__ = ["plan_verb"]
