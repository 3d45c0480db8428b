"""Asking a store again: what passes by itself is tried once more, what does not is told at once.

1. Tried again are lost connections, timeouts, damage on the way, and what a store says when it is
   busy (408, 409, 429, 500, 502, 503, 504). Never a refusal (401, 403) or an absence (404).
2. The wait before each attempt is drawn at random between nothing and a bound that doubles, so
   that many clients of one busy store do not come back all at once.
3. Only work that may be done twice is given to this module: reads, and writes under a condition.
4. What is left in the end is a `StorageError` with the cause, and with the way out where one is
   known. No secret is in it: messages name places without passwords and query strings.
"""

from __future__ import annotations

import errno
import random
import re
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from ledger.errors import LedgerError, StorageError

ATTEMPTS = 8
FIRST_BOUND, LAST_BOUND = 0.1, 10.0  # seconds

# Tests replace it: they look at the waits instead of sitting through them.
pause: Callable[[float], None] = time.sleep

T = TypeVar("T")

_PASSING_STATUS = frozenset({408, 409, 429, 500, 502, 503, 504})
_PASSING_ERRNO = frozenset(
    {
        *(errno.ECONNRESET, errno.ECONNABORTED, errno.ECONNREFUSED, errno.EPIPE),
        *(errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETRESET),
    }
)
# What the store or the client says of bytes that were changed on their way.
_DAMAGED_ON_THE_WAY = frozenset(
    {"BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidDigest"}
)
_PASSING_CODES = _DAMAGED_ON_THE_WAY | {
    *("SlowDown", "RequestTimeout", "ConditionalRequestConflict", "OperationAborted"),
    *("IncompleteBody", "InternalError", "ServiceUnavailable", "ThrottlingException"),
}
# By name, as each client library has errors of its own, and none is imported for this.
_PASSING_CLASSES = frozenset(
    {
        *("ConnectionError", "TimeoutError", "HTTPClientError", "IncompleteRead"),
        *("IncompleteReadError", "ClientPayloadError", "ClientConnectionError"),
        *("FSTimeoutError", "ResponseParserError", "ResponseStreamingError", "ProtocolError"),
        *("ServiceRequestError", "ServiceResponseError", "ServerDisconnectedError"),
        *("AwsChunkedWrapperError", "FlexibleChecksumError", "ChecksumError"),
    }
)
_NO_CREDENTIALS = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "CredentialRetrievalError"}
)
_REFUSED_STATUS = frozenset({401, 403})
_SECRET = re.compile(r"(://)[^/@\s]*@|\?[^\s)'\"]*=[^\s)'\"]*")


def retrying(what: str, work: Callable[[], T]) -> T:
    """Return what `work` returns, tried again while what it meets may pass.

    Args:
        what: The place that is worked on, for messages.
        work: May be done more than once.

    Raises:
        FileNotFoundError: The store says that nothing is there; it is the caller's to judge.
        StorageError: The store refused, or could not be reached however often it was tried.
    """
    for attempt in range(ATTEMPTS):
        try:
            return work()
        except (LedgerError, FileNotFoundError):
            raise
        except Exception as error:
            if attempt + 1 == ATTEMPTS or not is_passing(error):
                raise refusal(what, error, attempts=attempt + 1) from error
        pause(random.uniform(0, min(LAST_BOUND, FIRST_BOUND * 2**attempt)))  # noqa: S311 (no secret)
    raise AssertionError  # the last attempt returns or raises


def is_passing(error: BaseException) -> bool:
    """Tell whether the same request may succeed a moment later; the outermost that says so does."""
    for each in _chain(error):
        if _code(each) in _PASSING_CODES:
            return True
        status = _status(each)
        if status is not None:
            return status in _PASSING_STATUS
        if isinstance(each, OSError) and each.errno in _PASSING_ERRNO:
            return True
        if _PASSING_CLASSES & {kind.__name__ for kind in type(each).__mro__}:
            return True
    return False


def status_code(error: BaseException) -> str | None:
    """Return the word by which an S3 store says what is wrong, None where it says none."""
    return next(filter(None, map(_code, _chain(error))), None)


def http_status(error: BaseException) -> int | None:
    """Return the HTTP status that an error carries, None where it carries none."""
    return next(filter(None, map(_status, _chain(error))), None)


def _code(error: BaseException) -> str | None:
    response = getattr(error, "response", None)
    if isinstance(response, dict) and isinstance(response.get("Error"), dict):
        return str(response["Error"].get("Code", ""))
    return None


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if isinstance(found, int):
            return found
    for name in ("status", "status_code", "code"):
        found = getattr(error, name, None)
        if isinstance(found, int):
            return found
    return None


def refusal(what: str, error: BaseException, *, attempts: int = 1) -> StorageError:
    """Return the error for what a store said, with the way out where one is known."""
    shown = without_secrets(what) or "stored file"
    status, code = http_status(error), status_code(error)
    said = ", ".join(
        part
        for part in (
            None if status is None else f"HTTP {status}",
            code if code and not code.isdecimal() else None,
            without_secrets(f"{type(error).__name__}: {error}"),
        )
        if part
    )
    names = {kind.__name__ for each in _chain(error) for kind in type(each).__mro__}
    if code == "NoSuchBucket":
        way_out = "; there is no such bucket: make it, or mend the name"
    elif names & _NO_CREDENTIALS:
        way_out = (
            "; no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "AWS_PROFILE"
        )
    elif status in _REFUSED_STATUS or isinstance(error, PermissionError):
        way_out = "; look at the credentials in use and at what they may do with this bucket"
    elif attempts > 1:
        way_out = f"; tried {attempts} times"
    else:
        way_out = ""
    return StorageError(f"{shown}: the store refused ({said}){way_out}", path=shown, status=status)


def without_secrets(text: str) -> str:
    """Return a text in which URLs hold neither passwords nor query strings."""
    return _SECRET.sub(lambda match: match[1] or "", text)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__
