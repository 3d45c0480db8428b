"""Every error that this project raises on purpose, sorted by the caller's way out.

Each class carries a `code` that is never renamed, and `details`: the values in its message. Some
classes are also a built-in error (`FileExistsError`, `ValueError`, …), so that existing `except`
clauses keep working.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import ClassVar

# A password of a URL; an account that is a token; a value of a query, or a setting, that is secret.
_PASSWORD = re.compile(
    r"(://[^\s/:@?#'\"]{0,200}):(?:[^\s/?#'\"]{0,2000}|(?!\d*[/?#])[^\s@'\"]{0,400})@"
)
_TOKEN = re.compile(r"://[^\s/:@?#'\"]{20,2000}@")
_SECRET = re.compile(
    r"([?&;#](?:x-(?:amz|goog|ms)-[\w-]{1,40}|[\w-]{0,40}(?:sig|signature|token|secret|passw(?:or)?d|"
    r"pwd|credentials?|api[_-]?key|access[_-]?key(?:[_-]?id)?|key-pair-id|policy|auth))="
    r"|(?:\b|_)(?:password|passwd|secret)=)[^\s&;#'\")>]+",
    re.IGNORECASE,
)
# An option of a command whose value is secret. `--max-token 100` counts something.
_OPTION_NAME = (
    r"--?[\w-]{0,40}?(?:password|passwd|passphrase|(?<![a-z0-9])(?:pwd|secret|credentials?|"
    r"(?:api|access|secret|private)[_-]?key|token(?!(?:=|['\", ]{1,5})\d{1,9}(?![^\s'\",)\]]))))"
)
_SECRET_OPTION = re.compile(
    rf"(?<![\w-])({_OPTION_NAME}(?:=|\s{{1,9}}))(?![\s-])(?:'[^']*'|\"[^\"]*\"|[^\s'\",)\]]+)"
    rf"|(?<=['\"])({_OPTION_NAME}['\"],\s{{0,9}})(?:'(?!--)[^']*'|\"(?!--)[^\"]*\")",
    re.IGNORECASE,
)
_SECRET_ARGUMENT = re.compile(_OPTION_NAME, re.IGNORECASE)
_OTHER_OPTION = re.compile(r"--.*|-[A-Za-z]", re.DOTALL)


def washed(text: str) -> str:
    """Return a text without the secrets that URLs in it carry; what else it says stays.

    Passwords of URLs, accounts that are tokens, signatures and keys in queries, what follows
    `password=`, and the values of options such as `--password` or `--api-key`. Every text that
    the program, and no person, puts into the log comes through here, and so does every message.
    """
    if "://" in text:
        text = _TOKEN.sub("://", _PASSWORD.sub(r"\1@", text))
    if "-" in text:
        text = _SECRET_OPTION.sub(lambda found: f"{found[1] or found[2]}***", text)
    return _SECRET.sub(r"\1***", text) if "=" in text else text


def washed_arguments(arguments: Iterable[str]) -> list[str]:
    """Return the arguments of a command without secrets, as many as were given.

    `--password x` is two arguments: the second one becomes `***`, whatever it holds, unless it is
    an option itself.
    """
    clean: list[str] = []
    is_secret = False
    for argument in arguments:
        hides = is_secret and not _OTHER_OPTION.fullmatch(argument)
        # The name may be a count: `--max-token 100`.
        if hides and re.fullmatch(r"\d{1,9}", argument, re.ASCII):
            hides = not clean[-1].lower().endswith("token")
        clean.append("***" if hides else washed(argument))
        is_secret = not hides and _SECRET_ARGUMENT.fullmatch(argument) is not None
    return clean


def printable(text: str | os.PathLike[str]) -> str:
    """Return a text or a path in a form that can always be printed and stored.

    Control characters and bytes that are not UTF-8 become escapes; a line break stays.
    """
    text = os.fspath(text)
    if text.isprintable():
        return text
    # In a path, Python keeps a byte 0xNN that is not UTF-8 as the character U+DCNN.
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else repr(character)[1:-1].replace("\\udc", "\\x")
        for character in text
    )


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """Return up to three of `names` that resemble `name`, the nearest first."""
    import difflib  # noqa: PLC0415 (costly, and only needed if a name is wrong)

    return difflib.get_close_matches(name, names, n=3, cutoff=0.5)


class LedgerError(Exception):
    """Root of the tree: catching it catches every error of this project."""

    code: ClassVar[str] = "ledger-error"

    def __init__(self, message: str, /, **details: object) -> None:
        # Messages quote texts of others, and a traceback prints messages as they are.
        message = washed(printable(message))
        super().__init__(message)
        self.message = message
        self.details = details

    # KeyError and OSError would format themselves; these errors always read as the plain message.
    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, tuple[type[LedgerError], str, dict[str, object]]]:
        return _rebuild, (type(self), self.message, self.details)


def _rebuild(kind: type[LedgerError], message: str, details: dict[str, object]) -> LedgerError:
    return kind(message, **details)


# --- fix the request: nothing was recorded ------------------------------------------------------


class CommandRejectedError(LedgerError):
    """The request cannot be carried out as it stands; nothing was recorded."""

    code = "command-rejected"


class InvalidValueError(CommandRejectedError, ValueError):
    """A value is of the wrong kind, too long, empty, or otherwise not allowed."""

    code = "invalid-value"


class UnknownFieldError(CommandRejectedError, AttributeError, TypeError):
    """A registry has no field of this name."""

    code = "unknown-field"


class UnknownSettingError(CommandRejectedError, AttributeError):
    """There is no setting of this name."""

    code = "unknown-setting"


class InvalidTableError(CommandRejectedError, ValueError):
    """A table holds values that its registry does not take; `check()` tells each of them."""

    code = "invalid-table"


class ContentExistsError(CommandRejectedError, FileExistsError):
    """The same content is registered already, and the mode in force is "error"."""

    code = "content-exists"


class NameTakenError(CommandRejectedError, ValueError):
    """Another live record of the registry bears this name."""

    code = "name-taken"


class NotSavedError(CommandRejectedError):
    """The operation needs a saved record."""

    code = "not-saved"


class MultipleResultsError(CommandRejectedError, ValueError):
    """One record was asked for and several match."""

    code = "multiple-results"


class FileChangedError(CommandRejectedError, OSError):
    """A file changed between the moment it was hashed and the moment it was copied."""

    code = "file-changed"


class PathTakenError(CommandRejectedError, FileExistsError):
    """Something is at this path already and must not be replaced."""

    code = "path-taken"


class UnsupportedFileError(CommandRejectedError, OSError):
    """A path is neither a regular file nor a folder of regular files."""

    code = "unsupported-file"


class ReadOnlyViewError(CommandRejectedError):
    """The past cannot be changed."""

    code = "read-only-view"


class NotTrackingError(CommandRejectedError, RuntimeError):
    """The operation needs a tracked run, and `track()` was not called."""

    code = "not-tracking"


class VersionPinnedError(CommandRejectedError, ValueError):
    """A transform version was pinned by the user and its source has changed since."""

    code = "version-pinned"


class LedgerExistsError(CommandRejectedError, FileExistsError):
    """There is a ledger at this place already."""

    code = "ledger-exists"


class StorageNotEmptyError(CommandRejectedError, OSError):
    """A ledger cannot be deleted while its storage still holds content."""

    code = "storage-not-empty"


class MissingDependencyError(CommandRejectedError, ImportError):
    """The operation needs an optional dependency that is not installed."""

    code = "missing-dependency"


class InvalidProofError(CommandRejectedError, ValueError):
    """A proof, a checkpoint or a signature does not prove its claim."""

    code = "invalid-proof"


class KeyUnavailableError(CommandRejectedError):
    """A signing key is missing, is not the ledger's, or can be read by others."""

    code = "key-unavailable"


class ConfigurationError(CommandRejectedError, ValueError):
    """A configuration file or variable cannot be read."""

    code = "configuration"


# --- reload and retry: nothing was recorded -----------------------------------------------------


class WrongExpectedVersionError(LedgerError):
    """Another writer came first; nothing was recorded."""

    code = "wrong-expected-version"


# --- look elsewhere -----------------------------------------------------------------------------


class NotFoundError(LedgerError, KeyError):
    """Nothing has this uid, name, key or tag."""

    code = "not-found"


class UnreadableContentError(LedgerError, ValueError):
    """The content of an artifact is not what its suffix says; its bytes are as they were given."""

    code = "unreadable-content"


class ContentUnknownError(NotFoundError):
    """The content of a declared artifact was never seen here: another tool says that it is."""

    code = "content-unknown"


class RecordErasedError(NotFoundError):
    """The record was erased: its contents are gone, and will not be recorded again."""

    code = "record-erased"


class MissingFileError(NotFoundError, FileNotFoundError):
    """A given path does not exist."""

    code = "missing-file"


class LedgerNotFoundError(NotFoundError):
    """No ledger is configured here."""

    code = "ledger-not-found"


# --- upgrade the program ------------------------------------------------------------------------


class UnknownEventError(LedgerError):
    """The log holds an event, or is in a format, that this program does not know."""

    code = "unknown-event"


# --- retry later, or mend the disk --------------------------------------------------------------


class StorageError(LedgerError, OSError):
    """The disk, the database or the object store refused; acknowledged writes are safe."""

    code = "storage"


class DamagedDatabaseError(StorageError):
    """The file of a ledger is no database, or a damaged one; restore it from a backup."""

    code = "damaged-database"


class ReadOnlyLedgerError(StorageError):
    """This process may read the ledger and not write to it; nothing was recorded."""

    code = "read-only-ledger"


class UnreadableFileError(StorageError, PermissionError):
    """A file exists and cannot be read."""

    code = "unreadable-file"


# --- stop, run verify ---------------------------------------------------------------------------


class CorruptLogError(LedgerError):
    """The recorded facts contradict each other; stop writing and audit."""

    code = "corrupt-log"


class DamagedContentError(CorruptLogError, OSError):
    """Stored content is missing or differs from its event."""

    code = "damaged-content"
