from __future__ import annotations

import getpass
import os

import pytest

from ledger.errors import InvalidValueError
from ledger.places.actor import MAX_LENGTH, current_actor


def test_variable_wins_over_the_login_name(monkeypatch):
    monkeypatch.setenv("METALEDGER_USER", "  Ada Lovelace ")
    assert current_actor() == "Ada Lovelace"


@pytest.mark.parametrize("value", [None, ""])
def test_login_name_serves_where_the_variable_is_absent(monkeypatch, value):
    monkeypatch.delenv("METALEDGER_USER", raising=False)
    if value is not None:
        monkeypatch.setenv("METALEDGER_USER", value)
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    assert current_actor() == "ada"


@pytest.mark.parametrize("error", [KeyError, OSError, ImportError])
def test_user_without_a_name_is_known_by_number(monkeypatch, error):
    def nobody():
        raise error

    monkeypatch.delenv("METALEDGER_USER", raising=False)
    monkeypatch.setattr(getpass, "getuser", nobody)
    assert current_actor() == f"uid-{os.getuid()}"


def test_name_is_in_nfc(monkeypatch):
    monkeypatch.setenv("METALEDGER_USER", "Zoe\u0301")
    assert current_actor() == "Zo\u00e9"


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "   ", "a\u2028b", "x" * (MAX_LENGTH + 1)])
def test_names_that_cannot_be_recorded_are_refused(monkeypatch, name):
    monkeypatch.setenv("METALEDGER_USER", name)
    with pytest.raises(InvalidValueError, match=r"^METALEDGER_USER: expected .*; set METALEDGER_"):
        current_actor()


def test_longest_name_is_allowed(monkeypatch):
    monkeypatch.setenv("METALEDGER_USER", "x" * MAX_LENGTH)
    assert current_actor() == "x" * MAX_LENGTH


def test_unfit_login_name_points_to_the_variable(monkeypatch):
    monkeypatch.delenv("METALEDGER_USER", raising=False)
    monkeypatch.setattr(getpass, "getuser", lambda: "a\tb")
    with pytest.raises(InvalidValueError, match=r"login name: .*U\+0009 at 1; set METALEDGER_USER"):
        current_actor()
