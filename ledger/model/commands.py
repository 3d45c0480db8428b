"""Requests: what may be asked of the ledger, and what identifies each.

`kind`, `subject` and `fields` are what replay.md calls an intent, without its run and occurrence:
what is asked, never when, by whom or where. They are plain data that canonical JSON can hold.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

from ledger.model.canonical import Json

Mode = Literal["warn_return_existing", "error", "warn_create_new"]
MODES: tuple[Mode, ...] = ("warn_return_existing", "error", "warn_create_new")


class SaveRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Have a record of a named registry, with these fields.

    Attributes:
        registry: A metadata registry.
        name: What identifies it.
        fields: Other fields that were assigned.
        target: Uid of the existing record that the caller was shown, if any.
    """

    registry: str
    name: str
    fields: dict[str, Any] = {}
    target: str | None = None

    kind = "save"

    @property
    def natural(self) -> list[Json]:
        """Natural key, as it takes part in the creation identity."""
        return [self.registry, self.name]

    @property
    def subject(self) -> Json:
        """What the intent is about."""
        return self.natural


class SaveTransform(msgspec.Struct, frozen=True, kw_only=True):
    """Have a version of a transform.

    Attributes:
        stem: First 12 digits of the uids of its family.
        version: Version that the user pinned; None where the source decides.
        source_hash: Hash of its source text; None where it has none.
        source: Blob that holds the text.
        defaults: Values for a new one only, such as a name made from the file name.
        fields: Fields that were assigned.
    """

    stem: str
    version: str | None = None
    source_hash: str | None = None
    source: str | None = None
    defaults: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    target: str | None = None

    kind = "save"

    @property
    def natural(self) -> list[Json]:
        """Natural key, as it takes part in the creation identity."""
        return ["transform", self.stem, self.version or ["source", self.source_hash]]

    @property
    def subject(self) -> Json:
        """What the intent is about."""
        return self.natural


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the bytes of an artifact before it is registered."""

    hash: str
    hash_type: str
    digest: str
    size: int
    n_files: int | None
    suffix: str
    storage: str
    in_place: str | None = None


class SaveArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """Have an artifact of this content, under this key.

    Attributes:
        content: Its bytes, described.
        key: Name that shall point at it.
        revises: Uid of the artifact that it is a new version of.
        mode: What to do where the content is registered already.
        fields: Other fields that were assigned.
        target: Uid of the existing artifact that the caller was shown, if any.
    """

    content: Content
    key: str | None = None
    version: str | None = None
    revises: str | None = None
    mode: Mode = "warn_return_existing"
    fields: dict[str, Any] = {}
    target: str | None = None

    @property
    def kind(self) -> str:
        """Asking for another one of the same content is another intent."""
        return "save-new" if self.mode == "warn_create_new" else "save"

    @property
    def natural(self) -> list[Json]:
        """Natural key, as it takes part in the creation identity."""
        return ["artifact", self.content.hash_type, self.content.hash]

    @property
    def subject(self) -> Json:
        """What the intent is about."""
        return [*self.natural, self.content.digest, self.key]


class SaveCollection(msgspec.Struct, frozen=True, kw_only=True):
    """Have a collection of these artifacts."""

    name: str
    hash: str
    digest: str
    artifacts: list[str]
    is_ordered: bool = False
    version: str | None = None
    revises: str | None = None
    mode: Mode = "warn_return_existing"
    fields: dict[str, Any] = {}
    target: str | None = None

    @property
    def kind(self) -> str:
        """Asking for another one of the same members is another intent."""
        return "save-new" if self.mode == "warn_create_new" else "save"

    @property
    def natural(self) -> list[Json]:
        """Natural key, as it takes part in the creation identity."""
        return ["collection", self.hash]

    @property
    def subject(self) -> Json:
        """What the intent is about."""
        return [*self.natural, self.digest, self.name]


class ChangeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Give fields of a saved record these values."""

    registry: str
    uid: str
    fields: dict[str, Any]

    kind = "change"

    @property
    def subject(self) -> Json:
        """What the intent is about."""
        return self.uid


class MoveRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Put a record into the trash, take it out, or withdraw it for good."""

    registry: str
    uid: str
    move: Literal["trash", "restore", "withdraw"]
    content_removed: bool = False

    @property
    def kind(self) -> str:
        """Each move is an intent of its own."""
        return self.move

    fields: ClassVar[dict[str, Any]] = {}

    @property
    def subject(self) -> Json:
        """What the intent is about."""
        return self.uid


class LinkRecords(msgspec.Struct, frozen=True, kw_only=True):
    """Have, or have no more, a link from a record to another."""

    registry: str
    uid: str
    field: str
    target: str
    is_present: bool

    @property
    def kind(self) -> str:
        """Adding and removing are intents of their own."""
        return "link" if self.is_present else "unlink"

    @property
    def subject(self) -> Json:
        """What the intent is about."""
        return [self.uid, self.field, self.target]

    fields: ClassVar[dict[str, Any]] = {}


class RetractRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Have a record retracted for a reason, or, with `is_lifted`, no more."""

    registry: str
    uid: str
    reason: str | None
    is_lifted: bool = False

    @property
    def kind(self) -> str:
        """Retracting and lifting are intents of their own."""
        return "lift" if self.is_lifted else "retract"

    @property
    def subject(self) -> Json:
        """What the intent is about."""
        return self.uid

    @property
    def fields(self) -> dict[str, Any]:
        """The reason, where one was given."""
        return {} if self.reason is None else {"reason": self.reason}


class MergeRecords(msgspec.Struct, frozen=True, kw_only=True):
    """Have a record be another one of its registry from now on."""

    registry: str
    uid: str
    into: str
    reason: str | None = None

    kind = "merge"

    @property
    def subject(self) -> Json:
        """What the intent is about."""
        return [self.uid, self.into]

    @property
    def fields(self) -> dict[str, Any]:
        """The reason, where one was given."""
        return {} if self.reason is None else {"reason": self.reason}


class UndoMerge(msgspec.Struct, frozen=True, kw_only=True):
    """Have a merged record stand for itself again."""

    registry: str
    uid: str

    kind = "unmerge"
    fields: ClassVar[dict[str, Any]] = {}

    @property
    def subject(self) -> Json:
        """What the intent is about."""
        return self.uid


class ReadArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """Have read the content of an artifact in this run."""

    uid: str

    kind = "read"
    fields: ClassVar[dict[str, Any]] = {}

    @property
    def subject(self) -> Json:
        """What the intent is about."""
        return self.uid


class TagPosition(msgspec.Struct, frozen=True, kw_only=True):
    """Have a name for a position of the log.

    `position` takes part in the identity only where the user gave it (`is_given`): a script that
    tags the present asks for the same thing on each pass.
    """

    name: str
    position: int
    is_given: bool = False

    kind = "tag"

    @property
    def subject(self) -> Json:
        """What the intent is about."""
        return self.name

    @property
    def fields(self) -> dict[str, Any]:
        """Position, where it was given."""
        return {"position": self.position} if self.is_given else {}


Command: TypeAlias = (
    SaveRecord
    | SaveTransform
    | SaveArtifact
    | SaveCollection
    | ChangeRecord
    | MoveRecord
    | LinkRecords
    | RetractRecord
    | MergeRecords
    | UndoMerge
    | ReadArtifact
    | TagPosition
)


def assigned(command: Command) -> dict[str, Json]:
    """Return every field that a command assigns, as its identity holds them."""
    fields: dict[str, Json] = dict(command.fields)
    for name in ("version", "revises"):
        value = getattr(command, name, None)
        if value is not None and not isinstance(command, SaveTransform):
            fields[name] = value
    return fields
