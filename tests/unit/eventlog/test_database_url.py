"""URLs of databases: secrets are taken out, and nothing that is shown has them."""

from __future__ import annotations

import pickle

import pytest

from ledger.errors import ConfigurationError
from ledger.eventlog.database_url import DatabaseUrl, is_database_url, parse

SECRET = "s3cr3t"  # noqa: S105 (of nothing)


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://ada:{SECRET}@host/db?schema=lab",
        f"postgresql://host/db?password={SECRET}&user=ada",
        f"postgresql://host/db?sslmode=verify-full&sslpassword={SECRET}&sslkey=/k",
        f"postgres://:{SECRET}@host",
        f"postgresql:///db?service=lab&password={SECRET}",
    ],
)
def test_a_secret_is_kept_for_connecting_and_shown_nowhere(text):
    url = parse(text)
    assert SECRET in url.secrets().values()
    for shown in (str(url), repr(url), url.text, f"{url.in_schema('x')}", str(pickle.dumps(url))):
        assert SECRET not in shown
    assert SECRET in url.in_schema("other").secrets().values()


def test_everything_else_of_the_url_is_passed_on():
    url = parse("postgres://ada@h1:1,h2:2/db?sslmode=require&schema=lab&options=-c%20a%3Db")
    assert url.text == "postgresql://ada@h1:1,h2:2/db?sslmode=require&options=-c%20a%3Db"
    assert url.schema == "lab"
    assert parse(str(url)) == url


def test_an_escaped_password_is_given_as_it_is_meant():
    assert parse("postgresql://a:p%40%2Fs@h/db").secrets() == {"password": "p@/s"}


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://ada:a/{SECRET}@host/db",
        f"postgresql://ada:a@{SECRET}@host/db",
        f"postgresql://ada:a#{SECRET}@host/db",
        f"postgresql://ada:a?{SECRET}@host/db",
        f"postgresql://ada:a {SECRET}@host/db",
        f"postgresql://ada:[{SECRET}@host/db",
        f"postgresql://ada:{SECRET}@host/db?schema=a&schema=b",
        f"postgresql://ada:{SECRET}@host/db?novalue",
        f"mysql://ada:{SECRET}@host/db",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_showing_it(text):
    with pytest.raises(ConfigurationError, match="expected postgresql://") as caught:
        parse(text)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("schema", ["", "Lab", "1a", "pg_lab", "a-b", 'a"b', "é", "a" * 49])
def test_a_schema_that_is_no_plain_name_is_refused(schema):
    with pytest.raises(ConfigurationError, match="expected 1 to 48 small letters"):
        DatabaseUrl("postgresql://host/db").in_schema(schema)


def test_a_url_is_told_from_a_file():
    assert is_database_url("postgresql://host/db")
    assert is_database_url("postgres:broken")
    assert not is_database_url("ledger.db")
    assert not is_database_url(None)
