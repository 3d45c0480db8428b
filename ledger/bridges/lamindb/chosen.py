"""The rows of an instance that come in, checked and dated.

1. A row that another one names must be there: with its storage, run, transform, person or link
   missing, the whole instance is refused by the uid of the row.
2. What lies on another branch than `main`, or in the archive, is left out, unless something that
   comes in needs it.
3. Files that LaminDB keeps of runs for itself are no artifacts here.
4. Times are LaminDB's own, as far as they do not contradict what happened (`dates`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ledger.bridges.lamindb.columns import ARCHIVE, MAIN, OWN_KIND, TRASH
from ledger.bridges.lamindb.dates import At, Dates, begun, moment
from ledger.bridges.lamindb.families import families
from ledger.bridges.lamindb.places import moved
from ledger.bridges.lamindb.read import Instance, Row
from ledger.bridges.lamindb.whole import WITH_UID, require_whole
from ledger.bridges.steps import Source
from ledger.errors import InvalidValueError, printable

_VERSIONED = ("transform", "artifact", "collection")


class Chosen:
    """The rows of an instance that come in, with what the steps of a row say of it.

    Attributes:
        source: The instance, as its records are named by.
        notes: Sentences about what comes in otherwise than LaminDB has it.
    """

    def __init__(
        self, instance: Instance, *, roots: Mapping[str, str], branch: str | None = None
    ) -> None:
        """Check the whole instance; see the rules above.

        Args:
            instance: What was read.
            roots: New place of each root that was moved.
            branch: Name of a branch that comes in beside `main`.

        Raises:
            InvalidValueError: The instance is torn, or there is no such branch or root.
        """
        self.instance = instance
        self.notes: list[str] = []
        self.by_id = {
            table: {row["id"]: row for row in rows} for table, rows in instance.tables.items()
        }
        require_whole(instance, self.by_id)
        self.source = Source(tool="lamindb", instance=_identity(instance), where=instance.where)
        stored = {row["id"]: str(row["root"]) for row in instance.rows("storage")}
        self.roots = moved(stored, roots, instance.where)
        self.branches = _branches(instance)
        self._branch = self._branch_id(branch)
        self.own = self._own_artifacts()
        self.runs_of = {row["id"]: it for row, it in self._chains()}
        self.members = self._members()
        self.brought = self._needed()
        self.families = {
            table: families(self.rows_in(table), self._time_of(table)) for table in _VERSIONED
        }
        self.at = self._dated()

    # --- checks ----------------------------------------------------------------------------------

    def fail(self, what: str) -> InvalidValueError:
        """Return an error that names the instance."""
        return InvalidValueError(f"lamindb {self.instance.where}: {what}")

    def _branch_id(self, name: str | None) -> int | None:
        if name is None or name == "main":
            return None
        found = [key for key, called in self.branches.items() if called == name and key != TRASH]
        if not found:
            there = ", ".join(printable(it) for key, it in self.branches.items() if key != TRASH)
            raise self.fail(f"branch {name!r:.80}: there is none of that name; it has {there}")
        return found[0]

    # --- what comes in ---------------------------------------------------------------------------

    def _own_artifacts(self) -> set[int]:
        """Return the ids of files that LaminDB keeps of runs and transforms for itself."""
        named = {
            row[column]
            for table, columns in (
                ("run", ("environment_id", "report_id")),
                ("transform", ("source_code_id", "latest_report_id", "_source_code_artifact_id")),
            )
            for row in self.instance.rows(table)
            for column in columns
        }
        return {
            row["id"]
            for row in self.instance.rows("artifact")
            if row["kind"] == OWN_KIND
            or (row["id"] in named and (row["branch_id"] == ARCHIVE or row["key"] is None))
        }

    def _chains(self) -> Iterator[tuple[Row, list[int]]]:
        """Return the runs that made each artifact, first to last."""
        links: dict[str, dict[int, list[int]]] = {}
        for table in ("recreating", "previous", "either_runs"):
            for row in self.instance.rows(table):
                links.setdefault(table, {}).setdefault(row["artifact_id"], []).append(row["run_id"])
        for row in self.instance.rows("artifact"):
            run = [] if row["run_id"] is None else [row["run_id"]]
            before = [it for it in links.get("previous", {}).get(row["id"], []) if it not in run]
            after = [it for it in links.get("recreating", {}).get(row["id"], []) if it not in run]
            chain = [*before, *run, *after]
            if others := links.get("either_runs", {}).get(row["id"], []):
                chain = sorted(
                    {*chain, *others},
                    key=lambda it: (begun(self.instance, self.by_id["run"][it]), it),
                )
            yield row, list(dict.fromkeys(chain))

    def _members(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for row in self.instance.rows("collectionartifact"):
            if row["artifact_id"] not in self.own:
                found.setdefault(row["collection_id"], []).append(row["artifact_id"])
        return found

    def _needed(self) -> dict[str, set[int]]:
        """Return the ids of the rows that come in, by table."""
        kinds = {MAIN, TRASH, None, self._branch}
        found = {
            table: {
                row["id"]
                for row in self.instance.rows(table)
                if row.get("branch_id") in kinds
                and not (table == "artifact" and row["id"] in self.own)
            }
            for table in WITH_UID
        }
        for collection in found["collection"]:
            found["artifact"].update(self.members.get(collection, []))
        for artifact in found["artifact"]:
            found["run"].update(self.runs_of[artifact])
        for row in self.instance.rows("collection"):
            if row["id"] in found["collection"] and row["run_id"] is not None:
                found["run"].add(row["run_id"])
        found["record"].update(
            row["type_id"]
            for row in self.instance.rows("record")
            if row["id"] in found["record"] and row["type_id"] is not None
        )
        waiting = list(found["run"])
        while waiting:
            row = self.by_id["run"][waiting.pop()]
            found["transform"].add(row["transform_id"])
            parent = row["initiated_by_run_id"]
            if parent is not None and parent not in found["run"]:
                found["run"].add(parent)
                waiting.append(parent)
        return found

    def rows_in(self, table: str) -> list[Row]:
        """Return the rows of a table that come in."""
        return [row for row in self.instance.rows(table) if row["id"] in self.brought[table]]

    # --- times -----------------------------------------------------------------------------------

    def moment(self, table: str, row: Row, column: str = "created_at") -> dt.datetime:
        """Return a time of a row; see `dates.moment`."""
        return moment(self.instance, table, row, column)

    def _dated(self) -> At:
        dates = Dates(self.instance, self.by_id)
        dates.runs(self.brought["run"])
        dates.transforms(self.families["transform"], self.brought["run"])
        dates.versions("artifact", self.families["artifact"], {})
        parts = {
            row["id"]: [
                *(("artifact", it) for it in self.members.get(row["id"], [])),
                *(() if row["run_id"] is None else (("run", row["run_id"]),)),
            ]
            for row in self.rows_in("collection")
        }
        dates.versions("collection", self.families["collection"], parts)
        for table in ("ulabel", "feature", "record"):
            dates.others(table, self.rows_in(table))
        if dates.moved:
            self.notes.append(
                f"{dates.moved:,} records have another time than in LaminDB: there it contradicts "
                "what they are made of, what they made, or the version before them"
            )
        return dates.at

    def _time_of(self, table: str) -> Callable[[Row], dt.datetime]:
        return lambda row: self.moment(table, row)

    # --- what the steps of a row say ---

    def born(self, table: str, row: Row) -> dict[str, Any]:
        """Return what every step of a row says: table, row, time and person."""
        return {
            "table": table,
            "row": row["uid"],
            "at": self.at[table, row["id"]],
            "by": self.by(row),
        }

    def by(self, row: Row) -> str | None:
        """Return the handle of the person who made a row; None where LaminDB names nobody."""
        person = row.get("created_by_id")
        return None if person is None else str(self.by_id["user"][person]["handle"])

    def ref(self, table: str, key: int | None) -> str | None:
        """Return the uid of a row that comes in; None for none."""
        if key is None or key not in self.brought[table]:
            return None
        return str(self.by_id[table][key]["uid"])

    def linked(self, row: Row, *ends: tuple[str, int]) -> dict[str, Any]:
        """Return time, person and run of a link: no earlier than what it links, and its run."""
        parts = [self.at[end] for end in ends]
        parts += [] if row.get("created_at") is None else [self.moment("link", row)]
        run = row.get("run_id")
        if run is not None and run in self.brought["run"]:
            parts.append(self.at["run", run])
        return {"at": max(parts), "by": self.by(row), "run": self.ref("run", run)}


def _identity(instance: Instance) -> str:
    """Return what identifies an instance for good, wherever it lies."""
    rows = instance.rows("storage")
    named = next((it["instance_uid"] for it in rows if it["instance_uid"]), None)
    if named is None and rows:
        named = rows[0]["uid"]
    if named is None:
        raise InvalidValueError(
            f"lamindb {instance.where}: {instance.name('storage')} has no row; the instance is "
            "torn, and nothing was recorded"
        )
    return str(named)


def _branches(instance: Instance) -> dict[int, str]:
    found = {TRASH: "trash", ARCHIVE: "archive", MAIN: "main"}
    return found | {row["id"]: str(row["name"]) for row in instance.rows("branch")}
