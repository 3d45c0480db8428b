"""The faults of a ledger's server, as findings.

1. An error breaks a promise now: a right to change the past, a missing guard, a setting by which a
   crash loses acknowledged events, a role that cannot do its work.
2. A warning may become an error, or causes surprising answers.
3. Each finding tells the expected state, the found state and the way out, in its details too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec

from ledger.engine.database import Session, WriteSession
from ledger.eventlog.postgres_health import (
    SUPPORTED,
    Right,
    ServerState,
    look,
    server_clock,
    wanted_guards,
)
from ledger.model.times import now_micros
from ledger.upkeep.doctor_content import DoctorFinding, Severity

# Clocks that are set over the network agree within a small part of a second. If they differ by more
# than this, one is wrong, and a time from a clock on the wall names another position than meant.
CLOCK_WARNING = 5.0  # seconds
# Object stores refuse requests signed at a time that differs more from theirs.
CLOCK_ERROR = 900.0  # seconds
# Writers wait for each other for a minute: a shorter timeout cancels saves that would succeed.
STATEMENT_TIMEOUT = 60.0  # seconds
# A standby that is behind by less shows nearly the present.
REPLAY_LAG = 60.0  # seconds

_CLOCK_LOOKS = 3


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """The difference between a server's clock and the clock of this computer.

    Attributes:
        difference: Seconds by which the server is ahead; negative where it is behind.
        uncertainty: Seconds by which that may be wrong: half the duration of the question.
    """

    difference: float
    uncertainty: float

    @property
    def least(self) -> float:
        """Least number of seconds by which they differ."""
        return max(0.0, abs(self.difference) - self.uncertainty)


def state(session: Session | WriteSession, schema: str) -> ServerState:
    """Return the state of the server behind an open session."""
    return look(_connection(session), schema)


def clock(session: Session | WriteSession) -> Clock:
    """Return the difference of the server's clock to ours, from the quickest of some answers."""
    looks = []
    for _ in range(_CLOCK_LOOKS):
        before = now_micros()
        theirs = server_clock(_connection(session))
        after = now_micros()
        looks.append((abs(after - before) / 2, theirs - (before + after) / 2))
    uncertainty, difference = min(looks)
    return Clock(difference=difference / 1e6, uncertainty=uncertainty / 1e6)


def examine_server(session: Session | WriteSession, schema: str) -> Iterator[DoctorFinding]:
    """Yield everything on a ledger's server that needs attention."""
    found = state(session, schema)
    yield from _version(found)
    yield from _clocks(clock(session))
    yield from _settings(found)
    yield from _standby(found)
    guards = [*_guards(found)]
    yield from guards
    yield from _schema(session, schema, {it.subject for it in guards})
    yield from _rights(found)
    yield from _user(found)


def _connection(session: Session | WriteSession) -> Any:
    return session.log.connection  # type: ignore[attr-defined]


def _finding(  # noqa: PLR0913 (the parts of every message)
    kind: str,
    severity: Severity,
    subject: str,
    *,
    expected: str,
    found: str,
    way_out: str,
    **details: Any,
) -> DoctorFinding:
    return DoctorFinding(
        kind=kind,
        severity=severity,
        subject=subject,
        message=f"{subject}: expected {expected}, found {found}; {way_out}",
        details={"expected": expected, "found": found, "way_out": way_out, **details},
    )


def _version(server: ServerState) -> Iterator[DoctorFinding]:
    if not server.is_supported:
        yield _finding(
            "server-version",
            "warning",
            "server",
            expected="PostgreSQL {} to {}".format(*SUPPORTED),
            found=server.version,
            way_out="nobody has tried this version; use one of these",
        )


def _clocks(clock: Clock) -> Iterator[DoctorFinding]:
    if clock.least <= CLOCK_WARNING:
        return
    side = "ahead of" if clock.difference > 0 else "behind"
    yield _finding(
        "clock",
        "error" if clock.least > CLOCK_ERROR else "warning",
        "clock of the server",
        expected=f"within {CLOCK_WARNING:.0f} s of this computer's",
        found=f"{abs(clock.difference):.1f} s {side} it",
        way_out="set both clocks over the network (NTP); recorded times are the server's",
        difference=clock.difference,
        uncertainty=clock.uncertainty,
    )


def _settings(server: ServerState) -> Iterator[DoctorFinding]:
    values = server.settings
    for name, harm in (
        ("fsync", "a crash of its computer loses what was acknowledged, or damages all of it"),
        ("full_page_writes", "a power failure may leave pages that are half old and half new"),
    ):
        if values.get(name) == "off":
            yield _finding(
                "server-setting",
                "error",
                name,
                expected="on",
                found="off",
                way_out=f"{harm}: ALTER SYSTEM SET {name} = on, and reload the server",
            )
    yield from _synchronous_commit(server)
    timeout = _milliseconds(values["statement_timeout"])
    if 0 < timeout < STATEMENT_TIMEOUT * 1000:
        yield _finding(
            "server-setting",
            "warning",
            "statement_timeout",
            expected=f"none, or at least {STATEMENT_TIMEOUT:.0f} s",
            found=values["statement_timeout"],
            way_out=(
                "who waits for other writers is cut off after that: "
                f"ALTER ROLE {server.user} SET statement_timeout = 0"
            ),
        )
    if values["default_transaction_read_only"] == "on" and not server.is_standby:
        yield _finding(
            "server-read-only",
            "warning",
            "default_transaction_read_only",
            expected="off",
            found="on",
            way_out=f"nothing can be recorded: ALTER ROLE {server.user} RESET "
            "default_transaction_read_only, or where it was set",
        )
    for table in server.tables:
        if table.is_unlogged:
            yield _finding(
                "unlogged-table",
                "error",
                table.name,
                expected="a table that a crash of the server keeps",
                found="an unlogged one",
                way_out=f"have its owner ALTER TABLE {table.name} SET LOGGED",
            )


def _synchronous_commit(server: ServerState) -> Iterator[DoctorFinding]:
    if server.settings["synchronous_commit"] == "off":
        severity: Severity = "error"
        harm = "a crash of the server loses the last commits, acknowledged as they are"
    elif server.usual_synchronous_commit == "off":
        severity = "warning"
        harm = "metaledger switches it on in each session, which a pooler in between may undo"
    else:
        return
    yield _finding(
        "server-setting",
        severity,
        "synchronous_commit",
        expected=f"on for user {server.user}",
        found="off",
        way_out=f"{harm}: ALTER ROLE {server.user} SET synchronous_commit = on",
    )


_UNITS = {"ms": 1.0, "s": 1e3, "min": 60e3, "h": 3600e3, "d": 86400e3, "us": 1e-3, "": 1.0}


def _milliseconds(setting: str) -> float:
    number = setting.rstrip("abcdefghijklmnopqrstuvwxyz")
    return float(number) * _UNITS[setting[len(number) :]]


def _standby(server: ServerState) -> Iterator[DoctorFinding]:
    if not server.is_standby:
        return
    if server.replay_lag > REPLAY_LAG or not server.is_following:
        state = "" if server.is_following else ", and not connected to the server that it follows"
        yield _finding(
            "standby",
            "warning",
            "server",
            expected=f"a primary, or a standby that is at most {REPLAY_LAG:.0f} s behind",
            found=f"a standby {server.replay_lag:.1f} s behind{state}",
            way_out="what was recorded since is not seen here; see its log, or name the primary",
            replay_lag=server.replay_lag,
            is_following=server.is_following,
        )
        return
    yield _finding(
        "standby",
        "info",
        "server",
        expected="a primary, to record anything",
        found=f"a standby, {server.replay_lag:.1f} s behind",
        way_out="it only lets read; name the primary to record",
        replay_lag=server.replay_lag,
        is_following=server.is_following,
    )


def _guards(server: ServerState) -> Iterator[DoctorFinding]:
    for name in sorted(wanted_guards()):
        state = server.guards.get(name, "none")
        if state != "always":
            table, trigger = name.split()
            yield _finding(
                "missing-guard",
                "error",
                f"trigger {trigger}",
                expected="in force always",
                found={
                    "none": "no such trigger",
                    "origin": "in force outside replication only",
                }.get(state, state),
                way_out=(
                    "what is recorded can be changed: audit the ledger, and "
                    + (
                        "restore the schema from a backup"
                        if state == "none"
                        else f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}"
                    )
                ),
                table=table,
                state=state,
            )


def _schema(
    session: Session | WriteSession, schema: str, told: set[str]
) -> Iterator[DoctorFinding]:
    from ledger.eventlog.postgres_guards import schema_faults  # noqa: PLC0415 (loads the driver)

    for name, expected, found in schema_faults(_connection(session), schema):
        if name not in told:
            yield _finding(
                "schema",
                "error",
                name,
                expected=expected,
                found=found,
                way_out=(
                    "somebody changed what guards the ledger: audit it, and restore the schema "
                    "from a backup"
                ),
            )


def _rights(server: ServerState) -> Iterator[DoctorFinding]:
    for role, rights in _by_role(server.missing):
        listed = ", ".join(map(str, rights))
        yield _finding(
            "missing-grant",
            "error",
            f"role {role}",
            expected=listed,
            found="no such right",
            way_out=f"have the owner GRANT it TO {role}",
            rights=[str(right) for right in rights],
        )
    for role, rights in _by_role(server.excessive):
        listed = ", ".join(map(str, rights))
        yield _finding(
            "excessive-grant",
            "error",
            f"role {role}",
            expected="no right but to read and append" if role != "public" else "no right",
            found=listed,
            way_out=f"have the owner REVOKE it FROM {role}, and audit the ledger",
            rights=[str(right) for right in rights],
        )


def _by_role(rights: tuple[Right, ...]) -> list[tuple[str, list[Right]]]:
    found: dict[str, list[Right]] = defaultdict(list)
    for right in rights:
        found[right.role].append(right)
    return [*found.items()]


def _user(server: ServerState) -> Iterator[DoctorFinding]:
    if server.has_roles and not server.roles:
        roles = f"{server.owner.removesuffix('_owner')}_writer"
        yield _finding(
            "user",
            "info",
            f"user {server.user}",
            expected="one of the ledger's roles",
            found="rights of its own",
            way_out=f"GRANT {roles} TO {server.user}, so that upgrades reach it",
        )
