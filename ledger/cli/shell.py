"""The verb `completion`."""

from __future__ import annotations

import click

from ledger.cli.group import verb

_SHELLS = ("bash", "zsh", "fish")


@verb(
    "completion",
    examples=(
        'eval "$(metaledger completion bash)"     # in ~/.bashrc',
        "metaledger completion fish > ~/.config/fish/completions/metaledger.fish",
    ),
)
@click.argument("shell", type=click.Choice(_SHELLS))
def completion_verb(shell: str) -> None:
    """Print what makes a SHELL complete verbs, registries and uids."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    from ledger.cli import app  # noqa: PLC0415

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for '{shell}'; there are {', '.join(_SHELLS)}")
    click.echo(kind(app, {}, "metaledger", "_METALEDGER_COMPLETE").source())
