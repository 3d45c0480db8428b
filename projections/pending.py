"""Read models of a bulk: changes wait in memory, and questions are answered as if they were made.

1. What the database says is asked once for each question, hundreds of questions at a time where
   they are expected (`foresee`). The changes that wait are laid over its answers.
2. Rows that wait are finished rows: where several changes of one bulk follow each other, the
   database is given the rows that are left of them, table by table.
3. A question that memory does not answer, such as one for the past, has everything written first.
4. Each change can be taken back: `mark` tells where the changes stand, `return_to` goes there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ledger.model.schema import TRASHED, RegistrySpec
from projections.fold import Amended, Change, Closed, Opened
from projections.resolve import of_registry, require_columns, spec_of
from projections.select import Select, Test
from projections.store import ReadModels, Row, WritableModels, not_there, oldest_first
from projections.tables import FOREVER, TABLES

_MOST_ANSWERS = 20_000  # that are kept when the changes are written

Names = tuple[str, ...]
Values = tuple[object, ...]


class _Rows:
    """The rows of a table that wait: those that a change began, and the ends of older ones."""

    def __init__(self, table: str) -> None:
        described = TABLES[table]
        self.key = described.key
        self.blank: Row = dict.fromkeys(described.column_names)
        self.reals = [it.name for it in described.columns if it.kind == "real"]
        self.begun: list[Row] = []
        self.ended: dict[Values, int] = {}  # key and first position of an older row: its end
        self._valid: dict[int, Row] = {}
        self._by: dict[Names, dict[Values, list[Row]]] = {}
        self._order = oldest_first(table)

    def place(self, row: Row) -> Values:
        return (*(row[name] for name in self.key), row["from_position"])

    def is_own(self, row: Row) -> bool:
        return id(row) in self._valid

    def add(self, row: Row) -> None:
        """Have a row be valid."""
        self._valid[id(row)] = row
        for names, index in self._by.items():
            index.setdefault(tuple([row[name] for name in names]), []).append(row)

    def drop(self, row: Row) -> None:
        """Have a row be valid no more."""
        del self._valid[id(row)]
        for names, index in self._by.items():
            rows = index[tuple([row[name] for name in names])]
            rows[:] = [it for it in rows if it is not row]

    def over(self, answer: list[Row], names: Names, values: Values) -> list[Row]:
        """Return the rows that are valid and equal the values, with those of the database."""
        if self.ended:
            answer = [row for row in answer if self.place(row) not in self.ended]
        index = self._by.get(names)
        if index is None:
            index = self._by[names] = {}
            for row in self._valid.values():
                index.setdefault(tuple([row[name] for name in names]), []).append(row)
        own = index.get(values)
        if not own:
            return answer
        return sorted(answer + own, key=self._rank)

    def _rank(self, row: Row) -> list[tuple[bool, Any]]:
        names = ("from_position", *self._order)
        return [(row[name] is not None, row[name]) for name in names]

    def finished(self) -> list[tuple[object, ...]]:
        """Return the rows that were begun, as `load` takes them."""
        return [tuple(row.values()) for row in self.begun]

    def valid(self) -> Iterable[Row]:
        return self._valid.values()


class PendingModels(WritableModels):
    """Read models inside an append transaction, whose changes wait until they are written."""

    def __init__(self, models: WritableModels, settle: Callable[[], None]) -> None:
        """Begin without changes.

        Args:
            models: The read models.
            settle: Writes what waits, of the log and of the read models.
        """
        self.is_far = models.is_far
        self._models = models
        self._settle = settle
        self._answers: dict[tuple[str, Names], dict[Values, list[Row]]] = {}
        self._rows: dict[str, _Rows] = {}
        self._steps: list[Callable[[], None]] = []
        self._changes: list[tuple[int, Change, int]] = []

    # --- asking -------------------------------------------------------------------------------

    def find(
        self, table: str, *, at: int | None = None, ever: bool = False, **equals: object
    ) -> list[Row]:
        """Return the rows of a table whose columns equal the given values, oldest first."""
        if at is not None or ever:
            return self._written().find(table, at=at, ever=ever, **equals)
        table, equals = of_registry(table, equals)
        return [dict(row) for row in self._now(table, tuple(equals), tuple(equals.values()))]

    def _now(self, table: str, names: Names, values: Values) -> list[Row]:
        answers = self._answers.get((table, names))
        if answers is None:
            require_columns(table, names)
            answers = self._answers[table, names] = {}
        answer = answers.get(values)
        if answer is None:
            equals: dict[str, Any] = dict(zip(names, values, strict=True))
            answer = answers[values] = self._models.find(table, **equals)
        rows = self._rows.get(table)
        return answer if rows is None else rows.over(answer, names, values)

    def foresee(self, questions: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Ask the database all of these questions at once, as far as the answers are unknown."""
        unknown: dict[tuple[str, Names, Values], tuple[str, dict[str, Any]]] = {}
        for asked, given in questions:
            table, equals = of_registry(asked, given)
            names, values = tuple(equals), tuple(equals.values())
            if values not in self._answers.get((table, names), ()):
                unknown[table, names, values] = (table, equals)
        if not unknown:
            return
        answers = self._models.find_all(list(unknown.values()))
        for (table, names, values), answer in zip(unknown, answers, strict=True):
            self._answers.setdefault((table, names), {})[values] = answer

    def find_all(self, questions: Sequence[tuple[str, dict[str, Any]]]) -> list[list[Row]]:
        """Return the answers to several questions of `find`, unknown ones asked at once."""
        self.foresee(questions)
        return [self.find(table, **equals) for table, equals in questions]

    def select(self, select: Select) -> list[Row]:
        """Return the rows of the registry that answer, in order, with virtual fields computed."""
        row = self._created(select)
        return self._written().select(select) if row is None else [row]

    def _created(self, select: Select) -> Row | None:
        """Return the record that answers a question for its uid, if it was just created."""
        test = select.where
        if (
            not isinstance(test, Test)
            or test.path != ("uid",)
            or test.operator != "exact"
            or select.at is not None
            or select.trash != "with"
        ):
            return None
        spec = spec_of(select.registry, select.catalogue)
        rows = self._rows.get(spec.table)
        if rows is None or spec.is_defined or "uid" not in rows.blank:
            return None
        found = rows.over([], ("uid",), (test.value,))
        if not found or found[0]["from_position"] != found[0]["created_position"]:
            return None
        (row,) = found
        answer = {name: value for name, value in row.items() if name != "to_position"}
        if spec.field("is_trashed") is not None:
            answer["is_trashed"] = row["state"] == TRASHED
        if spec.field("is_latest") is not None:
            if rows.over([], ("revises",), (row["uid"],)) or self._is_left(spec, row):
                return None
            # Nothing could replace a record, or take its key or name, before it was there.
            answer["is_latest"] = True
        return answer

    def _is_left(self, spec: RegistrySpec, row: Row) -> bool:
        """Return whether the key or name that a record was created with leads elsewhere now."""
        table, given = ("artifact_key", "key") if spec.has_keys else ("borne_name", "name")
        if not (spec.has_keys or spec.has_names) or row[given] is None:
            return False
        named = self._now(table, (given,), (row[given],))
        return not named or named[-1]["uid"] != row["uid"]

    def count(self, select: Select) -> int:
        """Return the number of rows that answer."""
        return self._written().count(select)

    def distinct(self, select: Select, field: str) -> list[Any]:
        """Return the distinct values of one field over all rows that answer, sorted."""
        return self._written().distinct(select, field)

    def changed_names(
        self, registry: str, *, after: int, fields: Sequence[str] = ("name",)
    ) -> list[Row]:
        """Return `uid`, text fields, `is_live`, `position` of each record that changed since."""
        return self._written().changed_names(registry, after=after, fields=fields)

    def links(
        self, fields: Sequence[str], uids: Sequence[str], *, onward: bool, at: int | None = None
    ) -> list[Row]:
        """Return the valid links of some fields at some records, in no order."""
        return self._written().links(fields, uids, onward=onward, at=at)

    def values(
        self, uids: Sequence[str], *, at: int | None = None, prefix: str | None = None
    ) -> list[Row]:
        """Return the valid rows of typed values of some records, in the order of their places."""
        return self._written().values(uids, at=at, prefix=prefix)

    def defined_at(self) -> int:
        """Return the position of the last change of a definition or feature; 0 for none."""
        return self._written().defined_at()

    def reach(  # noqa: PLR0913 (each bounds the walk)
        self,
        fields: Sequence[str],
        starts: Sequence[str],
        *,
        onward: bool,
        at: int | None = None,
        limit: int,
        ever: bool = False,
    ) -> list[Row]:
        """Return up to `limit` links that can be reached from some records, each once."""
        return self._written().reach(fields, starts, onward=onward, at=at, limit=limit, ever=ever)

    def _written(self) -> ReadModels:
        self._settle()
        return self._models

    # --- changing -----------------------------------------------------------------------------

    def apply(self, position: int, changes: Iterable[Change]) -> None:
        """Carry out the changes of one event at its position, in memory."""
        for change in changes:
            self._changes.append((position, change, len(self._steps)))
            self._carry_out(position, change)

    def _carry_out(self, position: int, change: Change) -> None:
        table = change.table
        rows = self._rows.get(table)
        if rows is None:
            rows = self._rows[table] = _Rows(table)
        match change:
            case Opened(values=values):
                self._begin(rows, {**rows.blank, **values}, position)
            case Amended(key=key, values=values):
                found = self._now(table, tuple(key), tuple(key.values()))
                if len(found) != 1:
                    raise not_there(position, change, len(found))
                (old,) = found
                self._end(rows, old, position)
                self._begin(rows, {**old, **values}, position)
            case Closed(matching=matching):
                for row in list(self._now(table, tuple(matching), tuple(matching.values()))):
                    self._end(rows, row, position)

    def _begin(self, rows: _Rows, row: Row, position: int) -> None:
        if len(row) != len(rows.blank):
            (table,) = (name for name, it in self._rows.items() if it is rows)
            require_columns(table, row)
        for name in rows.reals:
            if row[name] is not None:
                row[name] = float(row[name])
        row["from_position"], row["to_position"] = position, FOREVER
        rows.begun.append(row)
        rows.add(row)

        def undo() -> None:
            rows.begun.pop()
            rows.drop(row)

        self._steps.append(undo)

    def _end(self, rows: _Rows, row: Row, position: int) -> None:
        if rows.is_own(row):
            row["to_position"] = position
            rows.drop(row)

            def undo() -> None:
                row["to_position"] = FOREVER
                rows.add(row)

        else:
            place = rows.place(row)
            rows.ended[place] = position

            def undo() -> None:
                del rows.ended[place]

        self._steps.append(undo)

    def redact(self, registry: str, uid: str) -> None:
        """Empty the rows of a record, of all times, as `projections.redaction` says."""
        self._settle()
        self._models.redact(registry, uid)
        self.forget()

    def load(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Add finished rows to a table: values of all its columns, both bounds included."""
        self._settle()
        self._models.load(table, rows)
        self.forget()

    def clear(self) -> None:
        """Empty every table, for a rebuild."""
        self._settle()
        self._models.clear()
        self.forget()

    # --- waiting ------------------------------------------------------------------------------

    def mark(self) -> int:
        """Return how many changes wait."""
        return len(self._changes)

    def return_to(self, mark: int) -> list[tuple[int, Change]]:
        """Take back the changes after the first `mark`, and return them in their order."""
        tail = self._changes[mark:]
        if not tail:
            return []
        first = tail[0][2]
        for undo in reversed(self._steps[first:]):
            undo()
        del self._steps[first:]
        del self._changes[mark:]
        return [(position, change) for position, change, _ in tail]

    def write(self) -> None:
        """Have the database make the changes that wait; they wait until `wrote` is called."""
        ended = {
            table: [(end, *place[:-1]) for place, end in rows.ended.items()]
            for table, rows in self._rows.items()
            if rows.ended
        }
        begun = {table: rows.finished() for table, rows in self._rows.items() if rows.begun}
        self._models.write_rows(ended, begun)

    def wrote(self) -> None:
        """Let go of the changes: the database has made them."""
        for (table, names), answers in list(self._answers.items()):
            rows = self._rows.get(table)
            if rows is None:
                continue
            if rows.ended:
                del self._answers[table, names]
                continue
            for row in rows.valid():
                values = tuple([row[name] for name in names])
                if values in answers:
                    answers[values] = [*answers[values], row]
        if sum(map(len, self._answers.values())) > _MOST_ANSWERS:
            self._answers.clear()
        self._let_go()

    def forget(self) -> None:
        """Let go of everything: the database is not as it was when it answered."""
        self._answers.clear()
        self._let_go()

    def _let_go(self) -> None:
        self._rows.clear()
        self._steps.clear()
        self._changes.clear()
