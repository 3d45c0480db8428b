"""Objects in S3 and compatible stores: the store itself refuses bytes that differ from ours.

1. An upload names the SHA-256 of its bytes (`x-amz-checksum-sha256`), for the whole object or for
   each part: the store refuses bytes that were changed on their way, and they are sent again.
2. It is conditional (`If-None-Match: *`): of two equal uploads, one makes the object and the other
   finds it; nothing is ever overwritten. An object appears whole or not at all.
3. A file larger than one part is uploaded in parts, several at once. The store then vouches for the
   parts only (a checksum of checksums); the digest of the whole is compared here before the upload
   is completed, and kept beside the object as metadata (`metaledger-digest`).
4. If a store does not echo the checksum, the object is read back and compared.
5. An interrupted upload leaves no object; `unfinished` finds its parts.

Credentials and endpoint are found as by every AWS client: environment (`AWS_ACCESS_KEY_ID`,
`AWS_PROFILE`, `AWS_ENDPOINT_URL`, …), files, roles. None is kept here.
"""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from ledger import files
from ledger.content.objects import Object, Objects, Upload, require_digest
from ledger.content.retry import http_status, refusal, retrying, status_code
from ledger.errors import StorageError
from ledger.input_files import reading

MIB = 1024**2
PART = 16 * MIB
MAX_PARTS = 10_000
PARTS_AT_ONCE = 4
CONNECT_SECONDS, READ_SECONDS = 10, 60
DIGEST = "metaledger-digest"

_PRECONDITION_FAILED, _NOT_IMPLEMENTED = 412, 501
_DELETED_AT_ONCE = 1000
_STARTS = 3


class S3Objects(Objects):
    """Objects below `s3://bucket/prefix`."""

    _may_condition = True

    def _options(self) -> dict[str, Any]:
        # Only `retry.py` counts attempts.
        return {
            "use_listings_cache": False,
            "config_kwargs": {
                "retries": {"total_max_attempts": 1, "mode": "standard"},
                "connect_timeout": CONNECT_SECONDS,
                "read_timeout": READ_SECONDS,
                "max_pool_connections": 32,
            },
        }

    @property
    def _fs(self) -> Any:
        system = super()._fs
        system.retries = 1
        return system

    def head(self, key: str) -> Object | None:
        """See `Objects.head`."""

        def look() -> Object:
            said = self._call("head_object", key, ChecksumMode="ENABLED")
            return Object(
                key,
                int(said["ContentLength"]),
                (int(said["ContentLength"]), str(said["ETag"])),
                said["LastModified"].timestamp(),
                *_vouched(said),
            )

        return self._ask(key, look)

    def find(self, prefix: str) -> Iterator[Object]:
        """See `Objects.find`."""
        bucket, below = _split(prefix)
        options: dict[str, Any] = {}
        while True:

            def look(options: dict[str, Any] = options) -> dict[str, Any]:
                return self._method(
                    "list_objects_v2", Bucket=bucket, Prefix=f"{below}/".lstrip("/"), **options
                )

            try:
                said = retrying(self.url(prefix), look)
            except FileNotFoundError as error:
                raise _no_bucket(bucket, error) from error
            for each in said.get("Contents", ()):
                if each["Key"].endswith("/"):
                    continue  # Consoles make such an object to show an empty folder.
                size = int(each["Size"])
                stamp = (size, str(each["ETag"]))
                modified = each["LastModified"].timestamp()
                yield Object(f"{bucket}/{each['Key']}", size, stamp, modified)
            if not said.get("IsTruncated"):
                return
            options = {"ContinuationToken": said["NextContinuationToken"]}

    def upload(
        self, upload: Upload, key: str, progress: Callable[[int], None] | None = None
    ) -> None:
        """See `Objects.upload`."""
        # A small file is sent without a look first: the condition finds an existing object.
        found = None if upload.size <= PART and self._may_condition else self.head(key)
        if found is not None:
            self.require_same(found, upload.digest)
            return
        if upload.size <= PART:
            self._upload_whole(upload, key)
            if progress is not None:
                progress(upload.size)
            return
        report = _at_most(upload.size, progress)
        for starts_left in reversed(range(_STARTS)):
            try:
                self._upload_parts(upload, key, report)
            except StorageError as error:
                # A clean-up, or a store after a damaged request, may remove the parts. The upload
                # starts again, as nothing of it was visible yet.
                if status_code(error) != "NoSuchUpload" or not starts_left:
                    raise
            else:
                return

    def remove(self, keys: Iterable[str]) -> None:
        """See `Objects.remove`."""
        waiting = list(keys)
        while waiting:
            some, waiting = waiting[:_DELETED_AT_ONCE], waiting[_DELETED_AT_ONCE:]
            bucket = _split(some[0])[0]
            listed = {"Objects": [{"Key": _split(key)[1]} for key in some], "Quiet": True}
            said = self._ask(
                some[0],
                lambda bucket=bucket, listed=listed: self._method(  # type: ignore[misc]
                    "delete_objects", Bucket=bucket, Delete=listed
                ),
            )
            for error in (said or {}).get("Errors", ()):
                raise StorageError(
                    f"s3://{bucket}/{error.get('Key')}: cannot be removed ({error.get('Code')}: "
                    f"{error.get('Message')})"
                )

    def remove_folder(self, key: str) -> None:
        """See `Objects.remove_folder`; here folders are not things."""

    def unfinished(self, prefix: str) -> Iterator[Object]:
        """See `Objects.unfinished`; the stamp of each holds the store's name for the upload."""
        bucket, below = _split(prefix)
        said = self._ask(
            prefix,
            lambda: self._method(
                "list_multipart_uploads", Bucket=bucket, Prefix=f"{below}/".lstrip("/")
            ),
        )
        for each in (said or {}).get("Uploads", ()):
            key, name = f"{bucket}/{each['Key']}", str(each["UploadId"])
            times = [each["Initiated"].timestamp()]
            # An upload may take long: its last part decides its age.
            with suppress(Exception):
                parts = self._call("list_parts", key, UploadId=name).get("Parts", ())
                times += [part["LastModified"].timestamp() for part in parts]
            yield Object(key, 0, ("upload", name), max(times))

    def abandon(self, found: Object) -> None:
        """See `Objects.abandon`."""
        self._abort(found.key, str(found.stamp[1]))

    # --- uploads --------------------------------------------------------------------------------

    def _upload_whole(self, upload: Upload, key: str) -> None:
        with upload.open() as reader, reading(upload.shown):
            # One byte more, to notice a file that has grown.
            data = _read_fully(reader, upload.size + 1)
        checksum = hashlib.sha256(data).digest()
        require_digest(upload, f"sha256:{checksum.hex()}")
        encoded = base64.b64encode(checksum).decode()
        self._conditionally("put_object", key, upload, encoded, Body=data, ChecksumSHA256=encoded)

    def _upload_parts(
        self, upload: Upload, key: str, progress: Callable[[int], None] | None
    ) -> None:
        started = self._strictly(
            key,
            "create_multipart_upload",
            ChecksumAlgorithm="SHA256",
            ChecksumType="COMPOSITE",
            Metadata={DIGEST: upload.digest},
        )
        name = started["UploadId"]
        try:
            parts = self._send_parts(upload, key, name, progress)
            whole = b"".join(base64.b64decode(part["ChecksumSHA256"]) for part in parts)
            composite = base64.b64encode(hashlib.sha256(whole).digest()).decode()
            self._conditionally(
                "complete_multipart_upload",
                key,
                upload,
                f"{composite}-{len(parts)}",
                UploadId=name,
                MultipartUpload={"Parts": parts},
            )
        except BaseException:
            with suppress(Exception):
                self._abort(key, name)
            raise

    def _send_parts(
        self, upload: Upload, key: str, name: str, progress: Callable[[int], None] | None
    ) -> list[dict[str, Any]]:
        """Send all parts, several at once, compare the whole, and return the parts' names."""
        sha256 = hashlib.sha256()
        size = part_size(upload.size)
        sent: list[dict[str, Any]] = []
        waiting: deque[tuple[int, Future[dict[str, Any]]]] = deque()

        def send(number: int, data: bytes) -> dict[str, Any]:
            encoded = base64.b64encode(hashlib.sha256(data).digest()).decode()
            said = self._strictly(
                key,
                "upload_part",
                UploadId=name,
                PartNumber=number,
                Body=data,
                ChecksumSHA256=encoded,
            )
            return {"PartNumber": number, "ETag": said["ETag"], "ChecksumSHA256": encoded}

        def take() -> None:
            length, part = waiting.popleft()
            sent.append(part.result())
            if progress is not None:
                progress(length)

        with upload.open() as reader, ThreadPoolExecutor(max_workers=PARTS_AT_ONCE) as pool:
            try:
                # The bound ends the reading of a file that keeps growing.
                for number in range(1, -(-upload.size // size) + 2):
                    with reading(upload.shown):
                        data = _read_fully(reader, size)
                    if not data:
                        break
                    sha256.update(data)
                    waiting.append((len(data), pool.submit(send, number, data)))
                    if len(waiting) > PARTS_AT_ONCE:
                        take()
                while waiting:
                    take()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        require_digest(upload, f"sha256:{sha256.hexdigest()}")
        return sent

    def _conditionally(
        self, method: str, key: str, upload: Upload, checksum: str, **options: Any
    ) -> None:
        """Make the request that makes an object appear; compare an existing object instead."""
        condition = {"IfNoneMatch": "*"} if self._may_condition else {}
        try:
            said = self._strictly(key, method, **options, **condition)
        except StorageError as error:
            if condition and http_status(error) == _NOT_IMPLEMENTED:
                self._may_condition = False
                self._conditionally(method, key, upload, checksum, **options)
                return
            # Another client made the object, or an earlier attempt of this one did unnoticed.
            is_there = http_status(error) == _PRECONDITION_FAILED
            if not is_there and status_code(error) != "NoSuchUpload":
                raise
            found = self.head(key)
            if found is None:
                raise
            self.require_same(found, upload.digest)
            if method == "complete_multipart_upload":
                with suppress(Exception):
                    self._abort(key, options["UploadId"])
            return
        if said.get("ChecksumSHA256") != checksum:
            self.require_arrived(key, upload)

    def _abort(self, key: str, name: str) -> None:
        self._ask(key, lambda: self._call("abort_multipart_upload", key, UploadId=name))

    # --- requests -------------------------------------------------------------------------------

    def _get(self, found: Object, start: int, end: int) -> bytes:
        from fsspec.asyn import sync  # noqa: PLC0415  (slow to load)

        bucket, below = _split(found.key)
        fs = self._fs

        async def get() -> bytes:
            said = await fs._call_s3(  # noqa: SLF001  (the async side has no other door)
                "get_object",
                Bucket=bucket,
                Key=below,
                Range=f"bytes={start}-{end - 1}",
                # All ranges must come from the same object.
                IfMatch=str(found.stamp[1]),
            )
            async with said["Body"] as body:
                data: bytes = await body.read()
                return data

        data: bytes = sync(fs.loop, get)
        return data

    def _strictly(self, key: str, method: str, **options: Any) -> dict[str, Any]:
        """Return the store's answer to a step of an upload; an absence is a refusal here."""

        def work() -> dict[str, Any]:
            files.step("write" if "Body" in options else "publish", key)
            return self._call(method, key, **options)

        try:
            return retrying(self.url(key), work)
        except FileNotFoundError as error:
            if status_code(error) == "NoSuchBucket":
                raise _no_bucket(_split(key)[0], error) from error
            raise refusal(self.url(key), error) from error

    def _call(self, method: str, key: str, **options: Any) -> dict[str, Any]:
        bucket, below = _split(key)
        return self._method(method, Bucket=bucket, Key=below, **options)

    def _method(self, method: str, **options: Any) -> dict[str, Any]:
        said: dict[str, Any] = self._fs.call_s3(method, **options)
        return said


def part_size(size: int) -> int:
    """Return the bytes of one part of an upload of `size` bytes: 16 MiB, more above 156 GiB."""
    return max(PART, -(-size // MAX_PARTS // MIB) * MIB)


def _at_most(size: int, progress: Callable[[int], None] | None) -> Callable[[int], None] | None:
    """Return a report whose sum never exceeds `size`, even if parts are sent twice."""
    if progress is None:
        return None
    left = size

    def report(count: int) -> None:
        nonlocal left
        progress(min(count, left))
        left -= min(count, left)

    return report


def _vouched(said: dict[str, Any]) -> tuple[str | None, bool]:
    """Return the digest of an object, and whether the store itself has compared it."""
    checksum = said.get("ChecksumSHA256")
    if not checksum:
        return None, False
    if "-" in checksum or said.get("ChecksumType") == "COMPOSITE":
        kept = said.get("Metadata", {}).get(DIGEST)
        return (None if kept is None else str(kept)), False
    return f"sha256:{base64.b64decode(checksum).hex()}", True


def _no_bucket(bucket: str, error: BaseException) -> StorageError:
    return StorageError(
        f"s3://{bucket}: there is no such bucket ({error}); make it, or mend the name",
        path=f"s3://{bucket}",
    )


def _split(key: str) -> tuple[str, str]:
    bucket, _, below = key.partition("/")
    return bucket, below


def _read_fully(reader: Any, size: int) -> bytes:
    """Return `size` bytes, fewer only at the end."""
    blocks: list[bytes] = []
    while size > 0 and (block := reader.read(size)):
        blocks.append(block)
        size -= len(block)
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)
