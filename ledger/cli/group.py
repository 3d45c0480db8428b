"""Verbs and groups of verbs: how they are loaded, and how their help reads.

Every verb has at least one example in its help, and takes `-q` and `-v`, as the command itself
does.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import click

from ledger.cli.ending import MISUNDERSTOOD
from ledger.errors import nearest

F = TypeVar("F", bound=Callable[..., Any])

_VERB = 10  # width of a verb's name in the help, so that its sections are aligned
_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Verb(click.Command):
    """A command with examples in its help."""

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        misunderstood: int = MISUNDERSTOOD,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.misunderstood = misunderstood  # exit status where its arguments cannot be understood
        self.context_settings = {**_SETTINGS, **self.context_settings}
        self.examples = tuple(examples)
        self.params += _loudness()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        if not self.examples:
            return
        with formatter.section("Example" if len(self.examples) == 1 else "Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class VerbGroup(Verb, click.Group):
    """A group whose verbs are named here and loaded when they are used.

    Args:
        name: Its name.
        verbs: Of each verb the module that holds it, and a few words for the help.
        sections: Verbs under headings, instead.
        has_version: Whether it takes `--version`.
        otherwise: Verb that arguments without a verb are for.
    """

    def __init__(
        self,
        name: str,
        *,
        verbs: Mapping[str, tuple[str, str]] | None = None,
        sections: Mapping[str, Mapping[str, tuple[str, str]]] | None = None,
        has_version: bool = False,
        otherwise: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, no_args_is_help=True, **kwargs)
        self.sections = dict(sections or {"Verbs": verbs or {}})
        self.verbs = {verb: it for part in self.sections.values() for verb, it in part.items()}
        self.otherwise = otherwise
        if has_version:
            self.params.append(_version_option())

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Return the names of the verbs, in the order of their table."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load and return a verb; None where there is none of that name."""
        if cmd_name not in self.verbs:
            return None
        module = importlib.import_module(self.verbs[cmd_name][0])
        # `list` and the like would hide what Python calls so: functions bear the verb and `_verb`.
        found: click.Command = getattr(module, f"{cmd_name}_verb")
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; without a verb they are those of `otherwise`."""
        own = {name for it in self.get_params(ctx) for name in it.opts}
        if self.otherwise is not None and args and args[0] not in {*self.verbs, *own}:
            args = [self.otherwise, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb that the arguments begin with, or fail and suggest the nearest."""
        if args and args[0] not in self.verbs and not args[0].startswith("-"):
            self._refuse(ctx, args[0])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; `main` tells its errors."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # Click would turn it into exit status 1, which is for errors of ours.
            from ledger.cli.ending import UNHEARD, unheard

            unheard()
            raise click.exceptions.Exit(UNHEARD) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the verbs from their table, without loading one."""
        for heading, verbs in self.sections.items():
            listed = [(name.ljust(_VERB), line) for name, (_, line) in verbs.items()]
            with formatter.section(heading):
                formatter.write_dl(listed)

    def _refuse(self, ctx: click.Context, name: str) -> NoReturn:
        from ledger.display.tables import shown

        near = nearest(name, self.verbs)
        way_out = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(self.verbs)}"
        ctx.fail(f"no verb '{shown(name)}'; {way_out}")


def verb(name: str, *, examples: Sequence[str], **kwargs: Any) -> Callable[[F], Verb]:
    """Make a function a verb; its docstring is the help."""

    def wrap(function: F) -> Verb:
        made: Verb = click.command(name, cls=Verb, examples=examples, **kwargs)(function)
        return made

    return wrap


def json_option(function: F) -> F:
    """Give a verb `--json`."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print JSON: one document, or one object a line for lists.",
    )(function)


def _loudness() -> list[click.Parameter]:
    return [
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=lambda _, __, value: _be("error", value),
            help="Print no messages but errors.",
        ),
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            expose_value=False,
            callback=lambda _, __, value: _be("debug", value),
            help="Print more messages, and more about errors.",
        ),
    ]


def _be(verbosity: str, wanted: bool) -> None:  # noqa: FBT001 (click's callback)
    if wanted:
        from ledger.user_settings import settings

        settings.verbosity = verbosity


def _version_option() -> click.Parameter:
    def show(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001
        if value and not ctx.resilient_parsing:
            from ledger.version import program_version

            click.echo(f"metaledger {program_version()}")
            ctx.exit()

    return click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=show,
        help="Print the version and exit.",
    )
