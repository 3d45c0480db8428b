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
    """Print the script that makes a SHELL complete verbs, registries and uids."""
    from click.shell_completion import get_completion_class

    from ledger.cli import app

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for '{shell}'; there are {', '.join(_SHELLS)}")
    click.echo(kind(app, {}, "metaledger", "_METALEDGER_COMPLETE").source())
