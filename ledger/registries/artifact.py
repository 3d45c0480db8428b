"""Artifacts: immutable bytes, a file or a folder, with their recorded metadata."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Self

import msgspec

from ledger.content.download import ContentCache
from ledger.content.hashing import hash_many
from ledger.content.located import LocatedContent, stored_name
from ledger.decisions.artifacts import find_content
from ledger.display.messages import tell
from ledger.display.progress import progress
from ledger.engine.handler import Prepare
from ledger.errors import (
    DamagedContentError,
    InvalidValueError,
    LedgerError,
    NotSavedError,
    RecordErasedError,
)
from ledger.files import READ_ONLY
from ledger.model.commands import Command, MoveRecord, ReadArtifact, SaveArtifact
from ledger.model.schema import erased_text
from ledger.past.retraction import warn_of_retraction
from ledger.places import instance
from ledger.places.kinds import record_class
from ledger.registries.artifact_rows import described, unknown_content, with_same_content
from ledger.registries.base import Record
from ledger.registries.checked_table import table_of
from ledger.registries.checks import check_flag, check_version
from ledger.registries.loaders import is_loadable
from ledger.registries.local_content import (
    LocalContent,
    check_key,
    files_below,
    local_folder,
    notices_of_endings,
    storage_named,
    suffix_of_key,
)
from ledger.registries.query import QuerySet
from ledger.registries.registry import registry_method
from ledger.registries.registry_schema import schema_of_table
from ledger.registries.requested import mode_of, requested
from ledger.registries.results import RecordList
from ledger.user_settings import settings
from projections.select import Select


class Artifact(Record):
    """A file or folder: `Artifact("sample.fcs", key="raw/sample.fcs", description=None).save()`.

    The content identifies it: the same content is the same artifact, whatever the path. A key is a
    name that points at one artifact at a time.

    Args:
        path: Path or URL of a file or folder.
        key: Its name, a relative path. Other content under an existing key is a new version.
        description: A text for people.
        version: Version within its family, as text.
        revises: The artifact that this one is a new version of.
        if_hash_exists: How to treat content that is registered already: `"warn_return_existing"`,
            `"error"`, `"warn_create_new"`; by default `settings.creation.artifact_if_hash_exists`.
        rehash: Whether to read every byte although the file looks unchanged since last time.
        storage: Folder or URL to keep new content in; by default `settings.storage`, else the
            ledger's own. Content that lies in it already is registered in place.

    Raises:
        MissingFileError: There is nothing at the path.
        ContentExistsError: The content is registered and the mode is "error".
        UnsupportedFileError: The path is a socket, a device or a dangling link, or holds one.
    """

    registry = "artifact"
    # The name under which this object was asked for: a key, or the name of a file.
    _asked_key: str | None = None

    def __init__(  # noqa: PLR0913 (the public signature)
        self,
        path: str | os.PathLike[str],
        key: str | os.PathLike[str] | None = None,
        description: str | None = None,
        version: str | None = None,
        revises: Artifact | None = None,
        *,
        if_hash_exists: str | None = None,
        rehash: bool = False,
        storage: str | os.PathLike[str] | None = None,
        features: Mapping[str, Any] | None = None,
        **unknown: object,
    ) -> None:
        for name in unknown:
            raise self.spec.unknown(name)
        check_flag("Artifact.rehash", rehash)
        self._begin()
        self._bear(features)
        content = LocalContent.at(self._source.ledger, path, rehash=rehash, storage=storage)
        self._take(content, key, description, version, revises, if_hash_exists)

    def _take(  # noqa: PLR0913, PLR0917 (as the constructor)
        self,
        content: LocalContent,
        key: str | os.PathLike[str] | None,
        description: str | None,
        version: str | None,
        revises: Artifact | None,
        if_hash_exists: str | None,
    ) -> None:
        """Become the record of this content: the existing one, or a new unsaved one."""
        mode = mode_of(if_hash_exists)
        if revises is not None and not isinstance(revises, Artifact):
            raise InvalidValueError(f"Artifact.revises: expected an Artifact, got {revises!r}")
        fields: dict[str, Any] = {}
        if description is not None:
            fields["description"] = self._checked("description", description)
        self._content: LocalContent | None = content
        self._asked_key = check_key(key) or Path(content.path).name
        self._request = SaveArtifact(
            content=content.described(),
            key=check_key(key),
            version=check_version("Artifact", version),
            revises=None if revises is None else revises.uid,
            mode=mode,
            fields=fields,
        )
        existing = requested(
            self,
            self._request,
            find_content,
            existing=with_same_content,
            another=lambda row: f"content is registered already as artifact {row['uid']}",
        )
        if existing is None:
            self._row = described(self._request)
        else:
            self._row = self._as_made_here(existing)
            self._request = msgspec.structs.replace(
                self._request, target=existing["uid"], gone=content.gone_from(existing)
            )
        self._assigned = dict(fields)
        tell(notices_of_endings(self._request.key, self._request.content.suffix))

    def _as_made_here(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the row of the existing artifact as `save()` would leave it: made by this run."""
        handler = self._source.ledger.handler
        tracked = handler.tracked
        if tracked is None or row["run"] == tracked.passage.run:
            return row
        if handler.recall(self._request.kind, self._request.subject) is not None:
            return row
        link = {"field": "artifact.runs", "source": row["uid"], "target": tracked.passage.run}
        is_made = self._source.ask(lambda models: models.find("link", **link))
        return row if is_made else {**row, "run": tracked.passage.run}

    @registry_method
    def from_dir(
        cls,
        path: str | os.PathLike[str],
        key: str | None = None,
        *,
        if_hash_exists: str | None = None,
        rehash: bool = False,
        storage: str | os.PathLike[str] | None = None,
    ) -> list[Self]:
        """Return an unsaved artifact for every file below a folder; `ln.save()` saves them.

        Each key is `key` (by default the folder's name) and the file's path below the folder. The
        options are those of one artifact. Files are hashed in threads; a progress bar is shown if
        that takes long. No file is left out, but those of ledgers and storages (`.metaledger/`).

        Raises:
            UnsupportedFileError: Something below it is no file: a link to a folder or to nothing.
            UnreadableFileError: A file or folder below it cannot be read.
            InvalidValueError: It is no folder, or two of its files would have one key.
        """
        ledger = instance.current()
        chosen = storage_named(ledger, settings.storage if storage is None else storage)
        root, fetched = local_folder(path)
        prefix = root.name if key is None else _beginning(key)
        files, total = files_below(root, prefix)
        with progress("hashing", total, unit="bytes") as step:
            hashed = hash_many(
                files.values(), cache=ledger.hash_cache, rehash=rehash, progress=step
            )
        artifacts = []
        for (name, file), result in zip(files.items(), hashed, strict=True):
            artifact = cls.__new__(cls)
            artifact._begin()
            artifact._take(
                LocalContent(ledger, file, result, chosen, fetched),
                name,
                None,
                None,
                None,
                if_hash_exists,
            )
            artifacts.append(artifact)
        return artifacts

    @registry_method
    def from_df(  # noqa: PLR0913 (as the constructor)
        cls,
        df: object,
        key: str | os.PathLike[str] | None = None,
        description: str | None = None,
        version: str | None = None,
        revises: Artifact | None = None,
        *,
        if_hash_exists: str | None = None,
        storage: str | os.PathLike[str] | None = None,
        schema: Any = None,
    ) -> Self:
        """Return an unsaved artifact of a table, as Parquet; equal tables are one artifact.

        Raises:
            InvalidValueError: It is no table, or Parquet cannot hold it.
            ContentExistsError: The content is registered and the mode is "error".
        """
        artifact = cls.__new__(cls)
        artifact._begin()
        ending = suffix_of_key(check_key(key))
        if ending.lower() != ".parquet" and is_loadable(ending):
            raise InvalidValueError(
                f"from_df: the table becomes a file of Parquet: expected a key such as "
                f"'frames/table.parquet', got {key!r}"
            )
        content = LocalContent.of_frame(artifact._source.ledger, df, storage=storage)
        artifact._take(content, key, description, version, revises, if_hash_exists)
        artifact._borne = None if schema is None else table_of(schema, df)
        return artifact

    schema = property(schema_of_table)

    # --- saving ---------------------------------------------------------------------------------

    def _creation(self) -> Command:
        fields = {**self._request.fields, **self._assigned}
        self._request = msgspec.structs.replace(self._request, fields=fields)
        return self._request

    def _prepare(self) -> Prepare | None:
        return None if self._content is None else self._content.prepare

    def prepare_content(self) -> None:
        """Store the content of an artifact that is about to be saved; safe in several threads."""
        if not self._is_fresh or self._content is None:
            return
        decision = self._source.ledger.handler.first_look(self._creation())
        if decision is not None:
            self._content.prepare(decision)

    def replace(self, path: str | os.PathLike[str]) -> Self:
        """Take other content: `save()` then makes this record a new version, under the same key.

        The content of earlier versions stays as it is.
        """
        self._refuse_view("replace()")
        if self._is_fresh:
            raise NotSavedError("replace(): this artifact is not saved; construct another one")
        earlier = self._from_row(self._row, self._source)
        content = LocalContent.at(self._source.ledger, path)
        if content.hashed.digest == self._row["digest"]:
            return self
        self._begin()
        self._take(content, earlier.key, earlier.description, None, earlier, "warn_return_existing")
        return self

    def delete(self, *, permanent: bool = False, storage: bool = False) -> None:
        """Move the artifact to the trash; with `permanent`, withdraw it for good.

        Args:
            permanent: Withdraw it: its key becomes free; its events and the past stay.
            storage: With `permanent`: also remove its stored content, unless another artifact
                names it or it was registered in place. As-of queries still find the record.
        """
        self._refuse_view("delete()")
        if check_flag("delete(storage=)", storage) and not permanent:
            raise InvalidValueError("delete(storage=True): only together with permanent=True")
        if not storage or self.is_declared:
            super().delete(permanent=permanent)
            return
        row = self._row
        shared = self.filter(storage=row["storage"], storage_key=row["storage_key"]).with_trash()
        removed = shared.count() == 1 and stored_name(row) is not None
        self._perform(
            MoveRecord(registry="artifact", uid=self.uid, move="withdraw", content_removed=removed)
        )
        if removed:
            self._source.ledger.content(row).remove()

    # --- content --------------------------------------------------------------------------------

    @property
    def is_declared(self) -> bool:
        """Whether its content was never seen here: another tool says what it is, and where."""
        return bool(self._row.get("is_declared"))

    @property
    def path(self) -> Path | str:
        """Path of its content on this computer, or its URL.

        Raises:
            RecordErasedError: The artifact was erased.
            ContentUnknownError: It is declared: its content was never seen here.
        """
        if not self.is_saved:
            if self._content is None:
                raise NotSavedError("this artifact has no content yet")
            return self._content.path
        return self._located().path

    def cache(self, *, verify: bool = True) -> Path:
        """Return a path of its content on this computer, and record the artifact as read.

        The bytes are compared with their digest once a process, and again after size or times of
        the file changed. Content from elsewhere is fetched into the ledger's cache, whose size
        `settings.cache_limit` bounds.

        Raises:
            DamagedContentError: The content is missing or has changed.
            ContentUnknownError: It is declared: its content was never seen here.
        """
        place = self.path
        if not self.is_saved:
            if isinstance(place, str):
                raise NotSavedError(f"cache(): save the artifact at {place} first")
            return place
        if isinstance(place, str):
            place = self._fetched()
        elif verify:
            self._verify(place)
        if self._asked_suffix != self.suffix and not place.is_dir():
            # Other programs go by the ending of a path.
            place = self._fetched()
        warn_of_retraction(self)
        self._note_read()
        return place

    def open(self, mode: str = "rb", *, verify: bool = True) -> BinaryIO:
        """Return its content opened for reading, and record the artifact as read.

        Content elsewhere that the ledger's cache lacks is read range by range, on demand. A range
        cannot be compared with the digest of the whole. `cache()` fetches and compares the whole;
        from then on this opens the fetched copy.

        Raises:
            InvalidValueError: The mode is not "rb", or the artifact is a folder.
            DamagedContentError: The content is missing or has changed.
        """
        if mode not in {"r", "rb"}:
            raise InvalidValueError(f"open: content is immutable, expected mode 'rb', got '{mode}'")
        if self._row.get("n_files") is not None:
            raise InvalidValueError(f"open: artifact {self.uid} is a folder; use cache()")
        if isinstance(self.path, str) and self.is_saved and not self._cached().exists():
            reader = self._located().open()
            warn_of_retraction(self)
            self._note_read()
            return reader
        return self.cache(verify=verify).open("rb")

    def load(self, *, as_: str | None = None) -> Any:
        """Load its content into memory by its suffix, return it, and record the artifact as read.

        Tables (`.csv .tsv .parquet .feather .arrow`) come as a pandas `DataFrame`, or as `as_`
        says: `"polars"`, `"arrow"`; other content as its loader says (`ln.loaders`). Without one a
        file comes as `bytes`, a folder as its path. An asked-for key's suffix comes first.

        Raises:
            InvalidValueError: `as_` is given and the content is no table.
            MissingDependencyError: The package that reads it is not installed.
            UnreadableContentError: The content is not what the suffix says.
        """
        from ledger.registries.loaders import load  # noqa: PLC0415 (loads pandas)

        named = self._asked_key or self.key
        called = f"artifact {self._row.get('uid', '(not saved)')}{f' ({named})' if named else ''}"
        return load(self.cache(), self._asked_suffix, as_=as_, called=called)

    @property
    def _asked_suffix(self) -> str:
        """The suffix by which this record was asked for; by default the one it was registered with.

        The same content may be known under names of several suffixes, or of none.
        """
        named = suffix_of_key(self._asked_key)
        registered: str = self.suffix
        return named or registered or suffix_of_key(self.key)

    def _cached(self) -> Path:
        cache: ContentCache = self._source.ledger.content_cache
        return cache.path(self._row["digest"], self._asked_suffix)

    def _located(self) -> LocatedContent:
        if self.is_declared:
            raise unknown_content(self._row)
        if self._row["storage_key"] == erased_text(self.uid):
            raise RecordErasedError(
                f"artifact {self.uid}: it was erased, and its content with it", uid=self.uid
            )
        row = self._row
        if self._source.at is not None:
            # Content has one place: the present one, also of an artifact of the past.
            present = self._source.ask(lambda models: models.find("artifact", uid=self.uid))
            row = present[0] if present else row
        content: LocatedContent = self._source.ledger.content(row)
        return content

    def _fetched(self) -> Path:
        cache: ContentCache = self._source.ledger.content_cache
        return cache.get(
            self._row["digest"],
            self._asked_suffix,
            size=self._row["size"],
            limit=settings.cache_limit,
            fetch=partial(self._located().fetch, mode=READ_ONLY),
        )

    def _verify(self, place: Path) -> None:
        verified, content = self._source.ledger.verified, self._located()
        try:
            stamp = content.stat()
            if stamp is None or verified.get(self.uid) != stamp:
                content.verify()
                verified[self.uid] = stamp
        except LedgerError as error:
            raise DamagedContentError(
                f"content of artifact {self.uid} at {place}: {error}; register the same content "
                "again where it is now, or restore it from a backup, and audit the ledger with its "
                "content",
                uid=self.uid,
            ) from error

    def _note_read(self) -> None:
        ledger = self._source.ledger
        tracked = ledger.handler.tracked
        if tracked is None or self._source.at is not None or self.uid in tracked.read:
            return
        uid = self.uid
        ledger.handler.perform(ReadArtifact(uid=uid))
        tracked.read.add(uid)
        ledger.sessions.on_undo(lambda: tracked.read.discard(uid))

    # --- relations of its own -------------------------------------------------------------------

    @property
    def transform(self) -> Any:
        """The transform of the run that made it last; None if no run made it."""
        run = self.run
        return None if run is None else run.transform

    @property
    def previous_runs(self) -> RecordList[Any]:
        """Earlier runs that made the same content, latest first."""
        source = self._source
        links = source.ask(
            lambda models: models.find("link", at=source.at, field="artifact.runs", source=self.uid)
        )
        links.sort(key=lambda link: -link["from_position"])
        uids = [link["target"] for link in links if link["target"] != self._row.get("run")]
        query: QuerySet[Any] = QuerySet(record_class("run"), source, Select(registry="run"))
        runs = {run.uid: run for run in query.filter(uid__in=uids).with_trash()} if uids else {}
        return RecordList("run", [runs[uid] for uid in uids if uid in runs])

    @property
    def versions(self) -> QuerySet[Artifact]:
        """Every version of its family, oldest first."""
        return self._family()

    @property
    def keys(self) -> list[str]:
        """Keys that point at it now, oldest first."""
        source = self._source
        pointers = source.ask(
            lambda models: models.find("artifact_key", at=source.at, uid=self.uid)
        )
        return [pointer["key"] for pointer in pointers]


def _beginning(key: object) -> str | None:
    """Return the checked beginning of the keys of a folder's files; None for an empty one."""
    return check_key(key.rstrip("/") or None if isinstance(key, str) else key)
