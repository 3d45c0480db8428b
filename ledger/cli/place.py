"""Verbs about the ledger as a whole: `init`, `info`, `config`, `delete`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.group import json_option, verb

if TYPE_CHECKING:
    from ledger.upkeep.overview import About

_TABLES = 6  # listed of a server, the largest


@verb(
    "init",
    examples=(
        "metaledger init",
        "metaledger init --storage s3://bucket/data --name immune-study",
    ),
)
@click.option(
    "--storage",
    metavar="ROOT",
    help="Where content is kept: a folder, made if need be, or a URL."
    " [default: ./.metaledger/storage]",
)
@click.option("--db", "database", metavar="URL", help="Database of log and read models.")
@click.option("--name", help="Its name. [default: the last part of ROOT, or of this folder]")
@click.option(
    "--publish", metavar="URL", help="Where every checkpoint is published: a folder or a URL."
)
def init_verb(
    storage: str | None, *, database: str | None, name: str | None, publish: str | None
) -> None:
    """Make a ledger in this folder, for this folder and all below it."""
    from ledger.display.messages import say
    from ledger.places.initialization import initialize

    place = initialize(storage, database=database, name=name, publish=publish)
    say("success", f"made ledger '{place.configuration.name}' in {place.root}")
    say("hint", "in a script: import ledger as ln; ln.track(); …; ln.finish()")
    click.echo(place.configuration.id)


@verb("info", examples=("metaledger info", "metaledger info --json"))
@json_option
def info_verb(*, as_json: bool) -> None:
    """Tell which ledger is used here and why, where it keeps things, and what it holds."""
    from ledger.cli.output import print_json, print_pairs
    from ledger.display.tables import shown
    from ledger.engine.clocks import duration
    from ledger.places.discovery import locate
    from ledger.upkeep.overview import about

    told = about(locate())
    if as_json:
        print_json(told)
        return
    recorded = told.recorded_at
    lack = f", read models lack the last {told.lag:,} events: see 'metaledger doctor'"
    early = ""
    if told.ahead:
        length = duration(int(told.ahead * 1e6))
        early = f", {length} ahead of this computer's clock: see 'metaledger doctor'"
    print_pairs(
        [
            ("ledger", f"{shown(told.name)} (id {told.id})"),
            ("folder", f"{told.root} ({told.origin})"),
            ("storage", told.storage),
            ("database", f"{told.database} ({_size(told.database_size)})"),
            *_server(told),
            ("head", f"position {told.head:,}{lack if told.lag else ''}"),
            ("last recorded", recorded and f"{recorded:%Y-%m-%d %H:%M:%S} UTC{early}"),
            ("records", ", ".join(_counted(told.counts[name], name) for name in told.counts)),
            ("program", f"metaledger {told.program}, format {told.format}"),
        ]
    )


def _server(told: About) -> list[tuple[str, str]]:
    """Return the state of a server, in lines for people."""
    server, clock = told.server, told.clock
    if server is None or clock is None:
        return []
    kind = f"a standby, {server.replay_lag:.1f} s behind" if server.is_standby else "primary"
    supported = "" if server.is_supported else ", not a version that metaledger is made for"
    named = ["superuser"] if server.is_superuser else list(server.roles) or ["none of its roles"]
    rights = "" if server.may_append else ", may only read"
    settings = ("fsync", "full_page_writes", "synchronous_commit")
    tables = [
        f"{table.name} {_size(table.table_bytes)} + indexes {_size(table.index_bytes)}"
        for table in server.tables[:_TABLES]
    ]
    return [
        ("server", f"PostgreSQL {server.version}{supported}, {kind}"),
        ("user", f"{server.user} ({', '.join(named)}){rights}"),
        ("clock", f"{clock.difference:+.3f} s from ours, give or take {clock.uncertainty:.3f} s"),
        ("connections", f"{server.connections:,} of {server.settings['max_connections']}"),
        ("durability", ", ".join(f"{name} {server.settings[name]}" for name in settings)),
        ("tables", "\n".join(tables)),
    ]


def _counted(number: int, registry: str) -> str:
    return f"{number:,} {registry}{'' if number == 1 else 's'}"


def _size(number: int) -> str:
    amount = float(number)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":  # noqa: PLR2004 (bytes of a KiB)
            return f"{amount:,.0f} {unit}" if unit == "bytes" else f"{amount:,.1f} {unit}"
        amount /= 1024
    raise AssertionError(unit)


@verb(
    "config",
    examples=(
        "metaledger config",
        "METALEDGER_USER=ada metaledger config --json",
        "metaledger config --publish s3://bucket/checkpoints",
    ),
)
@click.option(
    "--publish",
    metavar="URL",
    help="From now on publish every checkpoint there: a folder or a URL; '' for nowhere.",
)
@json_option
def config_verb(*, publish: str | None, as_json: bool) -> None:
    """Show each setting, its value, and where that comes from.

    Settings of the ledger stand in its configuration file; those of one process in environment
    variables, or in Python: ln.settings.
    """
    from ledger.cli.output import print_json, print_table

    if publish is not None:
        from ledger.places import config, discovery, initialization

        initialization.require_publishable(publish or None)
        config.change(discovery.locate(), publish=publish or None)
    rows = _settings()
    if as_json:
        print_json([dict(zip(("setting", "value", "source"), row, strict=True)) for row in rows])
        return
    print_table(["setting", "value", "source"], rows)


def _settings() -> list[tuple[str, Any, str]]:
    import tomllib

    from ledger.input_files import read_small
    from ledger.places import actor, discovery
    from ledger.places.config import FILE, MOST, PUBLISH_VARIABLE
    from ledger.user_settings import settings

    place = discovery.locate()
    path = place.folder / FILE
    given, implied = f"configuration file {path}", "default"
    # A ledger that a URL names has no such file here.
    written = tomllib.loads(read_small(path, most=MOST).decode())["ledger"] if path.exists() else {}
    rows: list[tuple[str, Any, str]] = [("ledger", str(place.root), place.origin)]
    configuration = place.configuration
    for name in configuration.__struct_fields__:
        source = given if name in written else implied if written else place.origin
        rows.append((name, getattr(configuration, name), source))
    source = (
        f"environment variable {actor.VARIABLE}"
        if os.environ.get(actor.VARIABLE)
        else "default: login name"
    )
    rows.append(("user", actor.current_actor(), source))
    command = os.environ.get(PUBLISH_VARIABLE)
    source = f"environment variable {PUBLISH_VARIABLE}" if command else implied
    rows.append(("publish command", command, source))
    rows += [
        ("settings.verbosity", settings.verbosity, implied),
        ("settings.creation.search_names", settings.creation.search_names, implied),
        (
            "settings.creation.artifact_if_hash_exists",
            settings.creation.artifact_if_hash_exists,
            implied,
        ),
    ]
    return rows


@verb("delete", examples=("metaledger delete my-ledger --force",))
@click.argument("name")
@click.option("--force", is_flag=True, help="Delete it with its whole history.")
def delete_verb(name: str, *, force: bool) -> None:
    """Take the ledger called NAME away: its configuration and database, with all history.

    Refused, with a list, while its storage holds content: content is never deleted.
    """
    from ledger.display.messages import say
    from ledger.places.discovery import locate
    from ledger.places.initialization import delete

    place = locate()
    delete(place, name, force=force)
    say("success", f"ledger '{place.configuration.name}' in {place.root} is gone")
