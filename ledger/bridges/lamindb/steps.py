"""An instance of LaminDB as neutral steps: its rows, and when they happened.

The text of a file that LaminDB keeps of a run for itself comes in with the run, or with its
transform. Where the order of versions, or the latest of them, is another one here, a note says so.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ledger.bridges.lamindb.chosen import Chosen
from ledger.bridges.lamindb.columns import KINDS, TRASH
from ledger.bridges.lamindb.families import other_latest
from ledger.bridges.lamindb.kept import kept
from ledger.bridges.lamindb.places import place, text_at
from ledger.bridges.lamindb.read import Instance, Row
from ledger.bridges.lamindb.typed import Typed
from ledger.bridges.lamindb.whole import WITH_UID
from ledger.bridges.steps import (
    AnyStep,
    CollectionSeen,
    ContentSeen,
    Input,
    Label,
    LeftOut,
    Link,
    Reproduced,
    RunEnded,
    RunSeen,
    TransformVersion,
    Trash,
)
from ledger.errors import printable

_STEM = 12  # digits of a uid that the versions of a transform share
_SAID_NEVER = (
    "LaminDB keeps no earlier names and descriptions of a record, and no label that was taken "
    "away: they are not in it, so they cannot come in"
)


class Reader(Chosen):
    """Turns the rows of an instance into steps."""

    def __init__(
        self, instance: Instance, *, roots: Mapping[str, str], branch: str | None = None
    ) -> None:
        """Check the whole instance; see `Chosen`."""
        super().__init__(instance, roots=roots, branch=branch)
        self.typed = Typed(self)

    def steps(self) -> Iterator[AnyStep]:
        """Return every step; times, not this order, tell what happened when."""
        yield from self._left_out()
        yield from self._labels()
        yield from self._transforms()
        yield from self._runs()
        yield from self._artifacts()
        yield from self._collections()
        yield from self._inputs()
        yield from self._artifact_labels()
        yield from self.typed.steps()
        yield from self._trash()
        yield from kept(self.instance, self.source, self.typed.unplaced)
        self._tell()

    def _left_out(self) -> Iterator[AnyStep]:
        read = {row["environment_id"] for row in self.instance.rows("run")}
        code = {row["source_code_id"] for row in self.instance.rows("transform")}
        for table in WITH_UID[1:]:
            for row in self.instance.rows(table):
                if row["id"] in self.brought[table]:
                    continue
                if table == "artifact" and row["id"] in self.own:
                    used = row["id"] in read or row["id"] in code
                    why = "a file of LaminDB's own for runs" + (
                        ", whose text comes in with its run or transform" if used else ""
                    )
                else:
                    name = self.branches.get(row["branch_id"], str(row["branch_id"]))
                    why = f"it lies on the branch '{printable(name)}'; --branch brings it"
                yield LeftOut(table=table, row=row["uid"], why=why)

    def _labels(self) -> Iterator[AnyStep]:
        for row in self.rows_in("ulabel"):
            yield Label(
                **self.born("ulabel", row),
                ref=row["uid"],
                name=str(row["name"]),
                description=row["description"] or None,
            )
        pairs = [(it["child_id"], it["parent_id"]) for it in self.instance.rows("ulabel_parents")]
        pairs += [
            (it["id"], it["type_id"]) for it in self.rows_in("ulabel") if it["type_id"] is not None
        ]
        for child, parent in dict.fromkeys(pairs):
            held, target = self.ref("ulabel", child), self.ref("ulabel", parent)
            if held is not None and target is not None:
                row = self.by_id["ulabel"][child]
                at = max(self.at["ulabel", child], self.at["ulabel", parent])
                told = self.born("ulabel", row) | {"at": at}
                yield Link(**told, ref=held, field="parents", target=target)

    def _transforms(self) -> Iterator[AnyStep]:
        for members in self.families["transform"]:
            sources: list[str | None] = []
            revises: str | None = None
            for row in members:
                source = row["source_code"]
                if source is None and row["source_code_id"] is not None:
                    source = self._own_text(row["source_code_id"])
                # Where the text tells two versions apart, no version is pinned.
                is_told = source not in sources
                sources.append(source)
                yield TransformVersion(
                    **self.born("transform", row),
                    ref=row["uid"],
                    stem=row["uid"][:_STEM],
                    key=str(row["key"] or row["name"] or row["uid"]),
                    name=row["name"] or None,
                    type=str(row["kind"] or "script"),
                    description=row["description"] or None,
                    source=source,
                    version=None if is_told else str(row["version"] or row["uid"][_STEM:]),
                    revises=revises,
                )
                revises = row["uid"]

    def _own_text(self, artifact: int | None) -> str | None:
        """Return the text of a file that LaminDB keeps for a run; None where it cannot be had."""
        if artifact is None:
            return None
        row = self.by_id["artifact"][artifact]
        return text_at(place(row, self.roots[row["storage_id"]]))

    def _params(self) -> dict[int, dict[str, Any]]:
        """Return the parameters of runs that are rows of their own, as they are in 0.x."""
        found: dict[int, dict[str, Any]] = {}
        for row in self.instance.rows("runparamvalue"):
            value = self.by_id["paramvalue"][row["paramvalue_id"]]
            name = str(self.by_id["param"][value["param_id"]]["name"])
            found.setdefault(row["run_id"], {})[name] = value["value"]
        return found

    def _runs(self) -> Iterator[AnyStep]:
        params = self._params()
        unended = 0
        has_status = self.instance.prefix == "lamindb_"
        for row in sorted(self.rows_in("run"), key=lambda it: (self.at["run", it["id"]], it["id"])):
            told = self.born("run", row)
            given = row["params"]
            yield RunSeen(
                **told,
                ref=row["uid"],
                transform=self.by_id["transform"][row["transform_id"]]["uid"],
                name=row["name"] or None,
                params=(given if isinstance(given, dict) else {}) | params.get(row["id"], {}),
                arguments=_arguments(row["cli_args"]),
                environment=self._own_text(row["environment_id"]),
                initiated_by=self._initiator(row),
            )
            if row["finished_at"] is None:
                unended += row["status"] in KINDS
                continue
            status = KINDS.get(row["status"], "ended" if has_status else "finished")
            ended = max(self.moment("run", row, "finished_at"), told["at"])
            yield RunEnded(**told | {"at": ended}, run=row["uid"], status=status)
        if unended:
            self.notes.append(f"{unended:,} runs have a status and no end: they stay started")

    def _initiator(self, row: Row) -> str | None:
        found = row["initiated_by_run_id"]
        if found is None:
            return None
        seen, at = {row["id"]}, found
        while at is not None and at not in seen:
            seen.add(at)
            at = self.by_id["run"][at]["initiated_by_run_id"]
        # A circle has no first run.
        return None if at is not None else self.ref("run", found)

    def _artifacts(self) -> Iterator[AnyStep]:
        for members in self.families["artifact"]:
            revises: str | None = None
            for row in members:
                yield self._content(row, revises)
                revises = row["uid"]
                for run in self.runs_of[row["id"]]:
                    if run == self._maker(row):
                        continue
                    at = max(self.at["artifact", row["id"]], self.at["run", run])
                    by = self.by(self.by_id["run"][run])
                    told = self.born("artifact", row) | {"at": at, "by": by}
                    ref = self.by_id["run"][run]["uid"]
                    yield Reproduced(**told, artifact=row["uid"], run=ref)

    def _maker(self, row: Row) -> int | None:
        """Return the run that made an artifact first, unless it began later than the artifact."""
        chain = self.runs_of[row["id"]]
        if not chain or self.at["run", chain[0]] > self.at["artifact", row["id"]]:
            return None
        return chain[0]

    def _content(self, row: Row, revises: str | None) -> ContentSeen:
        root = self.roots[row["storage_id"]]
        hashed = row["hash"]
        size = row["size"]
        return ContentSeen(
            **self.born("artifact", row),
            ref=row["uid"],
            path=place(row, root),
            storage=root,
            key=row["key"] or None,
            description=row["description"] or None,
            suffix=row["suffix"] or "",
            version=row["version"] or None,
            revises=revises,
            size=size if isinstance(size, int) and size >= 0 else None,
            n_files=row["n_files"],
            claimed=((str(row["hash_type"] or "unknown"), str(hashed)),) if hashed else (),
            run=self.ref("run", self._maker(row)),
        )

    def _collections(self) -> Iterator[AnyStep]:
        for members in self.families["collection"]:
            revises: str | None = None
            for row in members:
                parts = [self.ref("artifact", it) for it in self.members.get(row["id"], [])]
                yield CollectionSeen(
                    **self.born("collection", row),
                    ref=row["uid"],
                    name=str(row["name"]),
                    artifacts=tuple(it for it in parts if it is not None),
                    description=row["description"] or None,
                    version=row["version"] or None,
                    revises=revises,
                    run=self.ref("run", row["run_id"]),
                )
                revises = row["uid"]

    def _inputs(self) -> Iterator[AnyStep]:
        table = self.instance.name("input").removeprefix(self.instance.prefix)
        for row in self.instance.rows("input"):
            artifact = str(self.by_id["artifact"][row["artifact_id"]]["uid"])
            run = str(self.by_id["run"][row["run_id"]]["uid"])
            told: dict[str, Any] = {"table": table, "row": f"{artifact} {run}"}
            if not self._are_in(("artifact", row["artifact_id"]), ("run", row["run_id"])):
                yield LeftOut(**told, why="it belongs to what is left out")
                continue
            at = max(self.at["artifact", row["artifact_id"]], self.at["run", row["run_id"]])
            by = self.by(self.by_id["run"][row["run_id"]])
            yield Input(**told, at=at, by=by, artifact=artifact, run=run)

    def _are_in(self, *rows: tuple[str, int]) -> bool:
        return all(key in self.brought[table] for table, key in rows)

    def _artifact_labels(self) -> Iterator[AnyStep]:
        seen = set()
        for row in self.instance.rows("artifactulabel"):
            artifact, label = row["artifact_id"], row["ulabel_id"]
            ref, target = (
                str(self.by_id["artifact"][artifact]["uid"]),
                str(self.by_id["ulabel"][label]["uid"]),
            )
            told: dict[str, Any] = {"table": "artifactulabel", "row": f"{ref} {target}"}
            if told["row"] in seen:
                continue
            seen.add(told["row"])
            if not self._are_in(("artifact", artifact), ("ulabel", label)):
                yield LeftOut(**told, why="it belongs to what is left out")
                continue
            when = self.linked(row, ("artifact", artifact), ("ulabel", label))
            yield Link(**told, **when, ref=ref, field="labels", target=target)

    def _trash(self) -> Iterator[AnyStep]:
        found = 0
        for table in ("ulabel", "artifact", "collection", "transform", "run", "record"):
            for row in self.rows_in(table):
                if row["branch_id"] == TRASH and not row.get("is_type"):
                    found += 1
                    yield Trash(table=table, row=row["uid"], ref=row["uid"])
        if found:
            self.notes.append(
                f"{found:,} records lie in LaminDB's trash: when they went there is not known, so "
                "they go to the trash of this ledger as they come in"
            )

    def _tell(self) -> None:
        people = [
            f"{printable(str(it['handle']))} ({printable(str(it['uid']))})"
            for it in self.instance.rows("user")
        ]
        more = f" and {len(people) - 20:,} more" if len(people) > 20 else ""  # noqa: PLR2004
        self.notes.append(f"people of LaminDB: {', '.join(people[:20]) or 'none'}{more}")
        for table in ("artifact", "transform", "collection"):
            self.notes += [
                f"{table} {told}" for it in self.families[table] if (told := other_latest(it))
            ]
        self.notes.append(_SAID_NEVER)


def _arguments(text: object) -> tuple[str, ...]:
    if not text:
        return ()
    try:
        return tuple(shlex.split(str(text)))
    except ValueError:
        return (str(text),)
