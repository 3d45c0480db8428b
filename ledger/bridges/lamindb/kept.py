"""What has no place in the ledger: counted by table, and kept as one artifact of JSON lines.

1. A line is a row: `{"table": …, "row": …}`, by table, in the order of LaminDB's ids.
2. Of a row that comes in, the columns without a place are kept, beside its uid.
3. Equal contents are equal bytes. An instance that grew gives the next version under the same key.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from ledger.bridges.lamindb.read import Instance, Row
from ledger.bridges.steps import AnyStep, Kept, Source, Unmapped

NO_PLACE = "it has no place here"
_json = msgspec.json.Encoder(order="sorted", enc_hook=str)


class Unplaced(msgspec.Struct, frozen=True):
    """A row, or a value, that could not be placed: its whole table, the row, and why."""

    table: str
    row: Row
    why: str


def kept(instance: Instance, source: Source, unplaced: Iterable[Unplaced]) -> Iterator[AnyStep]:
    """Return what tells of all that has no place, and keeps it."""
    lines: list[bytes] = []
    counted: Counter[tuple[str, str]] = Counter()

    def add(table: str, row: Row, *whys: tuple[str, str]) -> None:
        lines.append(_json.encode({"table": table, "row": row}))
        counted.update(whys)

    for table, rows in instance.others.items():
        for row in rows:
            add(table, row, (table, NO_PLACE))
    for name, rows in instance.tables.items():
        table = instance.names[name]
        for row in rows:
            if rest := row["rest"]:
                named = {"uid": row["uid"]} if row.get("uid") else {"id": row["id"]}
                whys = [(f"{table}.{column}", "the column has no place here") for column in rest]
                add(table, named | rest, *whys)
    for it in unplaced:
        shown = {name: value for name, value in it.row.items() if name != "rest"}
        add(it.table, shown, (it.table, it.why))
    for (table, why), rows_of in sorted(counted.items()):
        yield Unmapped(table=table, rows=rows_of, why=why)
    if lines:
        text = b"\n".join(lines).decode() + "\n"
        name = hashlib.sha256(text.encode()).hexdigest()[:12]
        yield Kept(
            table="unmapped",
            row=name,
            ref=f"{source.instance}/unmapped.jsonl@{name}",
            key=f"lamindb/{source.instance}/unmapped.jsonl",
            text=text,
        )
