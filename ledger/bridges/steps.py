"""Steps: what a source of another tool says happened, in words of no tool.

A reader is pure: it reads a source, and returns an iterable of the steps below. It asks this ledger
nothing and records nothing. `ledger.bridges.plan` brings the steps in:

    carry_out(source: Source, steps: Iterable[AnyStep], *, declare: bool = False,
              dry_run: bool = False, batch: int = 500, notes: Iterable[str] = (),
              known: Mapping[Ref, tuple[str, str]] | None = None) -> Imported

1. Every row of the source that is counted occurs as `table` and `row` of at least one step, or of
   one `LeftOut`. Several steps may come of one row; they count it once.
2. A record is named by its **ref**: the uid that it has in the source. A ref names one record
   within the tool, whatever its registry. The record is found under it for good, by the alias
   `<tool>:<ref>`. A step may name refs that are already known of an earlier import, and
   records of this ledger's own, which `known` names.
3. The plan sorts steps by `at`, and keeps the order of the reader among equal ones. A step without
   a time comes last, and happens at the time of the import. A step that names the ref of a later
   one is refused, with its row; so a reader gives an input no earlier time than run and artifact.
4. Times are aware; the plan refuses naive ones and those of the future, with their row.
5. A step is carried out once, also where its record was changed here since: `table`, `row` and
   `what` identify it within the instance of the source.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar, TypeAlias

import msgspec

# The uid of a record in the source, without the name of the tool before it.
Ref: TypeAlias = str


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where steps come from.

    Attributes:
        tool: Name of the tool, such as `lamindb`: the first part of every alias.
        instance: What identifies the instance for good, wherever it lies.
        where: What the user named it by, for messages; without a password.
    """

    tool: str
    instance: str
    where: str

    def alias(self, ref: Ref) -> str:
        """Return the alias of a record of the source."""
        return f"{self.tool}:{ref}"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened in the source.

    Attributes:
        table: Name under which the row is counted, such as `artifact`.
        row: What identifies the row within its table for good.
        at: When it happened, as the source says; aware. None where the source does not know.
        by: The actor, as the source calls them; None for the one who imports.
    """

    table: str
    row: str
    at: dt.datetime | None = None
    by: str | None = None

    kind: ClassVar[str] = ""

    @property
    def what(self) -> list[Any]:
        """What tells this step from the others of its row."""
        return [self.kind]


# --- records --------------------------------------------------------------------------


class Label(Step, frozen=True, kw_only=True):
    """A label (`ULabel`) came into being.

    A second label of one name is the same record here, and gets a second alias.
    """

    ref: Ref
    name: str
    description: str | None = None

    kind = "label"


class TransformVersion(Step, frozen=True, kw_only=True):
    """A version of a transform came into being.

    Attributes:
        ref: Its whole uid in the source.
        stem: 12 digits (base62) that all versions of the family share, here too.
        key: Its path or name.
        name: What people call it; None for the last part of the key.
        type: `script`, `notebook`, `pipeline`, `function`, or what the source says.
        source: Text of its source; None where the source has none.
        version: Version that a person gave it; None where the source text decides.
        revises: The version before.
    """

    ref: Ref
    stem: str
    key: str
    name: str | None = None
    type: str = "script"
    description: str | None = None
    source: str | None = None
    version: str | None = None
    revises: Ref | None = None

    kind = "transform"


class RunSeen(Step, frozen=True, kw_only=True):
    """A run began. Its end is a step of its own, `RunEnded`.

    Attributes:
        transform: Ref of its transform.
        params: Its parameters; plain data: text, numbers, truth, lists, dictionaries, None.
        arguments: Command-line arguments.
        environment: Text that describes the environment, such as a list of packages.
        initiated_by: Ref of the run that started it.
    """

    ref: Ref
    transform: Ref
    name: str | None = None
    params: dict[str, Any] = {}
    arguments: tuple[str, ...] = ()
    environment: str | None = None
    initiated_by: Ref | None = None

    kind = "run"


class RunEnded(Step, frozen=True, kw_only=True):
    """A run ended: `status` is `finished`, `failed`, or `ended` where the source does not say how.

    A run of which no step says that it ended stays `started`.
    """

    run: Ref
    status: str
    error: str | None = None

    kind = "run-ended"


class ContentSeen(Step, frozen=True, kw_only=True):
    """An artifact came into being.

    Its content is read and hashed where `path` says, and stays there. It is declared instead
    where there is no path, nothing is found there, an import asks for it (`declare`), or the
    content is another one than `claimed` says; that one counts as damaged.

    Attributes:
        path: Absolute path, or URL, of the content; None where it cannot be reached.
        storage: Root that the content lies below, path or URL; None for the folder of the path.
        key: Its key; None for none.
        suffix: Suffix of its content, such as `.csv`.
        version: Version that a person gave it.
        revises: Ref of the version before.
        size: Bytes, as the source says.
        n_files: Files of a folder; None for a file.
        claimed: Algorithm and value of each hash that the source says it has, as the source writes
            them: `("md5", "5evUwCzvvnlVl3xnraJCtw")`. `md5` (base64url or hexadecimal digits) and
            `sha256` (64 hexadecimal digits) are compared with what is read. A content without
            either counts as unchecked.
        run: Ref of the run that made it first.
    """

    ref: Ref
    path: str | None = None
    storage: str | None = None
    key: str | None = None
    description: str | None = None
    suffix: str = ""
    version: str | None = None
    revises: Ref | None = None
    size: int | None = None
    n_files: int | None = None
    claimed: tuple[tuple[str, str], ...] = ()
    run: Ref | None = None

    kind = "artifact"


class CollectionSeen(Step, frozen=True, kw_only=True):
    """A collection came into being; `artifacts` are refs in order."""

    ref: Ref
    name: str
    artifacts: tuple[Ref, ...]
    description: str | None = None
    version: str | None = None
    revises: Ref | None = None
    run: Ref | None = None

    kind = "collection"


# --- what happened to records ---------------------------------------------------------


class Reproduced(Step, frozen=True, kw_only=True):
    """A later run made the content of an artifact again."""

    artifact: Ref
    run: Ref

    kind = "reproduced"

    @property
    def what(self) -> list[Any]:
        """Kind, artifact and run."""
        return [self.kind, self.artifact, self.run]


class Input(Step, frozen=True, kw_only=True):
    """A run read an artifact."""

    artifact: Ref
    run: Ref

    kind = "input"

    @property
    def what(self) -> list[Any]:
        """Kind, artifact and run."""
        return [self.kind, self.artifact, self.run]


class Link(Step, frozen=True, kw_only=True):
    """Record `ref` bears the link `field` to the record `target`.

    Attributes:
        field: Name of the relation, such as `labels` of an artifact, or `parents` of a label.
        run: Ref of the run in which it was linked.
    """

    ref: Ref
    field: str
    target: Ref
    run: Ref | None = None

    kind = "link"

    @property
    def what(self) -> list[Any]:
        """Kind, both records and the field."""
        return [self.kind, self.ref, self.field, self.target]


class Trash(Step, frozen=True, kw_only=True):
    """Record `ref` lies in the trash. Without `at`: when it was moved there is not known."""

    ref: Ref

    kind = "trash"


# --- registries of the source's own, and features -------------------------------------


class FieldSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a registry.

    Attributes:
        name: Its name: letters, digits and `_`, beginning with a letter.
        type: `int`, `float`, `str`, `bool`, `date`, `datetime`, `dict`, `record[Donor]` for records
            of the registry `Donor`, `record[ULabel]` for labels, or `list[…]` of one of these.
        unit: Unit of its numbers.
        description: What a person says of it.
    """

    name: str
    type: str
    unit: str | None = None
    description: str | None = None


class RegistrySeen(Step, frozen=True, kw_only=True):
    """The source has a registry of its own; a name identifies its records.

    Attributes:
        name: Title of its class, such as `Donor`.
        fields: Its fields in order, without the name.
    """

    ref: Ref
    name: str
    description: str | None = None
    fields: tuple[FieldSeen, ...] = ()

    kind = "registry"


class RecordSeen(Step, frozen=True, kw_only=True):
    """A record of such a registry came into being.

    Attributes:
        registry: Title of its registry's class, as in `RegistrySeen.name`.
        values: Values by field. A reference is a `Ref` in a one-item tuple, several are a tuple of
            them; everything else is plain data, `datetime.date` or `datetime.datetime`.
    """

    ref: Ref
    registry: str
    name: str
    values: dict[str, Any] = {}

    kind = "record"


class FeatureSeen(Step, frozen=True, kw_only=True):
    """A feature was defined, which artifacts, collections and runs may bear."""

    ref: Ref
    feature: FieldSeen

    kind = "feature"


class ValuesSeen(Step, frozen=True, kw_only=True):
    """Record `ref` (artifact, collection or run) bears these features; `values` as in `RecordSeen`.

    All features that the source sets on a record at one time by one run are one step.
    """

    ref: Ref
    values: dict[str, Any]
    run: Ref | None = None

    kind = "values"

    @property
    def what(self) -> list[Any]:
        """Kind, record, and the names of the features."""
        return [self.kind, self.ref, sorted(self.values)]


# --- what does not come in ------------------------------------------------------------


class Kept(Step, frozen=True, kw_only=True):
    """What has no place here is kept as an artifact of text, so that nothing is lost.

    Its content is stored, and its alias is `<tool>:<ref>`.
    """

    ref: Ref
    key: str
    text: str

    kind = "kept"


class LeftOut(Step, frozen=True, kw_only=True):
    """A row of a counted table does not come in. `why` is a few words, equal for equal reasons."""

    why: str

    kind = "left-out"


class Unmapped(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a table that has no place here; `table` is its whole name in the source."""

    table: str
    rows: int
    why: str


AnyStep: TypeAlias = (
    Label
    | TransformVersion
    | RunSeen
    | RunEnded
    | ContentSeen
    | CollectionSeen
    | Reproduced
    | Input
    | Link
    | Trash
    | RegistrySeen
    | RecordSeen
    | FeatureSeen
    | ValuesSeen
    | Kept
    | LeftOut
    | Unmapped
)
