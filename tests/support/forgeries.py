"""What a forger does beside the log: to guards of a database, and to files of an archive."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ledger.eventlog.entry import Entry
from tests.support.forged import AsArchive

_REFUSES_NOTHING = (
    "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
    " SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN OLD; END $$"
)

# Statements after which something guards the log otherwise, or answers in its place.
GUARDS: dict[str, list[tuple[str, ...]]] = {
    "sqlite": [
        ("CREATE TRIGGER evil AFTER INSERT ON entries BEGIN DELETE FROM tag; END",),
        (
            "ALTER TABLE ulabel RENAME TO ulabel_honest",
            "CREATE VIEW ulabel AS SELECT * FROM ulabel_honest WHERE name <> 'ordinary'",
        ),
        ("CREATE UNIQUE INDEX evil ON tag ((1))",),
        ("DROP INDEX ulabel_live_name",),
        (
            (
                "CREATE TRIGGER entries_refuse_delete BEFORE DELETE ON entries"
                """ BEGIN SELECT "RAISE(ABORT, 'no')"; END"""
            ),
        ),
        ("ALTER TABLE entries ADD COLUMN evil",),
    ],
    "postgres": [
        (_REFUSES_NOTHING,),
        (
            "ALTER TABLE ulabel RENAME TO ulabel_honest",
            "CREATE VIEW ulabel AS SELECT * FROM ulabel_honest WHERE name <> 'ordinary'",
        ),
        ("CREATE POLICY evil ON ulabel USING (name <> 'ordinary')",
         "ALTER TABLE ulabel FORCE ROW LEVEL SECURITY",),
        ("CREATE RULE evil AS ON INSERT TO entries DO INSTEAD NOTHING",),
        ("DROP TRIGGER entries_refuse_update ON entries",),
        ("ALTER FUNCTION residue_of(bigint) SET search_path = public",),
        ('ALTER TABLE ulabel ALTER name TYPE text COLLATE "default"',),
        ("CREATE UNIQUE INDEX evil ON tag ((1))",),
    ],
}  # fmt: skip


def _with_metadata(scene: AsArchive, entries: Sequence[Entry]) -> None:
    columns = [{"name": "position", "field_name": "position", "metadata": None,
                "pandas_type": "int64", "numpy_type": "int64"}]  # fmt: skip
    told = {"index_columns": ["tag"], "columns": columns, "column_indexes": []}
    scene.write_rows(entries, metadata={b"pandas": json.dumps(told).encode()})


def _with_other_statistics(scene: AsArchive, entries: Sequence[Entry]) -> None:
    """Have the footer say that a value which is there is not: least and greatest are others."""
    scene.write_rows(entries, write_statistics=True)
    (path,) = (scene.export / "log").iterdir()
    raw = bytearray(path.read_bytes())
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    tags = [it.envelope.tag.encode() for it in entries]
    for extreme in (min(tags), max(tags)):
        while (at := raw.find(extreme, footer)) >= 0:
            raw[at : at + len(extreme)] = (
                b"~" * len(extreme) if extreme == min(tags) else (b"!" * len(extreme))
            )
    path.write_bytes(bytes(raw))


FOOTERS = (_with_metadata, _with_other_statistics)
