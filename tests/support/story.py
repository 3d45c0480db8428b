"""One history in which everything happens, for tests that want a ledger with a past.

Links come and go, a key moves and comes back, one record lies in the trash and another is
withdrawn at the end of a relation; there are revisions, a fork and a reproduction.
"""

from __future__ import annotations

from tests.support import builders as b

TABBY, TORTIE = b.label_uid("tabby"), b.label_uid("tortie")
A, B, C = b.artifact_uid("a"), b.artifact_uid("b"), b.artifact_uid("c")
FAR = b.declared_uid("far")
PLOT = b.transform_uid("plot.py")
D1, D2, S1 = b.record_uid("donor", "D1"), b.record_uid("donor", "D2"), b.record_uid("sample", "S1")
RUN_1, RUN_2 = b.run_uid(1), b.run_uid(2)

STORY = b.log(
    b.ledger_initialized(),
    b.transform_registered("plot.py", key="plot.py", version="1"),
    b.run_started(1, transform=PLOT, name="first", params={"n": 1}),
    b.label_created("tabby", run=RUN_1, fields={"description": "striped"}),
    b.label_created("tortie"),
    b.label_created("tom"),
    b.artifact_registered("a", key="data/a.csv", run=RUN_1),
    b.artifact_registered("b", key="data/a.csv", revises=A, description="second", run=RUN_1),
    b.artifact_registered("c", n_files=3),
    b.link_added("artifact", A, "labels", TABBY, run=RUN_1),
    b.link_added("artifact", B, "labels", TORTIE),
    b.link_added("artifact", A, "labels", TORTIE),
    b.collection_created("study", [B, A], run=RUN_1, is_ordered=True),
    b.run_finished(RUN_1, at=b.EPOCH + b.SECOND, is_consecutive=True),
    b.transform_registered("plot v2", key="plot.py", version="2", revises=PLOT),
    b.run_started(2, transform=b.transform_uid("plot v2"), forked_from=RUN_1),
    b.input_recorded(RUN_2, A, run=RUN_2),
    b.artifact_reproduced(C, run=RUN_2),
    b.artifact_keyed(A, "data/a.csv", run=RUN_2),
    b.artifact_keyed(C, "other.csv"),
    b.artifact_relocated(C, "moved/c", in_place=True),
    b.link_removed("artifact", A, "labels", TABBY),
    b.trashed("ulabel", TORTIE),
    b.changed("ulabel", TABBY, name="mackerel"),
    b.label_created("tabby", n=2),
    b.run_finished(RUN_2, "failed", error="boom"),
    b.collection_created("study 2", [C], revises=b.collection_uid("study")),
    b.link_added("collection", b.collection_uid("study 2"), "labels", TABBY),
    b.alias_added("artifact", A, "lamindb:aaaa"),
    b.artifact_declared("far", key="other.csv", size=7, run=RUN_2, where="s3://bucket/far"),
    b.alias_added("artifact", B, "lamindb:bbbb"),
    b.alias_added("collection", b.collection_uid("study 2"), "mlflow:study"),
    b.withdrawn("artifact", B),
    b.withdrawn("collection", b.collection_uid("study 2")),
    b.retracted("artifact", A),
    b.merged(b.label_uid("tom"), b.label_uid("tabby", 2)),
    b.merge_undone(b.label_uid("tom"), b.label_uid("tabby", 2)),
    b.retraction_lifted("artifact", A),
    b.registry_defined("donor", b.field_defined("age", "int", bounds={"ge": 0})),
    b.registry_defined("sample", b.field_defined("donor", "record[donor]", is_required=True)),
    b.record_created("donor", "D1", age=41),
    b.record_created("donor", "D2"),
    b.record_created("sample", "S1", donor={"ref": ["donor", D1]}, common={"run": RUN_2}),
    b.field_added("sample", b.field_defined("volume", "float", unit="mL")),
    b.field_added("sample", b.field_defined("tags", "list[str]")),
    b.changed("sample", S1, volume={"float": "2.5"}, tags=["a", "b"]),
    b.changed("sample", S1, donor={"ref": ["donor", D2]}, tags=["b"], name="S one"),
    b.field_changed("sample", "volume", "volume", name="amount", former=["volume"]),
    b.field_retyped("donor", "age", "int", "float"),
    b.record_created("feature", "temperature", type="float", unit="degC"),
    b.values_set("artifact", A, temperature={"float": "37.2"}, sample={"ref": ["sample", S1]}),
    b.values_set("artifact", A, ["sample"], temperature={"float": "39.0"}),
    b.entries_erased("collection", b.collection_uid("study 2")),
)  # fmt: skip
