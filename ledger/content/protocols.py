"""Choosing the client for the protocol of a URL."""

from __future__ import annotations

from ledger.content.objects import Objects
from ledger.content.retry import without_secrets
from ledger.errors import InvalidValueError


def open_objects(root: str) -> Objects:
    """Return the objects below a URL; nothing is reached until the first use.

    Raises:
        InvalidValueError: No file system has this protocol, or the URL holds a password.
        MissingDependencyError: The protocol needs a package that is not installed.
    """
    if ":" in root.partition("://")[2].partition("/")[0].rpartition("@")[0]:
        raise InvalidValueError(
            f"storage {without_secrets(root)}: expected a URL without a password; credentials come "
            "from the environment or a profile"
        )
    if root.split("://", 1)[0] in {"s3", "s3a"}:
        from ledger.content.s3 import S3Objects  # noqa: PLC0415  (it imports this module)

        return S3Objects(root)
    return Objects(root)
