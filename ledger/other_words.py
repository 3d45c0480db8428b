"""Words of LaminDB that mean something here under another name, for errors that tell the way.

A word stands here if people of that tool type it and nothing here bears it.
"""

from __future__ import annotations

_OWN = "a registry of your own holds them: class {}(ln.Record): …"
WORDS = {
    "Curator": "Sample.check(df) tells every fault of a table; ln.Artifact.from_df(df, key=…, "
    "schema=Sample) registers a valid one",
    "Person": _OWN.format("Person"),
    "Project": _OWN.format("Project"),
    "Reference": _OWN.format("Reference"),
    "Schema": "a class is a schema: class Sample(ln.Record): volume: float | None = None; "
    "Sample.check(df) holds a table against it",
    "Storage": "a ledger has one storage, which ln.init(…) or 'metaledger init --storage' names",
    "User": "created_by and the log name the user of each change",
    "bionty": "'metaledger record import REGISTRY FILE' reads an ontology into a registry of your "
    "own",
    "curators": "Sample.check(df) tells every fault of a table; ln.Artifact.from_df(df, key=…, "
    "schema=Sample) registers a valid one",
    "from_dataframe": "ln.Artifact.from_df(df, key=…) registers a table, "
    "Sample.from_df(df) makes records",
    "from_values": "inspect(values) sorts names into known and unknown; make a record of each "
    "unknown one, and ln.save() the list",
    "public": "'metaledger record import REGISTRY FILE' reads an ontology into a registry of your "
    "own",
    "query_children": "it is called descendants()",
    "query_parents": "it is called ancestors()",
    "registry": "ln.Record is the base of registries; a class under it has records: "
    "class Sample(ln.Record): …",
    "search": "a registry has search(text): ln.Artifact.search(…); 'metaledger search' asks all",
    "to_dataframe": "it is called df(); df(features=True) has a column for each feature",
    "ulabels": "they are called labels",
    "view_parents": "ancestors() and descendants() give the records above and below",
}  # fmt: skip


def meant(name: str) -> str:
    """Return the end of an error about an unknown word: "; …" with the way, or nothing."""
    return f"; {WORDS[name]}" if name in WORDS else ""
