"""Texts that the program puts into the log and into messages carry no secret of a URL."""

from __future__ import annotations

import sys

import pytest

import ledger as ln
from ledger.errors import StorageError, washed, washed_arguments
from ledger.model.parameters import canonical_params
from ledger.places import instance
from ledger.tracking.context import context

LEAKING = [
    "postgresql://ada:hunter2@host:5432/db",
    "postgresql://ada:hun@ter2/x@host/db",
    "postgresql://ada:x/hunter2@host/db",
    "https://hunter2hunter2hunter2hunter2@example.org/x.git",
    "https://b.s3.amazonaws.com/k?X-Amz-Date=2026&X-Amz-Signature=hunter2&versionId=v1",
    "https://storage.googleapis.com/k?X-Goog-Signature=hunter2",
    "https://a.blob.core.windows.net/c/k?sv=2026&sig=hunter2%3D",
    "https://d.cloudfront.net/k?Expires=1&Signature=hunter2&Key-Pair-Id=hunter2",
    "https://example.org/k?access_token=hunter2",
    "https://example.org/k#id_token=hunter2",
    "host=db user=ada password=hunter2",
    "--db-password=hunter2",
    "curl --api-key=hunter2",
    "psql --password hunter2",
    "--token 'hunter2 and more'",
    "-secret hunter2",
    "['psql', '--password', 'hunter2 and more', 'db']",
]
HONEST = [
    "s3://bucket/key?versionId=v1",
    "https://example.org:8080/a@b",
    "postgresql://ada@host/db",
    "ssh://git@example.org/x.git",
    "--n_tokens=3",
    "--n-tokens 3",
    "--max-token 100",
    "--password --verbose",
    "argument --password: expected one argument",
    "a --tokenizer bert",
    "a?b=c",
    "KeyError: 'x'",
]


@pytest.mark.parametrize("text", LEAKING)
def test_no_secret_of_a_url_is_left(text):
    for each in (text, f"cannot reach ('{text}')", f"{text}\n{text}"):
        assert "hunter2" not in washed(each)
        assert washed(washed(each)) == washed(each)
        assert "hunter2" not in str(StorageError(f"refused: {each}"))
    assert "hunter2" not in str(canonical_params({"a": [text]}, [text]))


@pytest.mark.parametrize("text", HONEST)
def test_what_is_no_secret_stays(text):
    assert washed(text) == text


@pytest.mark.parametrize(
    "name", ["--password", "--db-password", "--DB_PASSWORD", "-token", "--api-key", "--secret"]
)
def test_no_secret_of_an_argument_is_left(name):
    given = ["--n", "3", name, "hunter2 and 'more", "a.csv"]
    assert washed_arguments(given) == ["--n", "3", name, "***", "a.csv"]
    assert canonical_params({}, given)["argv"] == ["--n", "3", name, "***", "a.csv"]


@pytest.mark.parametrize(
    "given",
    [
        ["--max-token", "100", "x"],
        ["--tokenizer", "bert"],
        ["--password", "--verbose"],
        ["--password", "-v", "a.csv"],
        ["--password"],
        [],
    ],
)
def test_arguments_that_are_no_secret_stay(given):
    assert washed_arguments(given) == given


def test_the_end_of_a_failed_run_holds_no_secret(ledger_folder, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    monkeypatch.setattr(context, "_exits", None)
    ln.init(str(ledger_folder / "storage"))
    ln.track()
    error = OSError(f"{'x' * 440} {LEAKING[0]} {LEAKING[4]}")
    sys.excepthook(OSError, error, None)
    context.leave()
    with instance.current().reading() as session:
        said = session.log.read(until=session.log.head())
        assert "hunter2" not in "".join(str(it.event) for it in said)
    ln.close()
