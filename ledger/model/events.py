"""Facts: what the log remembers, one frozen Struct a kind of event.

Rules: a stored name is the hand-written `tag`, never a class or module path; a field is added
only with a default; anything else is a new `.v2` class and an upcast; what is stored never changes.
docs/format.md states every event and field before this module does.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from ledger.model.event import Event, Noted
from ledger.model.ids import CommandId, Position, StreamId
from ledger.model.key_events import EraserKeysSet, KeyAdopted
from ledger.model.outside_events import AliasAdded, ArtifactDeclared
from ledger.model.typed_events import (
    DefinedField,
    FieldAdded,
    FieldChanged,
    FieldRetyped,
    RegistryDefined,
    ValuesSet,
)

# Field of a link, such as `artifact.labels`, and uid of the record that holds it.
HeldLink: TypeAlias = tuple[str, str]


class LedgerInitialized(Event, frozen=True, kw_only=True, tag="ledger-initialized.v1"):
    """The ledger came into being; always at position 1."""

    ledger: str
    name: str
    format: int
    program: str


class BlobRecorded(Event, frozen=True, kw_only=True, tag="blob-recorded.v1"):
    """A text that other events name by its hash: an environment, a source."""

    blob: str
    media_type: str
    text: str


class RecordCreated(Event, frozen=True, kw_only=True, tag="record-created.v1"):
    """A record of a metadata registry came into being.

    Attributes:
        registry: Name of its registry.
        uid: Its uid.
        natural: Natural key: what identified it when it was created.
        natural_id: Id of the natural key; None in format 1.
        n: Which record of that natural key; 1 unless another one was made on purpose.
        fields: Values of its fields.
    """

    registry: str
    uid: str
    natural: list[Any]
    natural_id: str | None = None
    n: int = 1
    fields: dict[str, Any]


class TransformRegistered(Event, frozen=True, kw_only=True, tag="transform-registered.v1"):
    """A version of a transform came into being.

    `natural` is `["transform", stem, version]` where the user pinned a version, else
    `["transform", stem, ["source", source_hash]]`. `source` names the blob of its text.
    """

    uid: str
    natural: list[Any]
    natural_id: str | None = None
    n: int = 1
    name: str
    key: str | None = None
    version: str | None = None
    kind: str
    description: str | None = None
    source_hash: str | None = None
    source: str | None = None
    revises: str | None = None


class ArtifactRegistered(Event, frozen=True, kw_only=True, tag="artifact-registered.v1"):
    """Content was registered, and is durable under its storage key.

    Attributes:
        hash: 22 or 43 base64url digits, see `hash_type` and docs/format.md.
        digest: `sha256:` and 64 hexadecimal digits over all content.
        size: Bytes of all content.
        n_files: Files of a folder; None for a file.
        storage: Root that holds the content.
        storage_key: Path of the content below the root.
        in_place: Whether the content was left where the user had it.
        displaced: From which position on the key had led elsewhere; None where it led nowhere.
    """

    uid: str
    natural: list[Any]
    natural_id: str | None = None
    n: int = 1
    key: str | None = None
    description: str | None = None
    version: str | None = None
    revises: str | None = None
    suffix: str = ""
    hash: str
    hash_type: str
    digest: str
    size: int
    n_files: int | None = None
    storage: str
    storage_key: str
    in_place: bool = False
    displaced: int | None = None


class ArtifactReproduced(Event, frozen=True, kw_only=True, tag="artifact-reproduced.v1"):
    """Another run made the same content again; `run` is that run."""

    uid: str


class ArtifactKeyed(Event, frozen=True, kw_only=True, tag="artifact-keyed.v1"):
    """A key points at this artifact from now on, whatever it pointed at before.

    `displaced` is that of `ArtifactRegistered`.
    """

    uid: str
    key: str
    displaced: int | None = None


class ArtifactRelocated(Event, frozen=True, kw_only=True, tag="artifact-relocated.v1"):
    """The content of an artifact, which was gone, lies there from now on.

    The place is described as in `ArtifactRegistered`; it may be the place that it was gone from.
    """

    uid: str
    storage: str
    storage_key: str
    in_place: bool = False


class CollectionCreated(Event, frozen=True, kw_only=True, tag="collection-created.v1"):
    """A collection of artifacts came into being; `artifacts` are uids in the given order."""

    uid: str
    natural: list[Any]
    natural_id: str | None = None
    n: int = 1
    name: str
    description: str | None = None
    version: str | None = None
    revises: str | None = None
    hash: str
    digest: str
    is_ordered: bool = False
    artifacts: list[str]


class RecordChanged(Event, frozen=True, kw_only=True, tag="record-changed.v1"):
    """Fields of a record took these values; a changed `name` is a rename."""

    registry: str
    uid: str
    fields: dict[str, Any]


class RecordTrashed(Event, frozen=True, kw_only=True, tag="record-trashed.v1"):
    """A record was moved to the trash: hidden from queries, not gone."""

    registry: str
    uid: str


class RecordRestored(Event, frozen=True, kw_only=True, tag="record-restored.v1"):
    """A record was taken out of the trash."""

    registry: str
    uid: str


class RecordWithdrawn(Event, frozen=True, kw_only=True, tag="record-withdrawn.v1"):
    """A record was withdrawn for good: its name is free again, its events stay.

    `content_removed` says that its stored content was removed too.
    """

    registry: str
    uid: str
    content_removed: bool = False


class LinkAdded(Event, frozen=True, kw_only=True, tag="link-added.v1"):
    """Record `uid` holds a link `field` to the record `target` from now on."""

    registry: str
    uid: str
    field: str
    target: str


class LinkRemoved(Event, frozen=True, kw_only=True, tag="link-removed.v1"):
    """Record `uid` holds that link no more."""

    registry: str
    uid: str
    field: str
    target: str


class RecordRetracted(Event, frozen=True, kw_only=True, tag="record-retracted.v1"):
    """A record is not to be relied on: it stays, and whoever reads it is told the reason."""

    registry: str
    uid: str
    reason: str


class RetractionLifted(Event, frozen=True, kw_only=True, tag="retraction-lifted.v1"):
    """A retraction holds no more."""

    registry: str
    uid: str
    reason: str | None = None


class RecordsMerged(Event, frozen=True, kw_only=True, tag="records-merged.v1"):
    """Record `uid` is the record `into` from now on: what led to it leads there.

    Attributes:
        moved: Links that led to `uid` and lead to `into` now.
        doubled: Links that led to `uid` beside one to `into`; they end.
    """

    registry: str
    uid: str
    into: str
    reason: str | None = None
    moved: tuple[HeldLink, ...] = ()
    doubled: tuple[HeldLink, ...] = ()


class MergeUndone(Event, frozen=True, kw_only=True, tag="merge-undone.v1"):
    """Record `uid` stands for itself again.

    Attributes:
        back: Links that lead to `uid` again.
        ended: Links that lead to `into` no more.
    """

    registry: str
    uid: str
    into: str
    back: tuple[HeldLink, ...] = ()
    ended: tuple[HeldLink, ...] = ()


class RunStarted(Event, frozen=True, kw_only=True, tag="run-started.v1"):
    """A run began.

    `natural` is `["run", identity]`; `n` is the run's ordinal. `forked_from` is the run whose
    replay turned out to be something new. `task` holds the variables that number the processes of
    a job. `initiated_by` is the run from which the script was started. `token` names the pass that
    began the run, with all of its processes.
    """

    uid: str
    natural: list[Any]
    natural_id: str | None = None
    n: int = 1
    transform: str
    name: str | None = None
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    arguments: list[str] = msgspec.field(default_factory=list)
    environment: str | None = None
    modules: dict[str, str] = msgspec.field(default_factory=dict)
    git_commit: str | None = None
    git_is_dirty: bool | None = None
    host: str | None = None
    forked_from: str | None = None
    task: dict[str, Any] = msgspec.field(default_factory=dict)
    initiated_by: str | None = None
    token: str | None = None


class RunResumed(Event, frozen=True, kw_only=True, tag="run-resumed.v1"):
    """An unfinished run is continued by a later pass of the same script, for the nth time.

    `token` names that pass, with all of its processes.
    """

    uid: str
    resumption: int
    token: str | None = None


class RunFinished(Event, frozen=True, kw_only=True, tag="run-finished.v1"):
    """A pass of a run ended: `status` is `finished`, `ended` (left without finish) or `failed`."""

    uid: str
    status: str
    error: str | None = None
    is_consecutive: bool | None = None


class RunAbandoned(Event, frozen=True, kw_only=True, tag="run-abandoned.v1"):
    """An unfinished run will not be continued: a later run found other things to do."""

    uid: str
    by: str


class InputRecorded(Event, frozen=True, kw_only=True, tag="input-recorded.v1"):
    """The run `uid` read the artifact `artifact` for the first time."""

    uid: str
    artifact: str


class PositionTagged(Event, frozen=True, kw_only=True, tag="position-tagged.v1"):
    """A position of the log has this name from now on; a tag never moves."""

    name: str
    position: int


class Erasure(Event, frozen=True, kw_only=True):
    """What earlier entries said was removed for good; their leaf hashes stay.

    Attributes:
        registry: Registry of the record that was erased.
        uid: Its uid.
        reason: Why.
        content_removed: Whether its stored content was removed too.
    """

    registry: str
    uid: str
    reason: str
    content_removed: bool = False


class EntriesErasedV1(Erasure, frozen=True, kw_only=True, tag="entries-erased.v1"):
    """An erasure of format 1: position of each entry, and the SHA-256 of its residue in hex."""

    entries: tuple[tuple[int, str], ...]

    @property
    def positions(self) -> tuple[int, ...]:
        """Positions of the entries."""
        return tuple(position for position, _ in self.entries)

    @property
    def digests(self) -> tuple[tuple[int, str], ...]:
        """Position and SHA-256 of each residue."""
        return self.entries


class EntriesErased(Erasure, frozen=True, kw_only=True, tag="entries-erased.v2"):
    """An erasure.

    Attributes:
        entries: Position of each entry, in order.
        residues: Of the entries of format 1 among them: position, and the SHA-256 of the residue.
        signature: A note over this event, signed by the ledger's key; None where that was not here.
    """

    entries: tuple[int, ...]
    residues: tuple[tuple[int, str], ...] = ()
    signature: str | None = None

    @property
    def positions(self) -> tuple[int, ...]:
        """Positions of the entries."""
        return self.entries

    @property
    def digests(self) -> tuple[tuple[int, str], ...]:
        """Position and SHA-256 of each residue."""
        return self.residues


LedgerEvent: TypeAlias = (
    LedgerInitialized
    | BlobRecorded
    | RecordCreated
    | TransformRegistered
    | ArtifactRegistered
    | ArtifactDeclared
    | ArtifactReproduced
    | ArtifactKeyed
    | ArtifactRelocated
    | CollectionCreated
    | RecordChanged
    | RecordTrashed
    | RecordRestored
    | RecordWithdrawn
    | LinkAdded
    | LinkRemoved
    | AliasAdded
    | RecordRetracted
    | RetractionLifted
    | RecordsMerged
    | MergeUndone
    | RunStarted
    | RunResumed
    | RunFinished
    | RunAbandoned
    | InputRecorded
    | PositionTagged
    | EntriesErasedV1
    | EntriesErased
    | KeyAdopted
    | EraserKeysSet
    | RegistryDefined
    | FieldAdded
    | FieldChanged
    | FieldRetyped
    | ValuesSet
)


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was decided on and not yet recorded."""

    stream: StreamId
    event: LedgerEvent


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its place in the log.

    Attributes:
        position: 1-based place in the log.
        recorded_at: When the log took it, in microseconds since 1970 UTC; never goes backwards.
        stream: Stream of its subject.
        version: 1-based place in that stream.
        command_id: Hash of the identity of its command.
        number: 1-based place within its command.
        event: The fact; of an erased entry, what is left of it.
        is_erased: Whether it was erased.
    """

    position: Position
    recorded_at: int
    stream: StreamId
    version: int
    command_id: CommandId
    number: int
    event: LedgerEvent
    is_erased: bool = False


def tag_of(event: LedgerEvent) -> str:
    """Return the stored name of an event's type."""
    return str(type(event).__struct_config__.tag)


__all__ = [
    "AliasAdded",
    "ArtifactDeclared",
    "DefinedField",
    "Event",
    "FieldAdded",
    "FieldChanged",
    "FieldRetyped",
    "Noted",
    "RegistryDefined",
    "ValuesSet",
]
