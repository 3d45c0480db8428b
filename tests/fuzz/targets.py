"""Every decoder and parser, as a function of bytes that an enemy chose.

A target raises nothing of what is in `ledger.errors`: that is how it says no. Anything else that it
raises is a fault, and so is a claim of its own that does not hold: what was read is written as it
was, what was refused left nothing behind. Each has seeds made of valid values, so that a few
changed bytes come far.

The coverage-guided fuzzer (`tests/fuzz/run.py`) and the tests drive the same functions.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from ledger.content import backends, store
from ledger.content.local import LocalStore
from ledger.errors import LedgerError
from ledger.eventlog.database_url import is_database_url, parse
from ledger.model.merkle import leaf_hash
from ledger.model.parameters import canonical_params, plain_params
from ledger.model.payloads import from_payload, to_payload
from ledger.model.schema import REGISTRIES
from ledger.past import points
from ledger.places import config, discovery
from ledger.places.config import Configuration
from ledger.places.databases import open_database
from ledger.places.initialization import initialize
from ledger.places.instance import Ledger
from ledger.proving import keys, notes, verification
from ledger.registries import lookups
from ledger.tracking import imports, notebook, source_code
from tests.support import builders as b
from tests.support.proofs import prove_consistency, prove_inclusion

KEY = notes.PrivateKey(name="metaledger.local/0f8c", kind=notes.ED25519, seed=bytes(32))
WITNESS = notes.PrivateKey(name="witness.example/w1", kind=notes.COSIGNATURE, seed=bytes(32))
LINES = [str(KEY.public()), str(WITNESS.public())]


class Target(NamedTuple):
    """What is fuzzed, and valid values to begin with."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    is_costly: bool = False


def text_of(data: bytes) -> str:
    """Return any text that Python can hold: also what the names of odd files decode to."""
    return data.decode("utf-8", "surrogateescape")


@functools.cache
def scratch() -> Path:
    """A folder of this process, removed with it."""
    folder = tempfile.TemporaryDirectory(prefix="fuzz-")
    _kept.append(folder)
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


# --- events ---------------------------------------------------------------------------------------


def events(data: bytes) -> None:
    with suppress(LedgerError):
        event = from_payload(data, position=1)
        assert from_payload(to_payload(event), position=1) == event


def _events() -> list[bytes]:
    return [
        to_payload(it)
        for it in (
            b.ledger_initialized(),
            b.blob_recorded("text"),
            b.label_created(fields={"description": "d", "n": 1}),
            b.changed("ulabel", b.label_uid("x"), name="y"),
            b.trashed("ulabel", b.label_uid("x")),
            b.retracted("artifact", b.artifact_uid("x")),
            b.merged(b.label_uid("x"), b.label_uid("y")),
            b.artifact_registered(),
            b.artifact_keyed(b.artifact_uid("a"), "k/a.csv"),
            b.artifact_relocated(b.artifact_uid("a"), "k/a.csv"),
            b.collection_created(artifacts=[b.artifact_uid("a")]),
            b.transform_registered(),
            b.run_started(),
            b.run_finished(b.run_uid()),
            b.link_added("artifact", b.artifact_uid("a"), "labels", b.label_uid("x")),
        )
    ]


# --- notes, proofs, keys --------------------------------------------------------------------------


@functools.cache
def _checkpoints() -> tuple[list[str], list[bytes]]:
    from ledger.model.merkle import root_hash  # noqa: PLC0415 (with its test)

    leaves = [leaf_hash(b"%d" % number) for number in range(9)]
    made = []
    for size in (0, 1, 5, 9):
        stated = notes.Checkpoint(origin=KEY.name, size=size, root=root_hash(leaves[:size]))
        signed = notes.sign_note(stated.text(), [KEY]) + WITNESS.sign(stated.text(), seconds=7)
        made.append(signed)
    return made, leaves


def checkpoints(data: bytes) -> None:
    text = text_of(data)
    with suppress(LedgerError):
        note = notes.read_note(text)
        notes.verify_note(note, [KEY.public(), WITNESS.public()])
        notes.read_checkpoint(note)
    with suppress(LedgerError):
        found = verification.verify(text, key=LINES)
        assert found.origin == KEY.name


def proofs(data: bytes) -> None:
    made, _ = _checkpoints()
    text = text_of(data)
    for old in (None, made[2], text):
        with suppress(LedgerError):
            verification.verify(text, key=LINES, old=old)


def _proofs() -> list[bytes]:
    made, leaves = _checkpoints()
    consistency = prove_consistency(leaves, 5, 9)
    envelope = {
        "position": 5, "recorded_at": 1, "stream": "s", "version": 1, "tag": "record-created.v1",
        "command_id": "c", "number": 1,
    }  # fmt: skip
    entry = msgspec.json.encode(envelope) + bytes(32)
    return [
        verification.consistency_text(old=5, path=consistency, checkpoint=made[3]).encode(),
        verification.proof_text(
            index=4, path=prove_inclusion(leaves, 4, 9), checkpoint=made[3], extra=[entry]
        ).encode(),
        verification.proof_text(
            index=4,
            path=prove_inclusion(leaves, 4, 9),
            checkpoint=made[3],
            extra=[entry, bytes(32), _events()[2]],
        ).encode(),
        *(it.encode() for it in made),
    ]


def key_lines(data: bytes) -> None:
    text = text_of(data)
    with suppress(LedgerError):
        assert str(notes.read_public_key(text)) == text.strip()
    with suppress(LedgerError):
        assert notes.read_private_key(text).text() == text.strip()
    folder = scratch() / "keys"
    folder.mkdir(mode=0o700, exist_ok=True)
    for ending in ("key", "pub"):
        path = folder / f"0f8c.a87fa94a.{ending}"
        path.write_bytes(data)
        path.chmod(0o600)
    ring = keys.KeyRing("0f8c", folder=folder)
    for read in (ring.private_keys, ring.public_keys, lambda: ring.private_key(KEY.public())):
        with suppress(LedgerError):
            read()


def _key_lines() -> list[bytes]:
    return [*(line.encode() for line in LINES), KEY.text().encode(), WITNESS.text().encode()]


# --- places ---------------------------------------------------------------------------------------


def configuration(data: bytes) -> None:
    folder = scratch() / "configured" / config.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / config.FILE).write_bytes(data)
    with suppress(LedgerError):
        place = discovery.locate(folder.parent)
        open_database(place)
        if not is_database_url(place.configuration.database):
            assert place.database_path.parent.resolve() == folder.resolve()
        if _is_near(place.storage_root):
            backends.open_store(place.storage_root)


def _configuration() -> list[bytes]:
    known = {"id": "0f8c", "name": "n", "storage": "./storage", "database": "ledger.db"}
    texts = ["\n".join(f"{name} = {json.dumps(value)}" for name, value in known.items())]
    texts.append('id = "1"\nname = "n"\nstorage = "s3://b/p"\ndatabase = "postgresql://h/d"')
    return [f"[ledger]\n{text}\n".encode() for text in texts]


def database_urls(data: bytes) -> None:
    with suppress(LedgerError):
        text = text_of(data)
        found = parse(text)
        assert parse(str(found)) == found
        assert not parse(str(found)).secrets()
        found.in_schema("other")


def _database_urls() -> list[bytes]:
    return [
        b"postgresql://user:secret@host:5432/database?sslmode=require&schema=mine",
        b"postgres://[::1]/d?password=secret&options=-c%20x%3D1",
        b"postgresql:///d?host=/var/run/postgresql",
    ]


def _is_near(url: str) -> bool:
    """Tell whether a storage can be asked without reaching for another computer."""
    return "://" not in url or url.startswith(("file://", "memory://"))


def storage_urls(data: bytes) -> None:
    text = text_of(data)
    for check in (store.check_name, store.check_member, LocalStore):
        with suppress(LedgerError):
            check(text)
    with suppress(LedgerError):
        member = store.check_member(text)
        assert (Path("/folder") / member).resolve().is_relative_to("/folder")
    with suppress(LedgerError):
        assert "/" not in store.check_name(text, may_be_temporary=True)
    if _is_near(text):
        with suppress(LedgerError):
            opened = backends.open_store(text)
            opened.exists("AbCdEfGhIjKl00000000")
            opened.holds("/folder/file")
    with suppress(LedgerError):
        discovery.locate(text)
    relative = store.relative_below(text, "/folder")
    assert relative is None or ".." not in relative.split("/")


def _storage_urls() -> list[bytes]:
    return [
        b"./storage", b"/folder/storage/x", b"file:///folder/storage", b"memory://bucket/prefix",
        b"a/../b", b"~/data", b".tmp-0123456789abcdef", b"file://localhost/%2e%2e/x",
    ]  # fmt: skip


# --- questions ------------------------------------------------------------------------------------


@functools.cache
def _ledger() -> Ledger:
    return Ledger(initialize("storage", root=scratch() / "ledger"))


def points_in_time(data: bytes) -> None:
    text = text_of(data)
    points.reads_as_other(text)
    with suppress(LedgerError):
        assert points.resolve(_ledger(), text).position in {0, 1}


def _points_in_time() -> list[bytes]:
    return [
        b"0", b"1", b"99999999999999999999", b"2026-11-23T17:00:00+00:00", b"2026-11-23", b"paper",
        b"20261123T170000Z", b"metaledger.local/0f8c\n1\nAAAA\n\n", "٣".encode(),
    ]  # fmt: skip


def questions(data: bytes) -> None:
    text = text_of(data)
    lookup, _, value = text.partition("=")
    for registry in ("ulabel", "artifact", "run"):
        for given in (value, [value, value], 1, None):
            with suppress(LedgerError):
                lookups.conditions(REGISTRIES[registry], [], {lookup: given})


def _questions() -> list[bytes]:
    return [
        b"name=x", b"name__icontains=x", b"labels__name__in=x", b"run__transform__key=x",
        b"size__range=x", b"created_at__gt=2026", b"n_files__isnull=x",
    ]  # fmt: skip


# --- sources --------------------------------------------------------------------------------------


def sources(data: bytes) -> None:
    text = source_code._decode(data)
    if text is not None:
        source_code.text_hash(text)
        # What is kept of a source is an event like any other.
        to_payload(b.blob_recorded(text))
        imports.imported_names(text)


def _sources() -> list[bytes]:
    program = b"import numpy as np, os.path\nfrom a.b import c\nfrom . import d\nprint('x')\n"
    return [
        program,
        b"# -*- coding: latin-1 -*-\nimport a\n\xe9",
        b"\xef\xbb\xbfimport a\r\nimport b\r",
        b"# coding: utf-7\nimport +AGE-\n",
        b"# coding: punycode\n" + program,
        b"# coding: unicode_escape\n\\ud800 import a\n",
    ]


def notebooks(data: bytes) -> None:
    path = scratch() / "notebook.ipynb"
    path.write_bytes(data)
    found = notebook.read_notebook(path)
    if found is not None:
        text = notebook.notebook_code(found)
        notebook.is_consecutive(found)
        source_code.text_hash(text)
        to_payload(b.blob_recorded(text))
        imports.imported_names(text)


def _notebooks() -> list[bytes]:
    cell = {"cell_type": "code", "source": ["import a\n", "b = 1"], "execution_count": 1}
    old = {"cell_type": "code", "input": "import a", "prompt_number": 1}
    return [
        json.dumps({"nbformat": 4, "cells": [cell, {"cell_type": "markdown"}]}).encode(),
        json.dumps({"nbformat": 3, "worksheets": [{"cells": [old]}]}).encode(),
    ]


def params(data: bytes) -> None:
    try:
        given = json.loads(data)
    except (ValueError, RecursionError):
        given = {text_of(data): [data, text_of(data)]}
    with suppress(LedgerError):
        found = canonical_params(given, argv=[text_of(data)])
        again = canonical_params(plain_params(found)["params"])
        assert again["params"] == found["params"]
        to_payload(b.run_started(params=found["params"]))


def _params() -> list[bytes]:
    return [
        b'{"rate": 0.1, "steps": [1, true, null, "x"], "model": {"float": "1.0"}}',
        b'{"big": 123456789012345678901234567890, "nan": NaN, "deep": {"map": {"int": 1}}}',
    ]


# --- archives -------------------------------------------------------------------------------------


@contextmanager
def changed_archive(name: str, content: bytes) -> Iterator[Path]:
    """An honest archive of which one file is another; the manifest says its size."""
    with tempfile.TemporaryDirectory(dir=scratch()) as temporary:
        folder = Path(temporary)
        for path, honest in _archive().items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(content if path == name else honest)
        if name.endswith(".parquet"):
            manifest = json.loads((folder / "manifest.json").read_bytes())
            manifest["segments"][0]["size"] = len(content)
            (folder / "manifest.json").write_text(json.dumps(manifest))
        yield folder


@functools.cache
def _archive() -> dict[str, bytes]:
    import ledger as ln  # noqa: PLC0415 (only where an archive is made)
    from ledger.places import instance  # noqa: PLC0415
    from ledger.transfer.archive_export import export  # noqa: PLC0415

    before = instance._current, instance._found_from
    verbosity = ln.settings.verbosity
    ln.settings.verbosity = "error"
    try:
        ln.init("storage", root=scratch() / "exported")
        ln.connect(scratch() / "exported")
        one = ln.ULabel(name="one").save()
        one.name = "uno"
        one.save()
        ln.ULabel(name="two", description="second").save()
        export(scratch() / "archive")
        ln.close()
    finally:
        instance._current, instance._found_from = before
        ln.settings.verbosity = verbosity
    root = scratch() / "archive"
    return {str(it.relative_to(root)): it.read_bytes() for it in root.rglob("*") if it.is_file()}


def _segment() -> str:
    (name,) = (it for it in _archive() if it.endswith(".parquet"))
    return name


def _judge_archive(folder: Path) -> None:
    from ledger.auditing.audit import audit  # noqa: PLC0415
    from ledger.transfer.archive_import import restore  # noqa: PLC0415

    kept = [text.decode() for name, text in _archive().items() if name.startswith("checkpoint-")]
    before = sorted(scratch().iterdir())
    is_sound = False
    with suppress(LedgerError):
        is_sound = audit(archive=folder, checkpoints=kept).ok
    target = folder / "restored"
    with suppress(LedgerError):
        restore(folder, "./storage", root=target)
        # Only what is signed comes back: these are the same entries, or it was refused.
        assert is_sound
    assert is_sound or not (target / config.FOLDER / config.FILE).exists()
    assert sorted(scratch().iterdir()) == before


def archives(data: bytes) -> None:
    with changed_archive(_segment(), data) as folder:
        _judge_archive(folder)


def manifests(data: bytes) -> None:
    with changed_archive("manifest.json", data) as folder:
        _judge_archive(folder)


def archive_rows(data: bytes) -> None:
    """Well-formed Parquet whose values are not: a row and a column, and what is put there."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    table = pq.read_table(pa.BufferReader(_archive()[_segment()]))
    row, column, rest = *data[:2].ljust(2, b"\0"), data[2:]
    row, column = row % table.num_rows, column % table.num_columns
    field = table.schema.field(column)
    values = table.column(column).to_pylist()
    if pa.types.is_integer(field.type):
        values[row] = int.from_bytes(rest[:8].ljust(8, b"\0"), "little", signed=True)
    elif pa.types.is_string(field.type):
        values[row] = rest.decode("utf-8", "replace")
    elif pa.types.is_fixed_size_binary(field.type):
        values[row] = rest[: field.type.byte_width].ljust(field.type.byte_width, b"\0")
    else:
        values[row] = rest
    if field.nullable and rest == b"\0":
        values[row] = None
    table = table.set_column(column, field, pa.array(values, field.type))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    with changed_archive(_segment(), sink.getvalue().to_pybytes()) as folder:
        _judge_archive(folder)


def _archive_rows() -> list[bytes]:
    values = (b"\0", b"\xff" * 8, _events()[2])
    return [bytes([column % 3, column]) + value for column in range(11) for value in values]


TARGETS: dict[str, Target] = {
    "events": Target(events, _events),
    "checkpoints": Target(checkpoints, lambda: [it.encode() for it in _checkpoints()[0]]),
    "proofs": Target(proofs, _proofs),
    "key-lines": Target(key_lines, _key_lines),
    "configuration": Target(configuration, _configuration),
    "database-urls": Target(database_urls, _database_urls),
    "storage-urls": Target(storage_urls, _storage_urls),
    "points-in-time": Target(points_in_time, _points_in_time),
    "questions": Target(questions, _questions),
    "sources": Target(sources, _sources),
    "notebooks": Target(notebooks, _notebooks),
    "params": Target(params, _params),
    "archives": Target(archives, lambda: [_archive()[_segment()]], is_costly=True),
    "manifests": Target(manifests, lambda: [_archive()["manifest.json"]], is_costly=True),
    "archive-rows": Target(archive_rows, _archive_rows, is_costly=True),
}
# Names that a configuration may hold: kept here so that a new one gets its seed.
assert {"id", "name", "storage", "database"} <= set(Configuration.__struct_fields__)
