"""The interval tables, their columns, keys and indexes, as data.

1. Every row is valid over `[from_position, to_position)`; an open end is `FOREVER`.
2. At any position at most one row of a key is valid.
3. A column's kind is one of `text`, `integer`, `real`, `boolean`, `time`
   (microseconds), `json` (text).
4. The schema number below is derived from this module's data: any change of it makes older
   read models be rebuilt from the log, never migrated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache

import msgspec

from ledger.model.schema import REGISTRIES, RegistrySpec

FOREVER = 2**63 - 1


class Column(msgspec.Struct, frozen=True):
    """A column: its name and kind."""

    name: str
    kind: str = "text"


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """An index.

    Attributes:
        columns: Its columns, in order.
        is_unique: Whether it guards live rows (state 0, open end), and holds no others.
        is_present: Whether it holds only rows that are valid now (open end).
    """

    columns: tuple[str, ...]
    is_unique: bool = False
    is_present: bool = False


class Table(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A table: `key` names one subject; the primary key is `key` and `from_position`."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexes: tuple[Index, ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of its own columns and of the two that bound a row's validity."""
        return (*(column.name for column in self.columns), "from_position", "to_position")


_COMMON = (
    Column("uid"),
    Column("stream"),
    Column("natural"),
    Column("n", "integer"),
    Column("state", "integer"),
    Column("created_position", "integer"),
    Column("created_at", "time"),
    Column("created_by"),
    Column("updated_at", "time"),
    Column("changed_by"),
)


@lru_cache(maxsize=256)
def _registry_table(spec: RegistrySpec) -> Table:
    own = [Column(field.name, field.kind) for field in spec.fields if not field.is_virtual]
    to_one = [
        (Column(relation.column), relation.is_indexed)
        for relation in spec.relations
        if relation.column is not None and not relation.is_reverse
    ]
    stem = [Column("stem")] if spec.is_versioned else []
    indexes = [
        Index(columns=("natural", "n", "from_position")),
        Index(columns=("created_position", "from_position")),
        # Present records in their order, and all that a count reads: no row has to be looked up.
        Index(columns=("created_position", "state", "to_position"), is_present=True),
        # What changed since a position: name indexes catch up by it, and differences are told.
        Index(columns=("from_position",)),
    ]
    indexes += [
        Index(columns=(field.name, "from_position")) for field in spec.fields if field.is_indexed
    ]
    indexes += [
        Index(columns=(column.name, "from_position")) for column, is_indexed in to_one if is_indexed
    ]
    indexes += [Index(columns=(column.name, "from_position")) for column in stem]
    if spec.is_named:
        indexes.append(Index(columns=("name",), is_unique=True))
    return Table(
        name=spec.name,
        columns=(*_COMMON, *stem, *own, *[column for column, _ in to_one]),
        key=("uid",),
        indexes=tuple(indexes),
    )


LINK = Table(
    name="link",
    columns=(
        Column("field"),
        Column("source"),
        Column("target"),
        Column("ordinal", "integer"),
        Column("run"),
    ),
    # Neither begins with the field: a planner without statistics would take it for selective, and
    # read all links of a kind to find those of one record.
    key=("source", "field", "target"),
    indexes=(Index(columns=("target", "field", "from_position")),),
)

ARTIFACT_KEY = Table(
    name="artifact_key",
    columns=(Column("key"), Column("uid")),
    key=("key",),
    indexes=(Index(columns=("uid", "from_position")),),
)

# A row begins where a record is given a name, and ends where it is given it again or is withdrawn.
BORNE_NAME = Table(
    name="borne_name",
    columns=(Column("name"), Column("uid"), Column("stem")),
    key=("uid", "name"),
    indexes=(Index(columns=("name", "from_position")),),
)

# The values inside the JSON fields that questions look into, as `ledger.model.comparable` says.
INSIDE = Table(
    name="inside",
    columns=(
        Column("field"),
        Column("uid"),
        # Its number in the field, as text of one length: parts of a key are texts.
        Column("item"),
        Column("place"),
        Column("kind"),
        Column("value"),
    ),
    key=("uid", "field", "item"),
    indexes=(Index(columns=("place", "field", "from_position")),),
)

INTENT = Table(
    name="intent",
    columns=(
        Column("run"),
        Column("intent"),
        Column("subject"),
        Column("outcome"),
        Column("ordinal", "integer"),
    ),
    key=("run", "intent"),
)

# The run that a pass has begun or continued, by the token of the pass.
PASS = Table(
    name="pass",
    columns=(Column("token"), Column("run")),
    key=("token",),
    indexes=(Index(columns=("run", "from_position")),),
)

TAG = Table(
    name="tag",
    columns=(
        Column("name"),
        Column("position", "integer"),
        Column("tagged_at", "time"),
        Column("actor"),
    ),
    key=("name",),
)

# A row begins where a record is given the name that it has in another tool; `ref` is the part
# behind the first colon, by which people ask too.
ALIAS = Table(
    name="alias",
    columns=(Column("alias"), Column("ref"), Column("uid"), Column("registry")),
    key=("alias",),
    indexes=(
        Index(columns=("ref", "from_position")),
        Index(columns=("uid", "from_position")),
    ),
)

# Few rows, asked at every read: whether anything is retracted must cost next to nothing.
RETRACTION = Table(
    name="retraction",
    columns=(
        Column("uid"),
        Column("registry"),
        Column("reason"),
        Column("actor"),
        Column("retracted_at", "time"),
    ),
    key=("uid",),
)

MERGER = Table(
    name="merger",
    columns=(
        Column("uid"),
        Column("registry"),
        Column("into"),
        Column("reason"),
        Column("actor"),
        Column("merged_at", "time"),
    ),
    key=("uid",),
    indexes=(Index(columns=("into", "from_position")),),
)

# Registries that the ledger defines, their fields, their records, and the values of these and of
# features. No table is made at run time: a definition is rows.
REGISTRY = Table(
    name="registry",
    columns=(
        Column("name"),
        Column("uid"),
        Column("stream"),
        Column("title"),
        Column("key", "json"),
        Column("description"),
        Column("created_position", "integer"),
        Column("created_at", "time"),
        Column("created_by"),
        Column("changed_at", "time"),
    ),
    key=("name",),
    indexes=(Index(columns=("from_position",)),),
)

FIELD = Table(
    name="field",
    columns=(
        Column("registry"),
        Column("name"),
        Column("uid"),
        Column("shown"),
        Column("former", "json"),
        Column("type"),
        Column("types", "json"),
        Column("unit"),
        Column("bounds", "json"),
        Column("initial", "json"),
        Column("is_required", "boolean"),
        Column("is_retired", "boolean"),
        Column("description"),
        Column("ordinal", "integer"),
    ),
    key=("registry", "name"),
)

RECORD = Table(
    name="record",
    columns=(*_COMMON, Column("registry"), Column("name"), Column("run")),
    key=("uid",),
    indexes=(
        Index(columns=("natural", "n", "from_position")),
        Index(columns=("registry", "created_position", "from_position")),
        Index(columns=("from_position",)),
        Index(columns=("name", "registry", "from_position")),
        Index(columns=("run", "from_position")),
    ),
)

# One row a value, or an item of a list: in `i` if it is a whole number, a truth or a time, in `r`
# if it is another number, in `t` if it is a text or a date. A long one is in `x`, without an index.
VALUE = Table(
    name="value",
    columns=(
        Column("subject"),
        Column("field"),
        # Its number in a list, as text of one length: parts of a key are texts.
        Column("place"),
        Column("i", "integer"),
        Column("r", "real"),
        Column("t"),
        Column("x"),
    ),
    key=("subject", "field", "place"),
    indexes=(
        Index(columns=("field", "i", "from_position")),
        Index(columns=("field", "r", "from_position")),
        Index(columns=("field", "t", "from_position")),
    ),
)

_SHARED = {
    table.name: table
    for table in (
        LINK, ARTIFACT_KEY, BORNE_NAME, INSIDE, INTENT, PASS, TAG, ALIAS, RETRACTION, MERGER,
        REGISTRY, FIELD, RECORD, VALUE,
    )
}  # fmt: skip


class _Tables(Mapping[str, Table]):
    """All tables by name: one for each registry that there is at the moment, then the others."""

    def __getitem__(self, name: str) -> Table:
        spec = REGISTRIES.get(name)
        return _SHARED[name] if spec is None else _registry_table(spec)

    def __contains__(self, name: object) -> bool:
        return name in _SHARED or name in REGISTRIES

    def __iter__(self) -> Iterator[str]:
        return iter((*REGISTRIES, *_SHARED))

    def __len__(self) -> int:
        return len(REGISTRIES) + len(_SHARED)


TABLES = _Tables()

# Raised by hand when the fold changes what it makes of an event while the tables stay alike.
FOLD_NUMBER = 2


def schema_number() -> int:
    """Return the number of the tables that there are, and of what the fold makes of events."""
    described = msgspec.json.encode((FOLD_NUMBER, list(TABLES.values())))
    return int.from_bytes(hashlib.sha256(described).digest()[:4])
