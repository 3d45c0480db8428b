"""Errors of PostgreSQL and its driver, as errors of our own tree.

1. A violated unique index is a conflict; every other refusal is `StorageError`, and its message
   tells the way out.
2. Errors of connecting come as text only, without a code; the server's words are kept.
3. No message holds a secret: the driver never puts one into its own, and the URL in ours is free
   of secrets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from eventsourcing.persistence import IntegrityError, PersistenceError

from ledger.errors import LedgerError, ReadOnlyLedgerError, StorageError, WrongExpectedVersionError
from ledger.eventlog.database_url import DatabaseUrl

NOTHING = "nothing was recorded"
_READ_ONLY = {"25006", "42501"}  # a replica; a user without the right to write

# Meaning of the server's codes (the first two characters, or all five) to the user.
_BY_CODE = {
    "55P03": f"another writer held it for too long; {NOTHING}, end the other process or try again",
    "57014": f"a statement was cancelled (statement_timeout, or by hand); {NOTHING}, try again",
    "25006": f"the server only lets read (a replica, or read-only by default); {NOTHING}, "
    "name the primary server",
    "25P02": f"an earlier statement of this transaction had failed; {NOTHING}",
    "53100": f"the disk of the server is full; {NOTHING}, free some space",
    "53300": "the server has no connection left; close others, or raise its max_connections",
    "42501": f"the user lacks the right to do this; {NOTHING}, grant it the ledger's writer or "
    "reader role",
    "42P01": "a table of the ledger is not there, or not for this user; see that the URL names the "
    "right schema, and that the user has the ledger's writer or reader role",
    "42883": "a function of the ledger is missing; see that the URL names the right schema",
    "3F000": "the schema does not exist; see that the URL names the right one",
    "40001": f"another transaction came in between; {NOTHING}, try again",
    "40P01": f"it waited for itself by way of another transaction; {NOTHING}, try again",
    "57": f"the server closed the connection; {NOTHING}, try again",
    "08": f"the connection broke; {NOTHING}, try again",
    "53": f"the server lacks resources; {NOTHING}, try again later",
    "58": f"the server's own disk failed; {NOTHING}, see its log",
    "XX": f"the server's data are damaged; {NOTHING}, stop writing and restore a backup",
}

# Meaning of the text of a refused connection. A text in another language stands for itself.
_BY_TEXT = (
    ("no password supplied", "a password is needed: put it into PGPASSFILE or PGPASSWORD"),
    ("password authentication failed", "wrong password or user: see PGPASSFILE and PGPASSWORD"),
    ("authentication failed", "the server did not accept the user"),
    ("pg_hba.conf", "the server does not let this user or this computer in: see its pg_hba.conf"),
    ("does not exist", "create it, or correct the URL"),
    ("definition of service", "see PGSERVICEFILE"),
    ("ssl", "TLS failed: see sslmode and sslrootcert"),
    ("certificate", "TLS failed: see sslrootcert"),
    ("starting up", "the server is starting; try again"),
    ("too many clients", "close other connections, or raise the server's max_connections"),
    ("refused", "no server listens there: start it, or correct host and port"),
    ("resolve", "the name of the host is not known"),
    ("translate host name", "the name of the host is not known"),
    ("timeout", "the server did not answer in time"),
)


@contextmanager
def translated(url: DatabaseUrl) -> Iterator[None]:
    """Turn errors of the driver and the framework into errors of our own tree."""
    try:
        yield
    except LedgerError:
        raise
    except (psycopg.errors.UniqueViolation, IntegrityError) as error:
        raise WrongExpectedVersionError(
            f"append refused by the database: {said(error)}; reload and decide again"
        ) from error
    except (psycopg.Error, PersistenceError) as error:
        kind = ReadOnlyLedgerError if _code(error) in _READ_ONLY else StorageError
        raise kind(f"ledger database {url}: {explain(error)}") from error


def explain(error: Exception) -> str:
    """Return the meaning of a driver's error, with the words of the server."""
    code = _code(error)
    meaning = _BY_CODE.get(code) or _BY_CODE.get(code[:2])
    if meaning is not None:
        return f"{meaning} ({said(error)})"
    text = str(error).lower()
    if not code:
        for words, advice in _BY_TEXT:
            if words in text:
                return f"{said(error)}; {advice}"
        if is_broken(error):
            return f"the connection broke ({said(error)}); {NOTHING}, try again"
    return f"{said(error)}; {NOTHING}"


def _code(error: BaseException) -> str:
    return getattr(error, "sqlstate", None) or ""


def said(error: BaseException) -> str:
    """Return the words of the server or the driver, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def is_broken(error: BaseException) -> bool:
    """Return whether an error means that the connection, not the statement, failed."""
    code = _code(error)
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and (
        not code or code[:2] in {"08", "57"}
    )
