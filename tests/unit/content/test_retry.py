"""What is tried again, how long is waited, and what is said in the end."""

from __future__ import annotations

import errno

import pytest

from ledger.content import retry
from ledger.content.retry import is_passing, retrying, without_secrets
from ledger.errors import InvalidValueError, MissingDependencyError, StorageError


class ClientError(Exception):
    """As the AWS client raises it."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"An error occurred ({status} {code})")
        self.response = {
            "Error": {"Code": code},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }


class HttpError(Exception):
    """As other clients raise it."""

    def __init__(self, code: int) -> None:
        super().__init__(f"said no: {code}")
        self.code = code


class ServerDisconnectedError(Exception):
    """Named as a client names a connection that was lost."""


def translated(cause: BaseException, error: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


PASSING = [
    ConnectionResetError(errno.ECONNRESET, "reset"),
    BrokenPipeError(errno.EPIPE, "broken"),
    TimeoutError("timed out"),
    OSError(errno.EHOSTUNREACH, "no route"),
    ServerDisconnectedError("gone"),
    *(HttpError(code) for code in (408, 429, 500, 502, 503, 504)),
    ClientError(503, "SlowDown"),
    ClientError(400, "BadDigest"),
    ClientError(409, "ConditionalRequestConflict"),
    translated(ClientError(503, "SlowDown"), OSError(errno.EBUSY, "busy")),
]
LASTING = [
    OSError(errno.ENOSPC, "disk full"),
    ValueError("no such thing"),
    *(HttpError(code) for code in (400, 401, 403, 404, 412, 501)),
    ClientError(403, "AccessDenied"),
    ClientError(404, "NoSuchBucket"),
    translated(ClientError(403, "SignatureDoesNotMatch"), PermissionError("forbidden")),
]


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(retry, "pause", found.append)
    return found


def raising(*errors: BaseException):
    left = list(errors)

    def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return work


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_may_pass_is_tried_again(error, waits):
    assert is_passing(error)
    assert retrying("s3://b/k", raising(error, error)) == "done"
    assert len(waits) == 2


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_what_stays_is_told_at_once(error, waits):
    assert not is_passing(error)
    with pytest.raises(StorageError, match="s3://b/k: the store refused") as info:
        retrying("s3://b/k", raising(error))
    assert info.value.__cause__ is error
    assert waits == []


@pytest.mark.parametrize("error", [InvalidValueError("x"), FileNotFoundError("x")], ids=repr)
def test_own_errors_and_absence_are_handed_on(error, waits):
    with pytest.raises(type(error)):
        retrying("s3://b/k", raising(error))
    assert waits == []


def test_waits_are_drawn_below_bounds_that_double(waits, monkeypatch):
    drawn: list[tuple[float, float]] = []
    monkeypatch.setattr(retry.random, "uniform", lambda low, high: drawn.append((low, high)) or 7)
    with pytest.raises(StorageError, match=f"tried {retry.ATTEMPTS} times"):
        retrying("s3://b/k", raising(*[TimeoutError()] * retry.ATTEMPTS))
    assert [low for low, _ in drawn] == [0] * (retry.ATTEMPTS - 1)
    highs = [high for _, high in drawn]
    assert highs[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(highs) <= retry.LAST_BOUND
    assert waits == [7] * (retry.ATTEMPTS - 1)


@pytest.mark.parametrize(
    ("error", "way_out"),
    [
        (ClientError(404, "NoSuchBucket"), "there is no such bucket"),
        (ClientError(403, "AccessDenied"), "look at the credentials"),
        (type("NoCredentialsError", (Exception,), {})("none"), "set AWS_ACCESS_KEY_ID"),
    ],
)
def test_way_out_is_named_where_one_is_known(error, way_out):
    with pytest.raises(StorageError, match=way_out):
        retrying("s3://b/k", raising(error))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sftp://me:hush@host/x", "sftp://host/x"),
        ("https://host/x?X-Amz-Signature=hush&b=c failed", "https://host/x failed"),
        ("s3://bucket/key", "s3://bucket/key"),
    ],
)
def test_messages_hold_no_secrets(text, shown):
    assert without_secrets(text) == shown
    with pytest.raises(StorageError) as info:
        retrying(text, raising(ValueError(text)))
    assert "hush" not in str(info.value)


def test_missing_package_names_the_extra(monkeypatch):
    import fsspec  # noqa: PLC0415

    from ledger.content.backends import open_store  # noqa: PLC0415

    def url_to_fs(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "url_to_fs", url_to_fs)
    for url, extra in (
        ("s3://b/x", "s3"),
        ("gs://b/x", "gcs"),
        ("abfs://b/x", "azure"),
        ("https://h/x", "http"),
    ):
        with pytest.raises(MissingDependencyError, match=rf"pip install 'metaledger\[{extra}\]'"):
            open_store(url)
