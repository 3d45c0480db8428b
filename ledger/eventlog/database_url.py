"""Where a ledger's database on a PostgreSQL server is: a libpq URL, and the schema in it.

1. The URL is libpq's own (`postgresql://user@host:port/database?sslmode=…`), passed on as it is:
   hosts, TLS, service files and `PGPASSFILE` work as they do for `psql`.
2. `schema` is ours and never reaches libpq: a database holds many ledgers, a schema each.
3. Secrets are taken out as soon as the URL is read. The URL that is kept, shown and written down
   has none.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ledger.errors import ConfigurationError

SCHEMES = ("postgresql", "postgres")

# So short that names of roles made of it fit into the 63 bytes that PostgreSQL keeps of a name.
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,47}")
_SECRET_OPTIONS = frozenset({"password", "sslpassword", "oauth_client_secret"})
_FORM = "postgresql://[user@]host[:port]/database[?schema=name&sslmode=…]"


class DatabaseUrl:
    """A database on a server, without secrets in anything that is shown.

    Attributes:
        text: The URL without secrets and without the schema.
        schema: The ledger's schema; None where none was named yet.
    """

    def __init__(
        self, text: str, schema: str | None = None, secrets: dict[str, str] | None = None
    ) -> None:
        self.text = text
        self.schema = schema
        self._secrets = dict(secrets or {})

    def __str__(self) -> str:
        """The URL as it is written into a configuration: with the schema, without secrets."""
        if self.schema is None:
            return self.text
        return f"{self.text}{'&' if '?' in self.text else '?'}schema={self.schema}"

    def __repr__(self) -> str:
        return f"<DatabaseUrl {self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DatabaseUrl) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle may lie in a file: secrets stay behind.
        return DatabaseUrl, (self.text, self.schema)

    def in_schema(self, schema: str) -> DatabaseUrl:
        """Return the same database with another schema.

        Raises:
            ConfigurationError: It cannot be the name of one.
        """
        return DatabaseUrl(self.text, _checked(schema), self._secrets)

    def secrets(self) -> dict[str, str]:
        """Return the options that must not be shown: for connecting, and for nothing else."""
        return dict(self._secrets)


def is_database_url(text: object) -> bool:
    """Return whether a text names a database on a server, even with mistakes in it."""
    return isinstance(text, str) and text.partition(":")[0].lower() in SCHEMES


def parse(text: str) -> DatabaseUrl:
    """Return what a URL names.

    Raises:
        ConfigurationError: It is not a URL of a PostgreSQL database; the message shows none of it,
            as a URL with a mistake may hold a password anywhere.
    """
    try:
        parts = urlsplit(text)
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise _malformed("it cannot be read") from None
    if parts.scheme.lower() not in SCHEMES:
        raise _malformed(f"its scheme is not one of {', '.join(SCHEMES)}")
    if not text.isprintable() or " " in text:
        raise _malformed("it holds blanks or control characters")
    if parts.fragment or "#" in text or "@" in parts.path or "@" in parts.query:
        raise _malformed("'@', '/', '?' and '#' within a user or password are written %40 %2F …")
    userinfo, at, hosts = parts.netloc.rpartition("@")
    user, colon, password = userinfo.partition(":")
    if "@" in userinfo:
        raise _malformed("'@' within a user or password is written %40")
    secrets = {name: value for name, value in options if name in _SECRET_OPTIONS}
    if colon and password:
        secrets.setdefault("password", unquote(password))
    schemas = [value for name, value in options if name == "schema"]
    if len(schemas) > 1:
        raise _malformed("it names more than one schema")
    kept = [(name, value) for name, value in options if name not in {*_SECRET_OPTIONS, "schema"}]
    query = "&".join(f"{name}={quote(value, safe='/:,')}" for name, value in kept)
    netloc = f"{user}{at if user else ''}{hosts}"
    clean = f"postgresql://{netloc}{parts.path}{'?' if query else ''}{query}"
    return DatabaseUrl(clean, _checked(schemas[0]) if schemas else None, secrets)


def _checked(schema: str) -> str:
    if not _SCHEMA.fullmatch(schema):
        raise ConfigurationError(
            f"database schema {schema!r}: expected 1 to 48 small letters, digits and underscores, "
            "beginning with a letter or an underscore, and not with 'pg_'"
        )
    return schema


def _malformed(reason: str) -> ConfigurationError:
    return ConfigurationError(f"database URL: expected {_FORM}; {reason}")
