"""Whether an instance is whole: each row that another one names is there, and no uid is twice.

Each value is of the kind that its column has in LaminDB: SQLite itself keeps any kind in any.

The whole instance is refused by the uid of the first row that is not.
"""

from __future__ import annotations

import re
from typing import Any

from ledger.bridges.lamindb.read import Instance, Row
from ledger.errors import InvalidValueError, printable

_UID = re.compile(r"[0-9A-Za-z_-]{4,64}")
_OF_TRANSFORM = re.compile("[0-9A-Za-z]{12,}")
WITH_UID = ("storage", "ulabel", "transform", "run", "artifact", "collection", "feature", "record")
# Column, table that it names: of every table that has the column.
_NAMED = {
    "created_by_id": "user", "storage_id": "storage", "run_id": "run", "transform_id": "transform",
    "artifact_id": "artifact", "ulabel_id": "ulabel", "collection_id": "collection",
    "feature_id": "feature", "record_id": "record", "child_id": "ulabel", "parent_id": "ulabel",
    "initiated_by_run_id": "run", "environment_id": "artifact", "report_id": "artifact",
    "source_code_id": "artifact", "param_id": "param", "paramvalue_id": "paramvalue",
}  # fmt: skip
# A row without these is none: an artifact lies somewhere, a run is of something, a link has ends.
_ALWAYS = {("artifact", "storage_id"), ("run", "transform_id")} | {
    (table, "run_id")
    for table in ("recreating", "either_runs", "previous", "input", "runvalue", "runparamvalue")
}
_ENDS = {"artifact_id", "ulabel_id", "collection_id", "record_id", "child_id", "parent_id",
         "param_id", "paramvalue_id"}  # fmt: skip
# `value_id` and `type_id` lead to other tables from one table than from another.
_NAMED_BY = {
    ("artifactvalue", "value_id"): "value", ("runvalue", "value_id"): "value",
    ("recordrecord", "value_id"): "record", ("recordulabel", "value_id"): "ulabel",
    ("ulabel", "type_id"): "ulabel", ("record", "type_id"): "record",
}  # fmt: skip

_TEXTS = frozenset(
    {
        *("handle", "name", "root", "instance_uid", "description", "key", "real_key", "suffix"),
        *("kind", "version", "source_code", "cli_args", "hash", "hash_type", "dtype", "unit"),
    }
)
_NUMBERS = frozenset({"id", "branch_id", "size", "n_files", "status"})

ById = dict[str, dict[Any, Row]]


def require_whole(instance: Instance, by_id: ById) -> None:
    """See to it that an instance is whole.

    Raises:
        InvalidValueError: It is torn; the message names the uid of the row.
    """
    for table in WITH_UID:
        _require_uids(instance, table)
    for table, rows in instance.tables.items():
        named = list(_NAMED.items())
        named += [(column, to) for (of, column), to in _NAMED_BY.items() if of == table]
        for row in rows:
            _require_kinds(instance, table, row)
            for column, target in named:
                if column not in row:
                    continue
                there = row[column]
                if there is None and column not in _ENDS and (table, column) not in _ALWAYS:
                    continue
                if there not in by_id.get(target, {}):
                    raise _torn(instance, table, row, target, there)


def _require_kinds(instance: Instance, table: str, row: Row) -> None:
    for column, value in row.items():
        if column in _TEXTS:
            is_right, wanted = value is None or isinstance(value, str), "text"
        elif column in _NUMBERS:
            is_right = isinstance(value, int) or (value is None and column != "id")
            wanted = "a whole number"
        else:
            continue
        if not is_right:
            uid = printable(str(row.get("uid") or f"number {row['id']}"))
            raise InvalidValueError(
                f"lamindb {instance.where}: {instance.name(table)} {uid}: expected {wanted} as "
                f"{column}, got {value!r:.60}; nothing was recorded"
            )


def _torn(instance: Instance, table: str, row: Row, target: str, there: object) -> Exception:
    uid = printable(str(row.get("uid") or f"number {row['id']}"))
    return InvalidValueError(
        f"lamindb {instance.where}: {instance.name(table)} {uid} names {target} {there}, and "
        f"{instance.name(target)} has no such row; the instance is torn, and nothing was recorded"
    )


def _require_uids(instance: Instance, table: str) -> None:
    seen = set()
    form = _OF_TRANSFORM if table == "transform" else _UID
    for row in instance.rows(table):
        uid = row["uid"]
        if isinstance(uid, str) and form.fullmatch(uid) and uid not in seen:
            seen.add(uid)
            continue
        why = "is there twice" if uid in seen else "is none that LaminDB gives"
        raise InvalidValueError(
            f"lamindb {instance.where}: {instance.name(table)}: uid {printable(str(uid))!r:.80} "
            f"{why}; nothing was recorded"
        )
