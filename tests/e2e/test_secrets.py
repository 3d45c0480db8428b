"""Parameters and arguments whose name says secret are recorded without their value."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ledger as ln
from ledger.errors import InvalidValueError
from ledger.model.secret_names import REDACTED, SECRET_NAMES, without_secrets
from tests.e2e.command import environment, made, metaledger  # noqa: F401 (a fixture)

_SECRET = {
    "password": "abcd1234", "api_key": "abcd1234", "OPENAI_API_KEY": "abcd1234",
    "dbPassword": 1234, "hf_token": "abcd1234", "aws-secret-access-key": "abcd1234",
    "credentials": {"user": "ada", "pin": "abcd1234"}, "client.secret": ["abcd1234"],
}  # fmt: skip
_PLAIN = {
    "max_tokens": 512, "tokenizer": "bpe", "token_dim": 3, "pad_token": 0, "secretary": "Ada",
    "use_password": True, "password": None, "keyboard": "x", "author": "Ada",
}  # fmt: skip


def kept(params, argv=(), names=SECRET_NAMES):
    return without_secrets({"params": params, "argv": list(argv)}, names)


@pytest.mark.parametrize("name", _SECRET)
def test_a_value_whose_name_says_secret_is_left_out(name):
    found, places = kept({"model": {name: _SECRET[name]}, "lr": 1})
    assert found["params"] == {"model": {name: REDACTED}, "lr": 1}
    assert places == [f"params.model.{name}"]


@pytest.mark.parametrize("name", _PLAIN)
def test_other_values_stay(name):
    assert kept({name: _PLAIN[name]}) == ({"params": {name: _PLAIN[name]}, "argv": []}, [])


def test_arguments_are_looked_at_too():
    given = [
        "--api-key=abcd1234",
        "--token",
        "abcd1234",
        "-x",
        "--password",
        "--lr",
        "0.1",
        "f.csv",
    ]
    found, places = kept({}, given)
    assert found["argv"] == [
        f"--api-key={REDACTED}", "--token", REDACTED, "-x", "--password", "--lr", "0.1", "f.csv",
    ]  # fmt: skip
    assert places == ["--api-key", "--token", "--password"]


@pytest.mark.usefixtures("here")
def test_what_is_left_out_is_said_and_makes_no_other_run(capfd):
    def run_with(secret):
        run = ln.track(key="fit.py", params={"api_key": secret, "lr": 0.5}, new_run=True)
        ln.finish()
        return run

    assert run_with("abcd1234").params == {"api_key": REDACTED, "lr": 0.5}
    said = capfd.readouterr().err
    assert "params.api_key: recorded as [redacted]" in said
    assert "abcd1234" not in said
    assert run_with("other").ordinal == 2
    ln.settings.secret_names = (*SECRET_NAMES, "lr")
    try:
        assert run_with("x").params == {"api_key": REDACTED, "lr": REDACTED}
        ln.settings.secret_names = ()
        assert run_with("x").params == {"api_key": "x", "lr": 0.5}
        with pytest.raises(InvalidValueError, match="expected a list of names"):
            ln.settings.secret_names = "password"  # noqa: S105 (a name of secrets)
    finally:
        ln.settings.secret_names = SECRET_NAMES


def test_no_byte_of_a_secret_is_in_the_database(made):  # noqa: F811
    script = "import ledger as ln, sys\nln.track(params={'token': sys.argv[2]})\nln.finish()\n"
    (made / "fit.py").write_text(script)
    command = [sys.executable, "fit.py", "--token", "abcd1234"]
    for _ in range(2):
        done = subprocess.run(
            command, cwd=made, check=True, capture_output=True, text=True, env=environment()
        )
    assert "replay" in done.stderr
    (run,) = metaledger(made, "list", "run", "--json").json_lines
    assert (run["params"], run["arguments"]) == ({"token": REDACTED}, ["--token", REDACTED])
    for path in Path(made, ".metaledger").rglob("*"):
        assert not path.is_file() or b"abcd1234" not in path.read_bytes()
