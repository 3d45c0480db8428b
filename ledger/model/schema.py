"""The registries as data: their fields, relations and uids.

The fold, the tables, the query compiler and the public classes read this description. A further
metadata registry is one more `RegistrySpec` here and one short class in `registries/`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

import msgspec

from ledger.errors import UnknownFieldError, nearest
from ledger.other_words import meant

FieldKind = Literal["text", "integer", "real", "boolean", "time", "date", "json"]

# A withdrawn record is found only by its uid; an erased record is withdrawn and emptied.
LIVE, TRASHED, WITHDRAWN, ERASED = 0, 1, 2, 3

# Stands in the place of a text that every record has, once it is erased.
MARK = "[erased {uid}]"


class FieldSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One plain field of a registry.

    Attributes:
        name: Its name for users, and the name of its column.
        kind: Kind of its values; a time is microseconds since 1970 UTC in tables and events.
        max_length: Characters at most, for text.
        is_editable: Whether it may be assigned on a saved record.
        is_given_once: Whether it is given when the record is created, and never changed.
        is_indexed: Whether look-ups by it should be fast.
        is_virtual: Computed by the query; no column holds it.
        is_kept: Whether it stays when the record is erased: it tells of the ledger, not of
            what the record stands for.
        is_looked_into: For a JSON field that is given once, when the record is created: whether
            questions look at the values inside, as in `params__lr__lt=0.1`.
        is_also_of_keys: Whether a key that ends in a value counts like the value itself: the
            content was registered under such a name too.
        values: For a field whose values are rows of their own: the name that those rows bear, such
            as `sample.volume`.
        is_list: Whether it has several values.
        unit: Unit of its numbers.
        blank: What stands in its place else, where there was a value; `MARK` tells the uid.
        held_by: Its column, where that has another name.
        help: One line for documentation.
    """

    name: str
    kind: FieldKind = "text"
    held_by: str | None = None
    max_length: int = 1024
    is_editable: bool = False
    is_given_once: bool = False
    is_indexed: bool = False
    is_virtual: bool = False
    is_kept: bool = False
    is_looked_into: bool = False
    is_also_of_keys: bool = False
    values: str | None = None
    is_list: bool = False
    unit: str | None = None
    blank: str | int | None = None
    help: str = ""

    @property
    def column(self) -> str:
        """Name of the column that holds it."""
        return self.held_by or self.name


class RelationSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A way from a record of one registry to records of another.

    Attributes:
        name: Its name for users.
        target: Registry at the other end.
        column: For a relation to one: the column here that holds the other's uid.
        link: For a relation to many: the link field, `<holder>.<field>`.
        is_reverse: Whether the other side holds the link, or (without link) the column.
        is_editable: Whether the links may be added and removed by hand.
        is_indexed: For a relation to one: whether going back over it should be fast.
        is_reference: Whether the link is the value of a field or feature: a text then means the
            name of a record.
        is_single: Whether a link leads to one record; the row holds its uid under `column`.
        links: For a way back over several links: all of them.
    """

    name: str
    target: str
    column: str | None = None
    link: str | None = None
    is_reverse: bool = False
    is_editable: bool = False
    is_indexed: bool = True
    is_reference: bool = False
    is_single: bool = False
    links: tuple[str, ...] = ()

    @property
    def is_many(self) -> bool:
        """Whether it can lead to several records."""
        return (self.link is not None or self.is_reverse) and not self.is_single

    @property
    def all_links(self) -> tuple[str, ...]:
        """Every link that it leads over."""
        return self.links or (() if self.link is None else (self.link,))


class RegistrySpec(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A registry: name, fields, relations, uid layout.

    A spec equals only itself: caches find it without comparing its fields.

    Attributes:
        name: Lower-case name in events, tables and commands.
        title: Name of the public class.
        fields: Its own fields, in the order in which people see them.
        relations: Ways from a record to others.
        uid_length: Digits of a uid, or of the family's stem in a versioned registry.
        is_versioned: Whether a uid is a stem and 4 digits of the version.
        is_named: Whether a live name is unique, and similar names are searched for.
        has_keys: Whether keys point at its records: `key` then matches each that ever did, and
            the target of a key is the latest record of its family.
        has_names: Whether a record bears every name that it was ever given, until a record of
            another family is given it: `name` then matches each of them.
        short_name: Shorter name that people may type.
        called_by: Relation to the record whose name begins its rows, newest first.
        searched: Fields that `search()` looks into.
        is_defined: Whether the ledger defines it: its records are rows of the table `record`.
        bears_features: Whether its records bear features.
        key: Fields that identify a record of such a registry.
        features: Typed values and references that any record may bear, by name.
        columns: What the columns of a table that was checked against a registry name, likewise.
        former: Present name of each field that has another former one.
        at: Position as of which it is described; None for now.
        catalogue: The registries that its relations lead to; None for those of `REGISTRIES`.
    """

    name: str
    title: str
    fields: tuple[FieldSpec, ...]
    relations: tuple[RelationSpec, ...] = ()
    uid_length: int = 12
    is_versioned: bool = False
    is_named: bool = False
    has_keys: bool = False
    has_names: bool = False
    short_name: str | None = None
    called_by: str | None = None
    searched: tuple[str, ...] = ("name", "description")
    is_defined: bool = False
    bears_features: bool = False
    key: tuple[str, ...] = ("name",)
    features: dict[str, FieldSpec | RelationSpec] = {}
    columns: dict[str, FieldSpec | RelationSpec] = {}
    former: dict[str, str] = {}
    at: int | None = None
    catalogue: Catalogue | None = None

    @property
    def table(self) -> str:
        """Name of the table that holds its records."""
        return "record" if self.is_defined else self.name

    def end_of(self, relation: RelationSpec) -> RegistrySpec:
        """Return the registry at the other end of one of its relations."""
        return (REGISTRIES if self.catalogue is None else self.catalogue)[relation.target]

    def field(self, name: str) -> FieldSpec | None:
        """Return the field of that name, common ones included; None if there is none."""
        name = self.former.get(name, name)
        # A save asks this for each of its fields, and generators cost twice as much.
        for fields in (self.fields, COMMON_FIELDS):
            for spec in fields:
                if spec.name == name:
                    return spec
        return None

    def relation(self, name: str) -> RelationSpec | None:
        """Return the relation of that name; None if there is none."""
        name = self.former.get(name, name)
        for spec in self.relations:
            if spec.name == name:
                return spec
        return None

    def require(self, name: str) -> FieldSpec | RelationSpec:
        """Return the field or relation of that name.

        Raises:
            UnknownFieldError: There is neither; the message suggests the nearest name.
        """
        found = self.relation(name) or self.field(name) or self.features.get(name)
        if found is None:
            raise self.unknown(name)
        return found

    def unknown(self, name: str) -> UnknownFieldError:
        """Return the error for a field that the registry does not have."""
        names = [spec.name for spec in (*self.fields, *COMMON_FIELDS)]
        names[len(self.fields) : len(self.fields)] = [spec.name for spec in self.relations]
        names += self.features
        when = "" if self.at is None else f" as of position {self.at}"
        near = nearest(name, names)
        way_out = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(names)}"
        if not near and self.bears_features and name.isidentifier():
            way_out += f'; ln.Feature(name="{name}", dtype=float).save() defines a feature'
        way_out = meant(name).removeprefix("; ") or way_out
        return UnknownFieldError(
            f"{self.title} has no field '{name}'{when}; {way_out}", field=name, registry=self.name
        )


class Catalogue(dict[str, RegistrySpec]):
    """The registries that there are for somebody who asks, by name; equal only to itself."""

    def __missing__(self, name: str) -> RegistrySpec:
        """Return what is known without the ledger of a registry that it defines."""
        if not NAME_OF_REGISTRY.fullmatch(name):
            raise KeyError(name)
        return _defined_elsewhere(name)

    __hash__ = object.__hash__  # type: ignore[assignment]  # a dict has none

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other


# A name of a registry may stand in the text of a statement.
NAME_OF_REGISTRY = re.compile("[a-z][a-z0-9_]{0,63}")


@lru_cache(maxsize=2_048)
def _defined_elsewhere(name: str) -> RegistrySpec:
    title = "".join(part.capitalize() for part in name.split("_"))
    relations = (_RUN, *_hierarchy(name))
    return RegistrySpec(
        name=name,
        title=title,
        fields=(_NAME,),
        relations=relations,
        is_named=True,
        searched=("name",),
        is_defined=True,
    )


def _hierarchy(name: str) -> tuple[RelationSpec, RelationSpec]:
    """Return the ways from a record of a registry to its parents, and back."""
    link = f"{name}.parents"
    return (
        RelationSpec(name="parents", target=name, link=link, is_editable=True),
        RelationSpec(name="children", target=name, link=link, is_reverse=True),
    )


# Every record of every registry has these.
COMMON_FIELDS = (
    FieldSpec(
        name="id",
        kind="integer",
        held_by="created_position",
        help="position of its creation: a whole number that never changes in a ledger",
    ),
    FieldSpec(name="uid", help="base62 name of the record, the same in every ledger"),
    FieldSpec(name="created_at", kind="time", help="when it was created"),
    FieldSpec(name="created_by", help="who created it"),
    FieldSpec(name="updated_at", kind="time", help="when it last changed"),
    FieldSpec(
        name="is_trashed", kind="boolean", is_virtual=True, help="whether it is in the trash"
    ),
)

_NAME = FieldSpec(
    name="name", max_length=255, is_editable=True, is_indexed=True, blank=MARK, help="its name"
)
_DESCRIPTION = FieldSpec(
    name="description", max_length=4096, is_editable=True, help="what a person says of it"
)
_VERSION = FieldSpec(name="version", max_length=64, help="version within its family, as given")
_IS_LATEST = FieldSpec(
    name="is_latest", kind="boolean", is_virtual=True, help="whether no later version replaced it"
)
_RETRACTION = FieldSpec(
    name="retraction",
    max_length=4096,
    blank=MARK,
    help="why it is not to be relied on; empty while it is",
)
_RUN = RelationSpec(name="run", target="run", column="run")

FEATURE = RegistrySpec(
    name="feature",
    title="Feature",
    fields=(
        msgspec.structs.replace(_NAME, is_editable=False, is_given_once=True),
        FieldSpec(name="type", max_length=128, is_given_once=True, help="type of its values"),
        FieldSpec(name="unit", max_length=30, is_given_once=True, help="unit of its numbers"),
        _DESCRIPTION,
    ),
    relations=(_RUN,),
    is_named=True,
)

ULABEL = RegistrySpec(
    name="ulabel",
    title="ULabel",
    fields=(_NAME, _DESCRIPTION),
    relations=(
        _RUN,
        *_hierarchy("ulabel"),
        RelationSpec(name="artifacts", target="artifact", link="artifact.labels", is_reverse=True),
        RelationSpec(
            name="collections", target="collection", link="collection.labels", is_reverse=True
        ),
    ),
    is_named=True,
    short_name="label",
)

ARTIFACT = RegistrySpec(
    name="artifact",
    bears_features=True,
    title="Artifact",
    fields=(
        FieldSpec(name="key", max_length=1024, is_indexed=True, help="name that points at it"),
        _DESCRIPTION,
        FieldSpec(
            name="suffix",
            max_length=64,
            blank="",
            is_also_of_keys=True,
            help="ending of the file name",
        ),
        FieldSpec(name="size", kind="integer", blank=0, help="bytes of all content"),
        FieldSpec(name="n_files", kind="integer", help="files of a folder"),
        FieldSpec(name="hash", is_indexed=True, blank=MARK, help="content hash, base64url"),
        FieldSpec(name="hash_type", is_kept=True, help="md5, sha256 or md5-d"),
        FieldSpec(name="digest", blank=MARK, help="sha256 over all content"),
        _VERSION,
        _IS_LATEST,
        FieldSpec(name="storage", blank=MARK, help="root that holds the content"),
        FieldSpec(
            name="storage_key",
            max_length=4096,
            blank=MARK,
            help="path of the content below the root",
        ),
        FieldSpec(name="in_place", kind="boolean", is_kept=True, help="left where the user had it"),
        FieldSpec(name="is_declared", kind="boolean", is_kept=True, help="told by another tool"),
        FieldSpec(name="claimed", kind="json", help="hashes that declared content is said to have"),
        FieldSpec(name="whereabouts", help="where declared content is said to be"),
        _RETRACTION,
    ),
    relations=(
        _RUN,
        RelationSpec(name="labels", target="ulabel", link="artifact.labels", is_editable=True),
        RelationSpec(name="runs", target="run", link="artifact.runs"),
        RelationSpec(name="input_of", target="run", link="run.inputs", is_reverse=True),
        RelationSpec(
            name="collections", target="collection", link="collection.artifacts", is_reverse=True
        ),
        RelationSpec(name="revises", target="artifact", column="revises"),
    ),
    uid_length=16,
    is_versioned=True,
    has_keys=True,
    searched=("key", "description"),
)

COLLECTION = RegistrySpec(
    name="collection",
    bears_features=True,
    title="Collection",
    fields=(
        _NAME,
        _DESCRIPTION,
        FieldSpec(name="hash", is_indexed=True, blank=MARK, help="hash over the members' hashes"),
        FieldSpec(name="digest", blank=MARK, help="sha256 over the members' digests"),
        FieldSpec(
            name="is_ordered",
            kind="boolean",
            is_kept=True,
            help="whether the order of members counts",
        ),
        _VERSION,
        _IS_LATEST,
        _RETRACTION,
    ),
    relations=(
        _RUN,
        RelationSpec(name="artifacts", target="artifact", link="collection.artifacts"),
        RelationSpec(name="labels", target="ulabel", link="collection.labels", is_editable=True),
        RelationSpec(name="revises", target="collection", column="revises"),
    ),
    uid_length=16,
    is_versioned=True,
    has_names=True,
)

TRANSFORM = RegistrySpec(
    name="transform",
    title="Transform",
    fields=(
        _NAME,
        FieldSpec(name="key", max_length=1024, is_indexed=True, help="path of its source"),
        _VERSION,
        FieldSpec(name="kind", is_kept=True, help="script, notebook, command, repl or function"),
        _DESCRIPTION,
        FieldSpec(name="source_hash", help="hash of its source text"),
        FieldSpec(name="source", help="blob that holds its source text"),
        _IS_LATEST,
        _RETRACTION,
    ),
    relations=(
        _RUN,
        RelationSpec(name="runs", target="run", column="transform", is_reverse=True),
        RelationSpec(name="revises", target="transform", column="revises"),
    ),
    uid_length=12,
    is_versioned=True,
    searched=("name", "key", "description"),
)

RUN = RegistrySpec(
    name="run",
    bears_features=True,
    title="Run",
    fields=(
        msgspec.structs.replace(_NAME, blank=None),
        FieldSpec(
            name="status", is_kept=True, help="started, finished, ended, failed or abandoned"
        ),
        FieldSpec(name="started_at", kind="time", is_kept=True, help="when it began"),
        FieldSpec(name="finished_at", kind="time", is_kept=True, help="when it ended"),
        FieldSpec(
            name="params", kind="json", blank="{}", is_looked_into=True, help="its parameters"
        ),
        FieldSpec(name="arguments", kind="json", blank="[]", help="command-line arguments"),
        FieldSpec(
            name="task",
            kind="json",
            is_looked_into=True,
            help="variables that tell it from the other processes of a job",
        ),
        FieldSpec(name="ordinal", kind="integer", is_kept=True, help="which run of its identity"),
        FieldSpec(
            name="resumptions", kind="integer", is_kept=True, help="how often it was continued"
        ),
        FieldSpec(name="environment_blob", is_kept=True, help="blob that holds its environment"),
        FieldSpec(
            name="modules",
            kind="json",
            blank="{}",
            help="imported distributions and their versions",
        ),
        FieldSpec(name="git_commit", help="commit of the working folder"),
        FieldSpec(
            name="git_is_dirty", kind="boolean", is_kept=True, help="whether the folder had changes"
        ),
        FieldSpec(name="host", help="computer it ran on"),
        FieldSpec(name="error", help="what a failed run said"),
        FieldSpec(
            name="is_consecutive", kind="boolean", is_kept=True, help="notebook: cells ran in order"
        ),
        _RETRACTION,
    ),
    relations=(
        RelationSpec(name="transform", target="transform", column="transform"),
        RelationSpec(name="inputs", target="artifact", link="run.inputs"),
        RelationSpec(name="outputs", target="artifact", link="artifact.runs", is_reverse=True),
        RelationSpec(name="forked_from", target="run", column="forked_from", is_indexed=False),
        RelationSpec(name="initiated_by", target="run", column="initiated_by"),
        RelationSpec(name="ulabels", target="ulabel", column="run", is_reverse=True),
        RelationSpec(name="collections", target="collection", column="run", is_reverse=True),
    ),
    uid_length=16,
    called_by="transform",
    searched=("name",),
)

# A registry may be added while a program runs: values that follow from these are computed on demand
# and cached for each spec.
REGISTRIES = Catalogue(
    {spec.name: spec for spec in (ULABEL, ARTIFACT, COLLECTION, TRANSFORM, RUN, FEATURE)}
)


def erased_text(uid: str) -> str:
    """Return the text that replaces a text which an erased record must have."""
    return MARK.format(uid=uid)
