"""How questions become SQL, and that SQLite answers the frequent ones by index."""

# ruff: noqa: S608 (statements are what these tests compare)

from __future__ import annotations

import sqlite3
from contextlib import closing

import msgspec
import pytest

from ledger.errors import UnknownFieldError
from ledger.model.schema import REGISTRIES
from projections.fold import Amended, Closed, Opened
from projections.select import And, Not, Or, Order, Select
from projections.select import Test as Is
from projections.sql import tables as sql_tables
from projections.sql.comparisons import after_prefix
from projections.sql.dialect import ALWAYS, NEVER, Dialect, Fragment, either, every
from projections.sql.models import SqlModels
from projections.sql.postgres import POSTGRES, PostgresModels
from projections.sql.questions import (
    changed_names_statement,
    count_statement,
    distinct_statement,
    find_statement,
    select_statement,
)
from projections.sql.sqlite import SQLITE, SqliteModels, register_functions
from projections.tables import FOREVER, TABLES
from tests.support import builders as b
from tests.support.servers import in_new_schema
from tests.support.story import STORY


class Foreign(Dialect):
    """A database that does everything in another way than SQLite."""

    placeholder = "%s"
    types = dict.fromkeys(("text", "json", "integer", "time", "boolean"), "KIND")
    ascending = " UP"
    descending = " DOWN"
    no_limit = None
    conflicts = (ValueError,)

    def casefold(self, expression):
        return f"FOLD({expression})"

    def contains(self, expression, part):
        return Fragment(f"HAS({expression}, %s)", (part,))

    def endswith(self, expression, part):
        return Fragment(f"ENDS({expression}, %s)", (part,))

    def is_in(self, expression, values):
        return Fragment(f"{expression} = ANY(%s)", (list(values),))

    def is_name_conflict(self, error, table):
        return table in str(error)


FOREIGN = Foreign()

# Every operator, every kind of relation, everything virtual, ordered and paged.
EVERYTHING = Select(
    registry="artifact",
    where=And(
        (
            Is(("labels", "name"), "icontains", "A"),
            Or((Is(("key",), "endswith", "b"), Not(Is(("input_of", "transform"), "exact", "c")))),
            Is(("revises", "is_latest"), "exact", value=True),
            Is(("size",), "range", (1, 2)),
            Is(("collections",), "isnull", value=True),
            Is(("hash",), "in", ("d", "e")),
            Is(("description",), "istartswith", "F"),
        )
    ),
    order=(Order("is_latest", descending=True), Order("hash")),
    offset=3,
    limit=4,
    at=77,
)


@pytest.mark.parametrize("dialect", [SQLITE, FOREIGN])
@pytest.mark.parametrize("at", [None, 77])
def test_a_statement_has_as_many_marks_as_parameters(dialect, at):
    question = msgspec.structs.replace(EVERYTHING, at=at)
    for statement in (
        select_statement(dialect, question),
        count_statement(dialect, question),
        distinct_statement(dialect, question, "is_latest"),
        changed_names_statement(dialect, "ulabel", after=5),
        find_statement(dialect, "link", at=at, source="a", run=None),
        find_statement(dialect, "link", at=at, ever=True, source="a", run=None),
    ):
        assert statement.text.count(dialect.placeholder) == len(statement.params)


def test_only_the_dialect_says_what_differs():
    text = select_statement(FOREIGN, EVERYTHING).text
    assert "?" not in text
    for word in ("instr", "substr", "json_each", "casefold", "CROSS", "ASC", "DESC"):
        assert word not in text
    for word in ("FOLD(", "HAS(", "ENDS(", "ANY(", " UP", " DOWN"):
        assert word in text


def test_values_never_stand_in_the_text():
    evil = "x'; drop table ulabel; --"
    for operator in ("exact", "iexact", "contains", "startswith", "iendswith"):
        question = Select(registry="ulabel", where=Is(("name",), operator, evil))
        statement = select_statement(SQLITE, question)
        assert "drop" not in statement.text
        assert evil in statement.params or evil.encode() in statement.params


@pytest.mark.parametrize("at", [None, 77])
def test_every_table_on_the_way_is_bounded(at):
    bound = f"to_position = {FOREVER}" if at is None else "to_position > ?"
    for registry, spec in REGISTRIES.items():
        for relation in spec.relations:
            for inner in REGISTRIES[relation.target].relations:
                where = Is((relation.name, inner.name), "exact", "x")
                text = count_statement(SQLITE, Select(registry=registry, where=where, at=at)).text
                assert text.count(bound) == text.count(" AS t")


def test_what_is_asked_now_is_told_in_numbers_that_a_partial_index_is_proven_by():
    statement = select_statement(SQLITE, Select(registry="ulabel"))
    assert f"to_position = {FOREVER} AND t.state = 0" in statement.text
    assert statement.params == ()


def test_an_insert_is_built_once_for_each_shape():
    columns = ("uid", "name")
    first = sql_tables.insert(SQLITE, "ulabel", columns)
    assert sql_tables.insert(SQLITE, "ulabel", ("uid", "name")) is first
    assert sql_tables.insert(FOREIGN, "ulabel", columns) == first.replace("?", "%s")


def test_a_statement_for_an_unknown_column_is_not_built():
    for build in (sql_tables.insert, sql_tables.close):
        with pytest.raises(UnknownFieldError, match="no column 'x; --'"):
            build(SQLITE, "ulabel", ("x; --",))
    with pytest.raises(UnknownFieldError, match="no column 'x'"):
        sql_tables.reopen(SQLITE, "ulabel", ("uid",), ("x",))


class Written:
    """An executor that remembers what it was told."""

    def __init__(self):
        self.statements = []
        self.rowcount = 1

    def execute(self, sql, parameters):
        self.statements.append((sql, tuple(parameters)))
        return self

    def fetchall(self):
        return []


def test_changes_are_told_to_any_database_in_the_same_way():
    class ForeignModels(SqlModels):
        dialect = FOREIGN

    written = Written()
    ForeignModels(written).apply(
        9,
        [
            Opened("artifact_key", {"key": "a", "uid": "u"}),
            Closed("artifact_key", {"key": "a"}),
            Amended("artifact_key", {"key": "a"}, {"uid": "v"}),
        ],
    )
    beginning, ending, ending_again, following = written.statements
    assert beginning[0] == (
        'INSERT INTO "artifact_key" ("key", "uid", "from_position", "to_position") '
        f"VALUES (%s, %s, %s, {FOREVER})"
    )
    assert beginning[1] == ("a", "u", 9)
    assert ending == (
        f'UPDATE "artifact_key" SET to_position = %s WHERE "key" = %s AND to_position = {FOREVER}',
        (9, "a"),
    )
    assert ending_again == ending
    assert following[0] == (
        'INSERT INTO "artifact_key" ("uid", "from_position", "to_position", "key") '
        f'SELECT %s, %s, {FOREVER}, "key" FROM "artifact_key" '
        'WHERE "key" = %s AND to_position = %s'
    )
    assert following[1] == ("v", 9, "a", 9)


def test_no_conditions_always_hold_and_no_alternatives_never_do():
    assert every([]) == every([ALWAYS, ALWAYS]) == ALWAYS
    assert either([]) == either([NEVER]) == NEVER
    one = Fragment("a = ?", (1,))
    assert every([ALWAYS, one]) == either([one, NEVER]) == one


def test_a_long_chain_of_conditions_keeps_their_order():
    items = [Fragment(f"c{n}", (n,)) for n in range(1_234)]
    joined = every(items)
    assert joined.params == tuple(range(1_234))
    assert joined.text.replace("(", "").replace(")", "").split(" AND ") == [it.text for it in items]


@pytest.mark.parametrize(
    ("prefix", "after"),
    [
        ("a", "b"),
        ("ab", "ac"),
        ("", None),
        ("\U0010ffff", None),
        ("a\U0010ffff\U0010ffff", "b"),
        ("a\ud7ff", "a\ue000"),
    ],
)
def test_after_a_prefix_comes_the_next_code_point(prefix, after):
    assert after_prefix(prefix) == after


# --- SQLite ---------------------------------------------------------------------------------------


@pytest.fixture
def connection():
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        register_functions(connection)
        SqliteModels(connection).create()
        yield connection


def plan_of(connection, statement):
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement.text}", statement.params).fetchall()
    return " | ".join(row[3] for row in rows)


def named(registry, *path_and_value, **options):
    *path, value = path_and_value
    return select_statement(
        SQLITE, Select(registry=registry, where=Is(tuple(path), "exact", value), **options)
    )


NATURAL = {"natural": "x", "n": 1}
FREQUENT = {
    "name now": (named("ulabel", "name", "x"), "ulabel_live_name (name=?)"),
    "name as of": (named("ulabel", "name", "x", at=5), "(name=? AND from_position<?)"),
    "name in the trash": (named("ulabel", "name", "x", trash="with"), "(name=?)"),
    "name of a collection": (named("collection", "name", "x"), "(name=?)"),
    "uid now": (named("ulabel", "uid", "x"), "PRIMARY KEY (uid=?)"),
    "uid as of": (named("ulabel", "uid", "x", at=5), "PRIMARY KEY (uid=? AND from_position<?)"),
    "uid row": (find_statement(SQLITE, "run", uid="x"), "PRIMARY KEY (uid=?)"),
    "uid history": (find_statement(SQLITE, "run", uid="x", ever=True), "PRIMARY KEY (uid=?)"),
    "natural": (find_statement(SQLITE, "ulabel", **NATURAL), "(natural=? AND n=?)"),
    "name row": (find_statement(SQLITE, "ulabel", name="x", state=0), "live_name (name=?)"),
    "hash": (named("artifact", "hash", "x"), "(hash=?)"),
    "links of one": (
        find_statement(SQLITE, "link", field="f", source="x"),
        "PRIMARY KEY (source=? AND field=?)",
    ),
    "links to one": (
        find_statement(SQLITE, "link", field="f", target="x"),
        "(target=? AND field=?)",
    ),
    "links to one as of": (
        find_statement(SQLITE, "link", field="f", target="x", at=5),
        "(target=? AND field=? AND from_position<?)",
    ),
    "one link": (
        find_statement(SQLITE, "link", field="f", source="x", target="y"),
        "PRIMARY KEY (source=? AND field=? AND target=?)",
    ),
    "key now": (find_statement(SQLITE, "artifact_key", key="x"), "PRIMARY KEY (key=?)"),
    "keys of one": (find_statement(SQLITE, "artifact_key", uid="x"), "(uid=?)"),
    "by any key": (named("artifact", "key", "x"), "PRIMARY KEY (key=?)"),
    "by label": (named("artifact", "labels", "name", "x"), "(target=? AND field=?)"),
    "labels of": (named("ulabel", "artifacts", "x"), "PRIMARY KEY (source=? AND field=?)"),
    "by transform": (named("artifact", "run", "transform", "key", "x"), "(transform=?)"),
    "runs of": (named("transform", "runs", "x"), "PRIMARY KEY (uid=?)"),
    "intents": (find_statement(SQLITE, "intent", run="x"), "PRIMARY KEY (run=?)"),
    "one intent": (
        find_statement(SQLITE, "intent", run="x", intent="y"),
        "PRIMARY KEY (run=? AND intent=?)",
    ),
    "uid prefix": (
        select_statement(SQLITE, Select(registry="ulabel", where=Is(("uid",), "startswith", "x"))),
        "PRIMARY KEY (uid>? AND uid<?)",
    ),
    "changed names": (
        changed_names_statement(SQLITE, "ulabel", after=5),
        "ulabel_by_from_position (from_position>?)",
    ),
}


@pytest.mark.parametrize("question", FREQUENT)
def test_a_frequent_question_is_answered_by_index(connection, question):
    statement, index = FREQUENT[question]
    plan = plan_of(connection, statement)
    assert index in plan
    assert "SCAN" not in plan


@pytest.mark.parametrize("trash", ["without", "with", "only"])
@pytest.mark.parametrize("registry", REGISTRIES)
def test_a_count_looks_up_no_row(connection, registry, trash):
    plan = plan_of(connection, count_statement(SQLITE, Select(registry=registry, trash=trash)))
    assert f"COVERING INDEX {registry}_by_created_position_state" in plan


@pytest.mark.parametrize("registry", REGISTRIES)
def test_a_count_on_a_server_looks_up_no_row(postgres, registry):
    statement = count_statement(POSTGRES, Select(registry=registry))
    with in_new_schema(postgres) as connection:
        PostgresModels(connection).create()
        # In an empty table it would read all there is.
        connection.execute("SET LOCAL enable_seqscan = off")
        connection.execute("SET LOCAL enable_bitmapscan = off")
        explained = connection.execute(f"EXPLAIN {statement.text}", statement.params).fetchall()
    plan = " | ".join(str(line) for line in explained)
    assert "Index Only Scan using" in plan


def test_the_newest_records_are_read_without_sorting(connection):
    statement = select_statement(SQLITE, Select(registry="ulabel", reverse=True, limit=20))
    assert "TEMP B-TREE" not in plan_of(connection, statement)


def test_tables_can_be_made_before_their_indexes_dropped_and_made_again(connection):
    models = SqliteModels(connection)
    models.drop()
    models.drop()
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    models.create(indexes=False)
    b.feed(models, STORY)
    models.create_indexes()
    made = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert made > set(TABLES)
    assert "ulabel_live_name" in made


def test_a_cursor_serves_as_well_as_a_connection(connection):
    models = SqliteModels(connection.cursor())
    b.feed(models, STORY)
    assert models.count(Select(registry="artifact", at=20)) == 3


def test_other_conflicts_than_of_names_are_not_called_so(connection):
    models = SqliteModels(connection)
    row = {"key": "a.csv", "uid": "u"}
    with pytest.raises(sqlite3.IntegrityError, match=r"artifact_key\.key"):
        models.apply(1, [Opened("artifact_key", row), Opened("artifact_key", row)])
    twice = {"uid": "u", "name": "tabby", "state": 1}
    with pytest.raises(sqlite3.IntegrityError, match=r"ulabel\.uid"):
        models.apply(1, [Opened("ulabel", twice), Opened("ulabel", twice)])


def test_a_deep_question_is_no_deeper_in_sql(connection):
    """SQLite's parser gives up on a hundred open things; six relations must not come near."""
    path = ("artifacts", "collections") * 3
    where = Is(("collections", *path, "name"), "exact", "x")
    for _ in range(8):
        where = Not(And((where, Or((where,)))))
    statement = count_statement(SQLITE, Select(registry="artifact", where=where))
    assert connection.execute(*statement).fetchone() == (0,)
