"""Requests to the ledger, and the identity of each.

`kind`, `subject` and `fields` form the intent of a request, without its run and occurrence: time,
place and user play no part. They are plain data that canonical JSON can hold.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

from ledger.model.canonical import Json
from ledger.model.definitions import Definition
from ledger.model.outside_commands import AddAlias, DeclareArtifact

Mode = Literal["warn_return_existing", "error", "warn_create_new"]
MODES: tuple[Mode, ...] = ("warn_return_existing", "error", "warn_create_new")


class SaveRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a record of a named registry, with these fields.

    Attributes:
        registry: A metadata registry.
        name: Name that identifies it.
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
        """Natural key, a part of the creation identity."""
        return [self.registry, self.name]

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
        return self.natural


class SaveTransform(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a version of a transform.

    Attributes:
        stem: First 12 digits of the uids of its family.
        version: Version that the user pinned; None where the source decides.
        source_hash: Hash of its source text; None where it has none.
        source: Blob that holds the text.
        defaults: Values only for a new one, such as a name made from the file name.
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
        """Natural key, a part of the creation identity."""
        return ["transform", self.stem, self.version or ["source", self.source_hash]]

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
        return self.natural


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes of an artifact, described before it is registered."""

    hash: str
    hash_type: str
    digest: str
    size: int
    n_files: int | None
    suffix: str
    storage: str
    in_place: str | None = None


class SaveArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for an artifact of this content, under this key.

    Attributes:
        content: Its bytes, described.
        key: Name that will point at it.
        revises: Uid of the artifact that it is a new version of.
        mode: Treatment of content that is registered already.
        fields: Other fields that were assigned.
        target: Uid of the existing artifact that the caller was shown, if any.
        gone: Storage and storage key of that artifact, if its content is not there any more.
    """

    content: Content
    key: str | None = None
    version: str | None = None
    revises: str | None = None
    mode: Mode = "warn_return_existing"
    fields: dict[str, Any] = {}
    target: str | None = None
    gone: tuple[str, str] | None = None

    @property
    def kind(self) -> str:
        """A request for a second one of the same content is another intent."""
        return "save-new" if self.mode == "warn_create_new" else "save"

    @property
    def natural(self) -> list[Json]:
        """Natural key, a part of the creation identity."""
        return ["artifact", self.content.hash_type, self.content.hash]

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
        return [*self.natural, self.content.digest, self.key]


class SaveCollection(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a collection of these artifacts."""

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
        """A request for a second one of the same members is another intent."""
        return "save-new" if self.mode == "warn_create_new" else "save"

    @property
    def natural(self) -> list[Json]:
        """Natural key, a part of the creation identity."""
        return ["collection", self.hash]

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
        return [*self.natural, self.digest, self.name]


class ChangeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Give fields of a saved record these values."""

    registry: str
    uid: str
    fields: dict[str, Any]

    kind = "change"

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
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
        """Subject of the intent."""
        return self.uid


class LinkRecords(msgspec.Struct, frozen=True, kw_only=True):
    """Add a link from a record to another, or remove it."""

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
        """Subject of the intent."""
        return [self.uid, self.field, self.target]

    fields: ClassVar[dict[str, Any]] = {}


class RetractRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Retract a record for a reason, or, with `is_lifted`, lift its retraction."""

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
        """Subject of the intent."""
        return self.uid

    @property
    def fields(self) -> dict[str, Any]:
        """The reason, if given."""
        return {} if self.reason is None else {"reason": self.reason}


class MergeRecords(msgspec.Struct, frozen=True, kw_only=True):
    """Merge a record into another one of its registry."""

    registry: str
    uid: str
    into: str
    reason: str | None = None

    kind = "merge"

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
        return [self.uid, self.into]

    @property
    def fields(self) -> dict[str, Any]:
        """The reason, if given."""
        return {} if self.reason is None else {"reason": self.reason}


class UndoMerge(msgspec.Struct, frozen=True, kw_only=True):
    """Make a merged record a record of its own again."""

    registry: str
    uid: str

    kind = "unmerge"
    fields: ClassVar[dict[str, Any]] = {}

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
        return self.uid


class SaveTyped(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a record of a registry that the ledger defines, with these values.

    Attributes:
        registry: Its registry.
        key: What identifies it, as given: its name, or the values of its key.
        fields: Values as given, by the names that people use; those of the key among them.
        target: Uid of the existing record that the caller was shown, if any.
        is_change: Whether the record is known, so that its uid is the subject.
        is_rename: Whether a name among the fields is a new one.
    """

    registry: str
    key: Json
    fields: dict[str, Any] = {}
    target: str | None = None
    is_change: bool = False
    is_rename: bool = False

    @property
    def kind(self) -> str:
        """A later save of a record is another intent than its first."""
        return "change" if self.is_change else "save"

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
        return self.target if self.is_change else [self.registry, self.key]


class DefineRegistry(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a registry as a class says it is."""

    definition: Definition

    kind = "define"

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
        return ["registry", self.definition.name]

    @property
    def fields(self) -> dict[str, Any]:
        """What the class says."""
        stated = [
            msgspec.to_builtins(field.stated(""), str_keys=True) for field in self.definition.fields
        ]
        return {"key": list(self.definition.key), "fields": stated}


class ChangeField(msgspec.Struct, frozen=True, kw_only=True):
    """Give a field of a registry another name, or retire it."""

    registry: str
    field: str
    name: str | None = None
    is_retired: bool = False

    @property
    def kind(self) -> str:
        """Each verb is an intent of its own."""
        return "retire" if self.is_retired else "rename"

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
        return ["registry", self.registry, self.field]

    @property
    def fields(self) -> dict[str, Any]:
        """The new name, if any."""
        return {} if self.name is None else {"name": self.name}


class RetypeField(msgspec.Struct, frozen=True, kw_only=True):
    """Give a field of a registry another type.

    Attributes:
        registry: The registry.
        field: The field.
        type: Its type from now on.
        values: Whether its values are converted; None where they stay.
    """

    registry: str
    field: str
    type: str
    values: bool | None = None

    kind = "retype"

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
        return ["registry", self.registry, self.field]

    @property
    def fields(self) -> dict[str, Any]:
        """The type."""
        return {"type": self.type}


class SetFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """Give a record these features, and take others from it.

    Attributes:
        registry: Its registry.
        uid: Its uid.
        values: Features, as given.
        removed: Features to take away.
        schema: Registry that its table was checked against.
        columns: Values that columns of that table hold, each once, as given.
    """

    registry: str
    uid: str
    values: dict[str, Any] = {}
    removed: tuple[str, ...] = ()
    schema: str | None = None
    columns: dict[str, Any] = {}

    kind = "annotate"

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
        return self.uid

    @property
    def fields(self) -> dict[str, Any]:
        """Values and removals, as given."""
        table = {} if self.schema is None else {"schema": self.schema, "columns": self.columns}
        removed = {"removed": list(self.removed)} if self.removed else {}
        return {"values": self.values} | removed | table


class ReadArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """Note that this run read the content of an artifact."""

    uid: str

    kind = "read"
    fields: ClassVar[dict[str, Any]] = {}

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
        return self.uid


class TagPosition(msgspec.Struct, frozen=True, kw_only=True):
    """Give a name to a position of the log.

    `position` is a part of the identity only if the user gave it (`is_given`): a script that tags
    the present asks for the same thing on each run.
    """

    name: str
    position: int
    is_given: bool = False

    kind = "tag"

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
        return self.name

    @property
    def fields(self) -> dict[str, Any]:
        """The position, if given."""
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
    | SaveTyped
    | DefineRegistry
    | ChangeField
    | RetypeField
    | SetFeatures
    | ReadArtifact
    | AddAlias
    | DeclareArtifact
    | TagPosition
)


def assigned(command: Command) -> dict[str, Json]:
    """Return the fields that a command assigns, in the form of its identity."""
    fields: dict[str, Json] = dict(command.fields)
    for name in ("version", "revises"):
        value = getattr(command, name, None)
        if value is not None and not isinstance(command, SaveTransform):
            fields[name] = value
    return fields
