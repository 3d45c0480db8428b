"""Instances of LaminDB for tests: rows in the table shapes of its versions, and their contents.

The rows are those that its documentation and its tables tell of; nothing here is made by LaminDB.
`Made` is written as SQLite or into a schema of PostgreSQL, with the types that Django gives there.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

UTC = "2025-03-0{day} 10:00:00.{micros:06d}"

# Columns of each table, by shape: "new" is that of 2.x, "old" that of 0.x.
_COMMON = "created_at updated_at created_by_id"
NEW = {
    "user": "id uid handle name created_at updated_at",
    "branch": "id name uid description created_at",
    "space": "id name uid",
    "storage": f"id uid root description type region instance_uid branch_id {_COMMON}",
    "ulabel": f"id uid name description is_type type_id reference branch_id run_id _aux {_COMMON}",
    "ulabel_parents": "id from_ulabel_id to_ulabel_id",
    "transform": "id uid key description kind source_code hash version_tag is_latest branch_id "
    f"reference {_COMMON}",
    "run": "id uid name started_at finished_at params cli_args _status_code branch_id "
    f"transform_id environment_id report_id initiated_by_run_id {_COMMON}",
    "artifact": "id uid key _real_key description suffix kind otype size hash n_files "
    "n_observations _hash_type _key_is_virtual _overwrite_versions version_tag is_latest "
    f"branch_id run_id storage_id {_COMMON}",
    "artifact_input_of_runs": "id artifact_id run_id",
    "artifact_recreating_runs": "id artifact_id run_id",
    "artifactulabel": "id artifact_id ulabel_id feature_id run_id created_at created_by_id",
    "collection": f"id uid key description hash version_tag is_latest branch_id run_id {_COMMON}",
    "collectionartifact": "id artifact_id collection_id created_at created_by_id",
    "feature": f"id uid name _dtype_str unit description is_type branch_id {_COMMON}",
    "jsonvalue": "id value hash feature_id created_at",
    "artifactjsonvalue": "id artifact_id jsonvalue_id run_id created_at created_by_id",
    "runjsonvalue": "id run_id jsonvalue_id created_at created_by_id",
    "record": f"id uid name description is_type type_id branch_id run_id {_COMMON}",
    "recordjson": "id value feature_id record_id",
    "recordrecord": "id feature_id record_id value_id",
    "artifactrecord": "id artifact_id record_id feature_id run_id created_at created_by_id",
    "project": f"id uid name {_COMMON}",
    "schema": f"id uid name n_members {_COMMON}",
}
OLD = {
    "user": "id uid handle name created_at updated_at",
    "storage": f"id uid root description type region instance_uid {_COMMON}",
    "ulabel": f"id uid name description reference run_id {_COMMON}",
    "ulabel_parents": "id from_ulabel_id to_ulabel_id",
    "transform": f"id uid name key description type version source_code_id {_COMMON}",
    "run": "id uid started_at finished_at is_consecutive environment_id report_id transform_id "
    "created_at created_by_id",
    "artifact": "id uid key suffix accessor description size hash hash_type n_objects visibility "
    f"key_is_virtual version run_id storage_id transform_id type {_COMMON}",
    "artifact_input_of": "id artifact_id run_id",
    "artifact_previous_runs": "id artifact_id run_id",
    "artifactulabel": "id artifact_id ulabel_id feature_id run_id created_at created_by_id",
    "collection": f"id uid name description hash version visibility run_id {_COMMON}",
    "collectionartifact": "id artifact_id collection_id created_at created_by_id",
    "param": "id name dtype",
    "paramvalue": "id value param_id",
    "runparamvalue": "id run_id paramvalue_id",
    "feature": f"id uid name dtype unit description {_COMMON}",
    "featurevalue": "id value feature_id created_at",
    "artifactfeaturevalue": "id artifact_id featurevalue_id run_id created_at created_by_id",
}
_JSON = {"params", "value", "_aux"}
_BOOLEAN = {"is_type", "is_latest", "_key_is_virtual", "key_is_virtual", "_overwrite_versions"}
_INTEGER = {"id", "size", "n_files", "n_objects", "n_observations", "visibility", "_status_code",
            "n_members"}  # fmt: skip


def md5(content: bytes) -> str:
    """Return a hash as LaminDB writes it."""
    found = hashlib.md5(content, usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode()


class Made:
    """An instance in the making.

    Attributes:
        root: Root of its storage, a folder with contents.
        rows: Rows of each table.
    """

    def __init__(self, root: Path, shape: str = "new", *, instance: str = "1nstanceUid1") -> None:
        self.root = root.absolute()
        (self.root / ".lamindb").mkdir(parents=True, exist_ok=True)
        self.is_new = shape == "new"
        self.prefix = "lamindb_" if self.is_new else "lnschema_core_"
        self.columns = {name: it.split() for name, it in (NEW if self.is_new else OLD).items()}
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in self.columns}
        self._micros = 0
        self.user = self.add("user", uid="ada00000", handle="ada", name="Ada Lovelace")
        if self.is_new:
            for number, name in ((-1, "trash"), (0, "archive"), (1, "main"), (2, "trial")):
                self.add("branch", id=number, name=name, uid=f"branch{number}")
            self.add("space", name="all", uid="aaaaaaaaaaaa")
        self.storage = self.add(
            "storage", uid="st0rage00001", root=str(self.root), type="local", instance_uid=instance
        )

    @property
    def database(self) -> Path:
        """Where the SQLite database is."""
        return self.root / ".lamindb" / "lamin.db"

    def at(self, day: int = 1) -> str:
        """Return the next moment of a day, as text."""
        self._micros += 1_000
        return UTC.format(day=day, micros=self._micros)

    def add(self, table: str, **values: Any) -> int:
        """Add a row with what it has anyway, and return its id."""
        rows, columns = self.rows[table], self.columns[table]
        row: dict[str, Any] = dict.fromkeys(columns)
        row["id"] = len(rows) + 1
        for name in ("created_at", "updated_at"):
            if name in columns:
                row[name] = self.at() if values.get("created_at") is None else values["created_at"]
        if "created_by_id" in columns and table != "user":
            row["created_by_id"] = self.user
        row |= {name: 1 for name in ("branch_id", "visibility") if name in columns}
        assert set(values) <= set(columns), set(values) - set(columns)
        rows.append(row | values)
        return int(rows[-1]["id"])

    def row(self, table: str, number: int) -> dict[str, Any]:
        """Return a row by its id."""
        return next(it for it in self.rows[table] if it["id"] == number)

    # --- what people do there ----------------------------------------------------------------

    def label(self, uid: str, name: str, **values: Any) -> int:
        """Add a label."""
        return self.add("ulabel", uid=uid, name=name, **values)

    def transform(self, uid: str, key: str, source: str | None = None, **values: Any) -> int:
        """Add a version of a transform."""
        if self.is_new:
            return self.add("transform", uid=uid, key=key, source_code=source, kind="script",
                            is_latest=True, **values)  # fmt: skip
        return self.add("transform", uid=uid, key=key, name=key, type="script", **values)

    def run(self, uid: str, transform: int, **values: Any) -> int:
        """Add a run that began now."""
        if self.is_new:
            values.setdefault("_status_code", -1)
        values.setdefault("started_at", self.at())
        return self.add("run", uid=uid, transform_id=transform, **values)

    def artifact(self, uid: str, key: str | None, text: str | None, **values: Any) -> int:
        """Add an artifact; with a text its content lies under its uid in the storage."""
        content = (text or "").encode()
        suffix = Path(key).suffix if key else ".txt"
        given: dict[str, Any] = {"suffix": suffix, "size": len(content), "hash": md5(content)}
        prefix = "_" if self.is_new else ""
        given |= {f"{prefix}hash_type": "md5", f"{prefix}key_is_virtual": True}
        if self.is_new:
            given |= {"is_latest": True, "_overwrite_versions": False}
        given |= values
        if text is not None:
            path = self.root / ".lamindb" / f"{uid}{given['suffix']}"
            if key and not given[f"{prefix}key_is_virtual"]:
                path = self.root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return self.add("artifact", uid=uid, key=key, storage_id=self.storage, **given)

    def input(self, artifact: int, run: int) -> None:
        """Let a run read an artifact."""
        table = "artifact_input_of_runs" if self.is_new else "artifact_input_of"
        self.add(table, artifact_id=artifact, run_id=run)

    def collection(self, uid: str, name: str, artifacts: list[int], **values: Any) -> int:
        """Add a collection."""
        called = {"key" if self.is_new else "name": name}
        found = self.add("collection", uid=uid, hash="c0llection", **called, **values)
        for it in artifacts:
            self.add("collectionartifact", artifact_id=it, collection_id=found)
        return found

    def labelled(self, artifact: int, label: int, **values: Any) -> None:
        """Link a label to an artifact."""
        self.add("artifactulabel", artifact_id=artifact, ulabel_id=label, **values)

    # --- writing -----------------------------------------------------------------------------

    def write(self) -> Path:
        """Write the SQLite database anew, and return the folder of the instance."""
        self.database.unlink(missing_ok=True)
        with closing(sqlite3.connect(self.database)) as made:
            for table, columns in self.columns.items():
                names = ", ".join(f'"{it}"' for it in columns)
                made.execute(f'CREATE TABLE "{self.prefix}{table}" ({names})')
                marks = ", ".join("?" * len(columns))
                made.executemany(
                    f'INSERT INTO "{self.prefix}{table}" VALUES ({marks})',  # noqa: S608
                    [[_text(it, row[it]) for it in columns] for row in self.rows[table]],
                )
            made.commit()
        return self.root

    def write_server(self, connection: Any) -> None:
        """Write the tables into the present schema of a connection of psycopg."""
        for table, columns in self.columns.items():
            typed = ", ".join(f'"{it}" {_type(it)}' for it in columns)
            connection.execute(f'CREATE TABLE "{self.prefix}{table}" ({typed})')
            marks = ", ".join(["%s"] * len(columns))
            for row in self.rows[table]:
                connection.execute(
                    f'INSERT INTO "{self.prefix}{table}" VALUES ({marks})',  # noqa: S608
                    [_server(it, row[it]) for it in columns],
                )


def _text(column: str, value: Any) -> Any:
    if column in _JSON and value is not None:
        return json.dumps(value)
    return int(value) if isinstance(value, bool) else value


def _server(column: str, value: Any) -> Any:
    if value is None:
        return None
    if column in _JSON:
        return json.dumps(value)
    return f"{value}+00" if column.endswith("_at") else value


def _type(column: str) -> str:
    if column in _JSON:
        return "jsonb"
    if column in _BOOLEAN:
        return "boolean"
    if column.endswith("_at"):
        return "timestamptz"
    return "bigint" if column in _INTEGER or column.endswith("_id") else "text"


def story(root: Path, shape: str = "new") -> Made:
    """Return an instance of either shape, in which everything that people do there occurs once.

    Two versions of a script ran three times: `raw.csv` came in, `clean.csv` was made of it in two
    versions, and the second one was made again. One file is in the trash, one is not there.
    """
    made = Made(root, shape)
    study = made.label("stUdy001", "Immune study", description="plates of March")
    tissue = made.label("tIssue01", "Tissue", **({"is_type": True} if made.is_new else {}))
    lung = made.label("lUng0001", "lung", **({"type_id": tissue} if made.is_new else {}))
    made.add("ulabel_parents", from_ulabel_id=lung, to_ulabel_id=study)
    ingest = made.transform("inGestScript0000", "ingest.py", "# ingest\n")
    clean = made.transform("cLeanScript00000", "clean.py", "# clean 1\n")
    again = made.transform("cLeanScript00001", "clean.py", "# clean 2\n")
    ran = {"params": {"threshold": 3}} if made.is_new else {}
    first = made.run("rUnOfIngest00001", ingest, **ran)
    raw = made.artifact("rAwArtifact0xxxx0000", "raw.csv", "a,b\n1,2\n", run_id=first)
    made.row("run", first)["finished_at"] = made.at()
    made.labelled(raw, study, run_id=first)
    made.labelled(raw, lung, run_id=first)
    second = made.run("rUnOfClean000001", clean)
    made.input(raw, second)
    is_latest = {"is_latest": False} if made.is_new else {}
    one = made.artifact("cLeanArtifactxxx0000", "clean.csv", "a\n1\n", run_id=second, **is_latest)
    third = made.run("rUnOfClean000002", again)
    made.input(raw, third)
    two = made.artifact("cLeanArtifactxxx0001", "clean.csv", "a\n1\n2\n", run_id=third)
    fourth = made.run("rUnOfClean000003", again)
    made.input(raw, fourth)
    if made.is_new:
        made.add("artifact_recreating_runs", artifact_id=two, run_id=fourth)
    else:
        made.row("artifact", two)["run_id"] = fourth
        made.add("artifact_previous_runs", artifact_id=two, run_id=third)
    made.collection("sEtOfCleanxxxxxx0000", "set", [raw, one])
    made.collection("sEtOfCleanxxxxxx0001", "set", [raw, one, two])
    trash = {"branch_id": -1} if made.is_new else {"visibility": -1}
    made.artifact("tRashArtifactxxx0000", "gone.txt", "gone", run_id=third, **trash)
    made.artifact("bIgArtifactxxxxx0000", "big.bin", None, size=60_000_000, hash="b1g",
                  **{("_" if made.is_new else "") + "hash_type": "sha1-fl"})  # fmt: skip
    if made.is_new:
        _types(made, raw, first, study)
    return made


def _types(made: Made, raw: int, run: int, study: int) -> None:
    """Add features, records and what has no place here."""
    temperature = made.add(
        "feature", uid="fTemperature", name="temperature", _dtype_str="float", unit="degC"
    )
    label = made.add("feature", uid="fStudy000000", name="study", _dtype_str="cat[ULabel]")
    donor_of = made.add(
        "feature", uid="fDonor000000", name="donor", _dtype_str="cat[Record[Donor]]"
    )
    value = made.add("jsonvalue", value=37.2, feature_id=temperature)
    made.add("artifactjsonvalue", artifact_id=raw, jsonvalue_id=value, run_id=run)
    made.labelled(raw, study, run_id=run, feature_id=label)
    donor = made.add("record", uid="dOnorType0000001", name="Donor", is_type=True)
    sample = made.add("record", uid="sAmpleType000001", name="RNA sample", is_type=True)
    d1 = made.add("record", uid="dOnorOne00000001", name="D1", type_id=donor)
    s1 = made.add("record", uid="sAmpleOne0000001", name="S1", type_id=sample)
    made.add("recordjson", record_id=s1, feature_id=temperature, value=4)
    made.add("recordrecord", record_id=s1, feature_id=donor_of, value_id=d1)
    made.add("artifactrecord", artifact_id=raw, record_id=d1, feature_id=donor_of, run_id=run)
    made.add("project", uid="pRoject00001", name="P")
    made.add("schema", uid="sChema0000000001", name="S", n_members=1)
