"""Retrying requests to a store: passing trouble is retried, lasting trouble is reported at once.

1. Retried are lost connections, timeouts, damage on the way, and the answers of a busy store (408,
   409, 429, 500, 502, 503, 504). Refusals (401, 403) and absence (404) are never retried.
2. The wait before each attempt is random, up to a bound that doubles, so that the many clients of
   a busy store come back at different times.
3. Only repeatable work is given to this module: reads, and writes under a condition.
4. The last failure becomes a `StorageError` with its cause, and with the way out if one is known.
   Messages name places without passwords and query strings.
"""

from __future__ import annotations

import errno
import random
import re
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from ledger.errors import LedgerError, StorageError, washed

ATTEMPTS = 8
FIRST_BOUND, LAST_BOUND = 0.1, 10.0  # seconds

# Tests replace it, to look at the waits without waiting.
pause: Callable[[float], None] = time.sleep

T = TypeVar("T")

_PASSING_STATUS = frozenset({408, 409, 429, 500, 502, 503, 504})
_PASSING_ERRNO = frozenset(
    {
        *(errno.ECONNRESET, errno.ECONNABORTED, errno.ECONNREFUSED, errno.EPIPE),
        *(errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETRESET),
    }
)
# Codes of stores and clients for bytes that were changed on their way.
_DAMAGED_ON_THE_WAY = frozenset(
    {"BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidDigest"}
)
_PASSING_CODES = _DAMAGED_ON_THE_WAY | {
    *("SlowDown", "RequestTimeout", "ConditionalRequestConflict", "OperationAborted"),
    *("IncompleteBody", "InternalError", "ServiceUnavailable", "ThrottlingException"),
}
# By name, as each client library has its own errors, and none is imported for this.
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
_MORE = re.compile(r"(://)[^/@\s]*@|\?[^\s)'\"]*=[^\s)'\"]*")


def retrying(what: str, work: Callable[[], T]) -> T:
    """Return the result of `work`, retried while its trouble may pass.

    Args:
        what: Name of the place, for messages.
        work: May be done more than once.

    Raises:
        FileNotFoundError: Nothing is there, says the store; the caller decides about it.
        StorageError: The store refused, or could not be reached in any attempt.
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
    """Tell whether the same request may succeed a moment later; the first telling cause decides."""
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
    """Return the error code of an S3 store; None if there is none."""
    return next(filter(None, map(_code, _chain(error))), None)


def http_status(error: BaseException) -> int | None:
    """Return the HTTP status that an error carries; None if there is none."""
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
    """Return the error for a store's answer, with the way out if one is known."""
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
    """Return a text whose URLs are without accounts, passwords and query strings."""
    return _MORE.sub(lambda match: match[1] or "", washed(text))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__
