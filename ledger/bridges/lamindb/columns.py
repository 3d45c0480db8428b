"""Tables and columns of LaminDB by the names that its versions gave them, one table for all shapes.

1. An instance is told by the tables that it has, never by a version number: `lnschema_core_…` are
   those of 0.x, `lamindb_…` those of 1.0 and later.
2. Each column has one name here, and all names that it had there. The first that is found counts.
3. A column that is needed and missing refuses the instance. Other columns are empty then.
4. A column that is not named here has no place in the ledger. Its values are kept, not dropped,
   except for those that `DULL` names: they say nothing of the user's work.
"""

from __future__ import annotations

import msgspec

PREFIXES = ("lamindb_", "lnschema_core_")


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A table in all its shapes.

    Attributes:
        tables: Its names there without the prefix; the first that is found counts.
        needed: Name here, and names there, of each column that must exist.
        further: The same for columns that may be missing.
        is_needed: Whether an instance without the table is none.
        json: Columns (names here) whose text is JSON in SQLite.
        is_read_in_part: Whether other columns say nothing that may be kept, such as a person's
            whole name.
    """

    tables: tuple[str, ...]
    needed: dict[str, tuple[str, ...]]
    further: dict[str, tuple[str, ...]] = {}
    is_needed: bool = False
    json: tuple[str, ...] = ()
    is_read_in_part: bool = False


def _same(*names: str) -> dict[str, tuple[str, ...]]:
    return {name: (name,) for name in names}


# In the trash, in the archive or on a branch: -1, 0 or 1 before there were other branches.
_BRANCH = {"branch_id": ("branch_id", "_branch_code", "visibility")}
_BORN = _same("created_at", "created_by_id")

SHAPES: dict[str, Shape] = {
    "user": Shape(
        tables=("user",),
        needed=_same("id", "uid", "handle"),
        is_needed=True,
        is_read_in_part=True,
    ),
    "branch": Shape(tables=("branch",), needed=_same("id", "name"), is_read_in_part=True),
    "storage": Shape(
        tables=("storage",),
        needed=_same("id", "uid", "root"),
        further=_same("instance_uid", "description", "type", "region", "run_id") | _BORN,
        is_needed=True,
    ),
    "ulabel": Shape(
        tables=("ulabel",),
        needed=_same("id", "uid", "name", "created_at"),
        further=_same("created_by_id", "description", "is_type", "type_id", "run_id") | _BRANCH,
        is_needed=True,
    ),
    "ulabel_parents": Shape(
        tables=("ulabel_parents", "ulabel__parents"),
        needed={
            "id": ("id",),
            "child_id": ("from_ulabel_id", "child_id"),
            "parent_id": ("to_ulabel_id", "parent_id"),
        },
    ),
    "transform": Shape(
        tables=("transform",),
        needed=_same("id", "uid", "created_at"),
        further={
            **_same("created_by_id", "key", "name", "description", "source_code", "is_latest"),
            **_same("source_code_id", "latest_report_id", "_source_code_artifact_id"),
            "kind": ("kind", "type"),
            "version": ("version_tag", "version"),
            **_BRANCH,
        },
        is_needed=True,
    ),
    "run": Shape(
        tables=("run",),
        needed=_same("id", "uid", "started_at", "transform_id"),
        further={
            **_same("finished_at", "name", "params", "cli_args", "environment_id", "report_id"),
            **_same("initiated_by_run_id", "created_at", "created_by_id"),
            "status": ("_status_code",),
            **_BRANCH,
        },
        is_needed=True,
        json=("params",),
    ),
    "artifact": Shape(
        tables=("artifact",),
        needed={
            **_same("id", "uid", "key", "suffix", "size", "hash", "created_at", "storage_id"),
            "hash_type": ("_hash_type", "hash_type"),
            "key_is_virtual": ("_key_is_virtual", "key_is_virtual"),
            **_BRANCH,
        },
        further={
            **_same("description", "run_id", "created_by_id", "is_latest", "transform_id"),
            "n_files": ("n_files", "n_objects"),
            "is_overwritten": ("_overwrite_versions",),
            "real_key": ("_real_key",),
            "kind": ("kind", "type"),
            "version": ("version_tag", "version"),
        },
        is_needed=True,
    ),
    # Runs that made an artifact again. Until 1.0 these are the runs before the present one; in
    # between, one name served for both meanings.
    "recreating": Shape(
        tables=("artifact_recreating_runs",), needed=_same("id", "artifact_id", "run_id")
    ),
    "either_runs": Shape(
        tables=("artifact__previous_runs",), needed=_same("id", "artifact_id", "run_id")
    ),
    "previous": Shape(
        tables=("artifact_previous_runs",), needed=_same("id", "artifact_id", "run_id")
    ),
    "input": Shape(
        tables=("artifact_input_of_runs", "artifact__input_of_runs", "artifact_input_of"),
        needed=_same("id", "artifact_id", "run_id"),
        is_needed=True,
    ),
    "artifactulabel": Shape(
        tables=("artifactulabel",),
        needed=_same("id", "artifact_id", "ulabel_id"),
        further=_same("feature_id", "run_id") | _BORN,
        is_needed=True,
    ),
    "collection": Shape(
        tables=("collection",),
        needed={"id": ("id",), "uid": ("uid",), "name": ("key", "name"), **_same("created_at")},
        further={
            **_same("created_by_id", "description", "hash", "run_id", "is_latest", "transform_id"),
            "version": ("version_tag", "version"),
            **_BRANCH,
        },
        is_needed=True,
    ),
    "collectionartifact": Shape(
        tables=("collectionartifact", "collection_artifacts"),
        needed=_same("id", "artifact_id", "collection_id"),
        further=_same("run_id") | _BORN,
        is_needed=True,
    ),
    "feature": Shape(
        tables=("feature",),
        needed={
            **_same("id", "uid", "name", "created_at"),
            "dtype": ("_dtype_str", "dtype"),
        },
        further=_same("unit", "description", "created_by_id", "is_type", "run_id") | _BRANCH,
    ),
    "value": Shape(
        tables=("jsonvalue", "featurevalue"),
        needed=_same("id", "value", "feature_id"),
        further=_same("hash", "run_id") | _BORN,
        json=("value",),
    ),
    "artifactvalue": Shape(
        tables=("artifactjsonvalue", "artifactfeaturevalue"),
        needed={
            **_same("id", "artifact_id"),
            "value_id": ("jsonvalue_id", "featurevalue_id"),
        },
        further=_same("run_id") | _BORN,
    ),
    "runvalue": Shape(
        tables=("runjsonvalue", "runfeaturevalue"),
        needed={**_same("id", "run_id"), "value_id": ("jsonvalue_id", "featurevalue_id")},
        further=_BORN,
    ),
    "param": Shape(tables=("param",), needed=_same("id", "name"), further=_same("dtype")),
    "paramvalue": Shape(
        tables=("paramvalue",), needed=_same("id", "value", "param_id"), json=("value",)
    ),
    "runparamvalue": Shape(
        tables=("runparamvalue",), needed=_same("id", "run_id", "paramvalue_id")
    ),
    "record": Shape(
        tables=("record",),
        needed=_same("id", "uid", "name", "created_at"),
        further=_same("created_by_id", "description", "is_type", "type_id", "run_id") | _BRANCH,
    ),
    "recordjson": Shape(
        tables=("recordjson",),
        needed=_same("id", "value", "feature_id", "record_id"),
        json=("value",),
    ),
    "recordrecord": Shape(
        tables=("recordrecord",), needed=_same("id", "feature_id", "record_id", "value_id")
    ),
    "recordulabel": Shape(
        tables=("recordulabel",),
        needed={
            **_same("id", "feature_id", "record_id"),
            "value_id": ("value_id", "ulabel_id"),
        },
    ),
    "artifactrecord": Shape(
        tables=("artifactrecord",),
        needed=_same("id", "artifact_id", "feature_id", "record_id"),
        further=_same("run_id") | _BORN,
    ),
}

# Say nothing of the user's work: when a row was last touched, and settings of LaminDB's own.
DULL = frozenset(
    {
        *("id", "updated_at", "created_on_id", "is_locked", "n_members", "hash", "branch_id"),
        *("_is_consecutive", "is_consecutive", "array_rank", "array_size", "array_shape"),
        *("nullable", "coerce", "ulabel_ref_is_name", "feature_ref_is_name", "space_id"),
    }
)
# Tables of LaminDB's own upkeep, and of the web frame that it uses.
OWN_TABLES = ("django_", "auth_", "sqlite_", "hubmodule_", "pg_")
OWN_NAMES = frozenset({"space", "migration", "user"})

KINDS = {0: "finished", 1: "failed", 2: "ended"}  # `_status_code` of a run that ended
TRASH, ARCHIVE, MAIN = -1, 0, 1  # ids of the branches that every instance has
OWN_KIND = "__lamindb_run__"  # artifacts that hold LaminDB's own files of runs
