"""The runner of specs on a server: each has an empty database, and a failure is a failure."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.support import specs
from tests.support.servers import POSTGRES_VARIABLE

LOOKS = """
import os, psycopg
with psycopg.connect(os.environ["ACCEPT_DB"]) as connection:
    ((name, tables),) = connection.execute(
        "SELECT current_database(), (SELECT count(*) FROM pg_tables WHERE tablename = 'mine')"
    ).fetchall()
    connection.execute("CREATE TABLE mine (a int)")
open("said.txt", "a").write(f"{name} {tables}\\n")
"""
FAILS = "import sys; sys.exit(3)"


@pytest.fixture
def run(tmp_path, postgres_url, monkeypatch):
    """Run programs as specs numbered from 1, and return the status and what they said."""
    monkeypatch.setenv(POSTGRES_VARIABLE, postgres_url)

    def run(*programs: str, last: int = 99) -> tuple[int, list[str]]:
        for number, program in enumerate(programs, 1):
            Path(tmp_path, f"{number:02}_spec.py").write_text(program)
        said = tmp_path / "said.txt"
        status = specs.main(str(tmp_path), str(last))
        return status, said.read_text().splitlines() if said.exists() else []

    return run


def test_each_spec_has_an_empty_database_that_is_gone_afterwards(run, postgres_url):
    status, said = run(LOOKS, LOOKS)
    assert status == 0
    databases = [line.split()[0] for line in said]
    assert [line.split()[1] for line in said] == ["0", "0"]
    assert len(set(databases)) == 2
    with psycopg.connect(postgres_url) as connection:
        left = connection.execute("SELECT datname::text FROM pg_database").fetchall()
    assert not {(name,) for name in databases} & set(left)


def test_the_first_spec_that_fails_ends_the_rest_with_its_status(run):
    status, said = run(LOOKS, FAILS, LOOKS)
    assert (status, len(said)) == (3, 1)


def test_specs_past_the_last_one_are_left_out(run):
    status, said = run(LOOKS, FAILS, last=1)
    assert (status, len(said)) == (0, 1)
    with pytest.raises(SystemExit, match="found none"):
        run(LOOKS, last=0)
