"""What the doctor tells of a bucket: not there, not for us, and uploads that nobody finished."""

from __future__ import annotations

import time

import pytest

import ledger as ln
from ledger.content import retry
from ledger.places import instance
from ledger.upkeep.doctor import examine, remove_orphans
from tests.support.door import artifact

LATER = 2 * 3600.0
NAME = "AbCdEfGhIjKlMnOp0000.txt"


@pytest.fixture
def made(ledger_folder, s3_root):
    """A ledger whose storage is in a bucket, with something in it."""
    ln.init(s3_root)
    artifact("a.txt")
    yield ledger_folder
    ln.close()


@pytest.fixture
def unfinished(made, object_store, s3_root):  # noqa: ARG001 (the ledger)
    """Begin an upload in parts of content of this ledger, and send one part."""
    bucket, _, prefix = s3_root.removeprefix("s3://").partition("/")
    place = {"Bucket": bucket, "Key": f"{prefix}/.metaledger/{NAME}"}
    files = object_store.files()
    begun = files.call_s3("create_multipart_upload", **place)
    files.call_s3("upload_part", UploadId=begun["UploadId"], PartNumber=1, Body=b"a part", **place)
    return lambda: files.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=place["Key"]).get(
        "Uploads", []
    )


def test_an_upload_that_nobody_finished_is_named_and_removed_once_it_is_old(unfinished):
    ledger = instance.current()
    (young,) = examine(ledger)
    assert (young.kind, young.severity) == ("orphan", "info")
    assert remove_orphans(ledger) == []
    assert unfinished()
    (old,) = examine(ledger, now=time.time() + LATER)
    assert (old.kind, old.severity) == ("orphan", "warning")
    assert "left behind by an interrupted step" in old.message
    assert len(remove_orphans(ledger, now=time.time() + LATER)) == 1
    assert not unfinished()
    assert examine(ledger, content=True) == []


@pytest.mark.usefixtures("made")
def test_a_bucket_that_is_gone_is_an_error_that_names_it(monkeypatch):
    monkeypatch.setattr(retry, "pause", lambda _seconds: None)
    place = instance.current().place
    ln.close()
    path = place.folder / "config.toml"
    path.write_text(path.read_text().replace("s3://test-", "s3://gone-"))
    instance._current = None
    findings = examine(instance.current())
    assert {finding.severity for finding in findings} == {"error"}
    assert "unreachable-storage" in {finding.kind for finding in findings}
    assert any("no such bucket" in finding.message for finding in findings)
