"""docs/format.md is true: its worked examples are read from the page and computed anew."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import typing
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from ledger.content.hashing import hash_members, hash_path, members_digest
from ledger.engine.postgres_database import PostgresDatabase
from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import InvalidValueError
from ledger.eventlog.entry import Envelope, erased, erased_in_format_1, leaf_of, seal
from ledger.model import events, ids, merkle, payloads
from ledger.model.canonical import encode, identity_bytes
from ledger.model.schema import REGISTRIES
from ledger.proving.erasures import signer_of
from ledger.proving.notes import read_public_key
from ledger.registries.transform import stem_of
from ledger.tracking.environment import Environment, environment_hash, environment_text
from ledger.tracking.source_code import text_hash
from projections.fold import intent_key, subject_key
from tests.support.servers import in_new_schema, new_schema

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text("utf-8")
BLOCKS = {
    name: json.loads(text)
    for name, text in re.findall(
        r"^```json vectors (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
    )
}


def vectors(name: str):
    """Run a test once for each example of a block."""
    return pytest.mark.parametrize("it", BLOCKS[name], ids=range(len(BLOCKS[name])))


def test_every_block_of_the_page_is_checked_here():
    used = set(re.findall(r'(?:vectors\(|BLOCKS\[)"(\w+)"', Path(__file__).read_text("utf-8")))
    assert used == set(BLOCKS)


# --- canonical JSON, ids, uids --------------------------------------------------------------------


@vectors("canonical")
def test_canonical_json(it):
    assert encode(it["value"]) == it["canonical"].encode() == bytes.fromhex(it["bytes"])


def test_half_a_surrogate_pair_has_no_canonical_form():
    with pytest.raises(InvalidValueError):
        encode("\ud83e")


@vectors("identities")
def test_ids_of_identities(it):
    assert identity_bytes(it["identity"]) == it["canonical"].encode()
    assert ids.digest(it["identity"]).hex() == it["sha256"]
    assert ids.derive(it["identity"]) == it["id"]


def test_text_in_form_c_and_in_form_d_has_one_id():
    composed, decomposed = BLOCKS["identities"][:2]
    assert composed["identity"] != decomposed["identity"]
    assert composed["id"] == decomposed["id"]


@vectors("uids")
def test_uids_and_streams_of_records(it):
    identity, spec = it["identity"], REGISTRIES[it["registry"]]
    assert ids.base62(ids.digest(identity)) == it["base62"]
    assert ids.stream_id(identity) == it["stream"]
    if spec.is_versioned:
        stem = it.get("stem")
        assert it["uid"] == ids.versioned_uid(identity, stem_length=spec.uid_length, stem=stem)
    else:
        assert it["uid"] == ids.uid(identity, spec.uid_length)


def test_there_is_a_uid_of_every_registry():
    assert {it["registry"] for it in BLOCKS["uids"]} == set(REGISTRIES)


@vectors("commands")
def test_command_ids(it):
    assert ids.command_id(it["identity"]) == it["command_id"]


@vectors("intents")
def test_intent_and_subject_keys(it):
    intent = (it["kind"], it["subject"], it["fields"], it["occurrence"])
    assert intent_key(*intent) == it["intent_key"]
    assert subject_key(*intent[:2]) == it["subject_key"]


@vectors("runs")
def test_identities_of_runs(it):
    assert stem_of(it["stem_of"]) == it["stem"] == it["identity"][0][1]
    assert ids.digest(it["identity"]).hex() == it["run_identity"]
    assert ids.uid(["create", *it["natural"], it["n"]], 16) == it["uid"]


# --- events ---------------------------------------------------------------------------------------

TYPES = {kind.__struct_config__.tag: kind for kind in typing.get_args(events.LedgerEvent)}
COMMON = {field.encode_name for field in msgspec.structs.fields(events.Event)}


@vectors("parts")
def test_both_parts_are_read_and_written_byte_by_byte(it):
    payload = f"{it['kept']}\n{it['erasable']}".encode()
    event = payloads.from_payload(payload, position=1)
    assert events.tag_of(event) == it["type"]
    assert payloads.to_payload(event) == payload


@vectors("parts")
def test_what_is_left_of_an_event_is_read_of_its_kept_part_alone(it):
    kept = f"{it['kept']}\n".encode()
    left = payloads.from_payload(kept, position=1, is_erased=True)
    assert events.tag_of(left) == it["type"]
    assert payloads.kept_part(left) == kept
    # Nothing that follows the kept part is read.
    more = kept + b'{"uid":"another"}'
    assert payloads.from_payload(more, position=1, is_erased=True) == left


@vectors("payloads")
def test_payloads_of_format_1_are_read_and_written_byte_by_byte(it):
    payload = it["payload"].encode()
    event = payloads.from_payload(payload, position=1)
    assert events.tag_of(event) == it["type"]
    assert encode(event) == payload


def test_the_examples_show_every_type_and_every_field():
    shown: dict[str, set[str]] = {}
    for it in BLOCKS["parts"]:
        for part in filter(None, (it["kept"], it["erasable"])):
            shown.setdefault(it["type"], set()).update(json.loads(part))
    assert set(shown) == set(TYPES) - {"entries-erased.v1"}
    for tag, kind in TYPES.items():
        own = {field.encode_name for field in msgspec.structs.fields(kind)} - COMMON
        assert own <= shown.get(tag, own), tag
    assert shown["record-created.v1"] >= COMMON


def test_the_table_of_erasable_fields_is_that_of_the_program():
    section = PAGE.split("## 5. Events")[1].split("## 6.")[0]
    told: dict[str, tuple[str, ...]] = {}
    for line in section.splitlines():
        cells = line.strip("|").split("|")
        if len(cells) == 2:
            names = tuple(re.findall(r"`(\w+)`", cells[1]))
            told |= dict.fromkeys(re.findall(r"`([\w-]+\.v\d)`", cells[0]), names)
    assert told == {
        str(kind.__struct_config__.tag): names for kind, names in payloads.ERASABLE.items()
    }


def test_the_table_of_events_has_every_field_and_default():
    told = _events_told()
    assert set(told) == set(TYPES)
    for tag, kind in TYPES.items():
        own = {
            field.encode_name: field
            for field in msgspec.structs.fields(kind)
            if field.encode_name not in COMMON
        }
        assert set(told[tag]) == set(own), tag
        for name, field in own.items():
            assert (told[tag][name] == "") == field.required, f"{tag} {name}"


def _events_told() -> dict[str, dict[str, str]]:
    """Return type → field → default, as the page's table has them."""
    told: dict[str, dict[str, str]] = {}
    tag = ""
    section = PAGE.split("## 5. Events")[1].split("## 6.")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 4 or cells[0] in ("type", "---"):
            continue
        tag = cells[0].strip("`") or tag
        for name in re.findall(r"`(\w+)`", cells[1]):
            default = cells[3]
            # `n`: 1 in a row of several fields means that the others have none.
            if default.startswith("`n`:"):
                default = default.removeprefix("`n`:").strip() if name == "n" else ""
            told.setdefault(tag, {})[name] = default
    return told


# --- entries and the tree -------------------------------------------------------------------------


@vectors("split")
def test_an_entry_byte_by_byte(it):
    payload, salt = it["payload"].encode(), bytes.fromhex(it["salt"])
    envelope = msgspec.json.decode(it["envelope"], type=Envelope)
    assert payload.hex() == it["payload_hex"]
    assert encode(envelope) == it["envelope"].encode()
    assert payloads.kept_salt(salt).hex() == it["kept_salt"]
    assert payloads.hashes_of(payload, salt).hex() == it["kept_hash"] + it["erasable_hash"]
    entry = seal(envelope, payload, salt=salt)
    assert entry.hashed.hex() == it["entry_hex"]
    assert entry.leaf.hex() == leaf_of(envelope, payload, salt).hex() == it["leaf"]
    event = payloads.from_payload(payload, position=envelope.position)
    assert envelope.command_id == ids.command_id(event.command)
    assert envelope.tag == events.tag_of(event)


@vectors("split")
def test_an_erased_entry_has_the_leaf_that_it_had(it):
    envelope = msgspec.json.decode(it["envelope"], type=Envelope)
    entry = erased(seal(envelope, it["payload"].encode(), salt=bytes.fromhex(it["salt"])))
    if it["erased_payload"] is not None:
        assert (entry.payload.decode(), entry.salt.hex()) == (
            it["erased_payload"],
            it["erased_salt"],
        )
    assert leaf_of(envelope, entry.payload, entry.salt).hex() == it["leaf"]
    for more in (b"{}", b"\n"):
        assert leaf_of(envelope, entry.payload + more, entry.salt).hex() != it["leaf"]


@vectors("entry")
def test_an_entry_of_format_1_byte_by_byte(it):
    payload, salt = it["payload"].encode(), bytes.fromhex(it["salt"])
    envelope = msgspec.json.decode(it["envelope"], type=Envelope)
    assert payload.hex() == it["payload_hex"]
    assert encode(envelope) == it["envelope"].encode() == bytes.fromhex(it["envelope_hex"])
    hashed = merkle.payload_hash(salt, payload)
    assert hashed.hex() == it["payload_hash"]
    assert (encode(envelope) + hashed).hex() == it["entry_hex"]
    assert leaf_of(envelope, payload, salt).hex() == it["leaf"]
    assert seal(envelope, payload, salt=salt).leaf.hex() == it["leaf"]


@vectors("erased")
def test_an_erased_entry_of_format_1_has_the_leaf_that_it_had(it):
    envelope = msgspec.json.decode(it["envelope"], type=Envelope)
    (before,) = BLOCKS["entry"]
    payload, salt = before["payload"].encode(), bytes.fromhex(before["salt"])
    residue = it["residue"].encode()
    entry = erased_in_format_1(seal(envelope, payload, salt=salt), residue)
    assert entry.salt.hex() == it["salt"]
    assert entry.leaf.hex() == it["leaf"] == before["leaf"]
    assert leaf_of(envelope, entry.payload, entry.salt) == entry.leaf
    assert hashlib.sha256(residue).hexdigest() == it["residue_sha256"]
    # Of a residue is read what a kept part would hold, and nothing else.
    left = payloads.from_payload(residue, position=envelope.position, is_erased=True)
    natural = payloads.from_payload(payload, position=envelope.position).natural
    assert (left.natural_id, left.natural, left.command) == (ids.derive(natural), [], [])


@vectors("erasure")
def test_an_erasure_is_signed_as_the_page_says(it):
    event = payloads.from_payload(it["payload"].encode(), position=1)
    assert encode(msgspec.structs.replace(event, signature=None)) == it["said"].encode()
    assert event.signature.startswith(it["note"] + "\n")
    key = read_public_key(it["key"])
    assert signer_of(event, [key], key.name) == key


def test_roots_of_trees():
    leaves, *trees = BLOCKS["merkle"]
    hashes = [merkle.leaf_hash(bytes.fromhex(entry)) for entry in leaves["entries"]]
    assert [leaf.hex() for leaf in hashes] == leaves["leaves"]
    assert [tree["size"] for tree in trees] == list(range(9))
    for tree in trees:
        assert merkle.root_hash(hashes[: tree["size"]]).hex() == tree["root"]


# --- content, source, environment -----------------------------------------------------------------


@vectors("files")
def test_hashes_of_files(it, tmp_path):
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(it.get("text", "").encode())
        file.truncate(it["size"])  # zeros, for the large ones
    found = hash_path(path)
    assert (found.hash, found.hash_type, found.digest) == (
        it["hash"],
        it["hash_type"],
        it["digest"],
    )
    assert (found.size, found.n_files) == (it["size"], None)


@vectors("folders")
def test_hashes_of_folders(it, tmp_path):
    for name, text in it["files"].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    (tmp_path / "empty" / "leaves no trace").mkdir(parents=True)
    found = hash_path(tmp_path)
    assert (found.hash, found.hash_type, found.digest) == (
        it["hash"],
        it["hash_type"],
        it["digest"],
    )
    assert (found.size, found.n_files) == (it["size"], it["n_files"])


@vectors("collections")
def test_hashes_of_collections(it):
    assert hash_members(it["hashes"], it["is_ordered"]) == it["hash"]
    assert members_digest(it["digests"], ordered=it["is_ordered"]) == it["digest"]


@vectors("sources")
def test_hashes_of_sources(it):
    assert text_hash(it["text"]) == it["hash"]


@vectors("environments")
def test_hashes_of_environments(it):
    environment = Environment(
        python_version=it["python_version"],
        implementation=it["implementation"],
        platform=it["platform"],
        distributions=tuple(tuple(pair) for pair in it["distributions"]),
    )
    assert environment_text(environment) == it["text"]
    assert environment_hash(environment) == it["hash"]


# --- the SQLite file ------------------------------------------------------------------------------


def test_the_log_in_a_new_file_is_what_the_page_says(tmp_path):
    (told,) = re.findall(r"^```sql schema\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / "ledger.db"
    SqliteDatabase.create(path, lambda: 0).close()
    with closing(sqlite3.connect(path)) as made, closing(sqlite3.connect(":memory:")) as page:
        page.executescript(told)
        told_parts, made_parts = _parts(page), _parts(made)
    assert told_parts
    assert {name: made_parts[name] for name in told_parts} == told_parts
    assert {name for name, sql in made_parts.items() if "TRIGGER" in sql} <= set(told_parts)


def _parts(connection) -> dict[str, str]:
    """Return the statements that made the tables and triggers, however they were laid out."""
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'trigger')"
    )
    return {name: re.sub(r"\s*([(),])\s*", r"\1", " ".join(sql.split())) for name, sql in rows}


# --- the PostgreSQL schema ------------------------------------------------------------------------


def test_the_log_in_a_new_schema_is_what_the_page_says(postgres, postgres_url):
    (told,) = re.findall(r"^```sql postgres schema\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    PostgresDatabase.create(postgres).close()
    with new_schema(postgres_url) as page, in_new_schema(page) as connection:
        connection.execute(told.replace("ledger.", f"{page.schema}.").encode())
        told_parts = _catalogue(connection, page.schema)
        made_parts = _catalogue(connection, postgres.schema)
    assert len(told_parts) > 30
    assert {name: made_parts.get(name) for name in told_parts} == told_parts
    # Whatever else there is, is a read model: nothing more on the log's tables, no other function.
    more = {name for name in made_parts if name not in told_parts}
    assert not [name for name in more if name.split()[1] in {"stored_events", "entries", "meta"}]
    assert {name for name in more if name.startswith("function")} == {"function folded"}


def _catalogue(connection, schema: str) -> dict[str, str]:
    """Return what a schema holds: columns, indexes, triggers and functions, however laid out."""
    found = connection.execute(
        "SELECT 'column ' || c.relname || ' ' || a.attname, format_type(a.atttypid, a.atttypmod)"
        " || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END || ' ' || coalesce(l.collname, '')"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'"
        " LEFT JOIN pg_collation l ON l.oid = a.attcollation"
        " WHERE a.attnum > 0 AND c.relnamespace = %(schema)s::text::regnamespace"
        " UNION ALL SELECT 'index ' || tablename || ' ' || indexname, indexdef FROM pg_indexes"
        " WHERE schemaname = %(schema)s::text"
        " UNION ALL SELECT 'trigger ' || c.relname || ' ' || t.tgname, pg_get_triggerdef(t.oid)"
        " FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
        " WHERE NOT t.tgisinternal AND c.relnamespace = %(schema)s::text::regnamespace"
        " UNION ALL SELECT 'function ' || proname, prosrc || provolatile::text || prosecdef"
        " || coalesce(array_to_string(proconfig, ' '), '') FROM pg_proc"
        " WHERE pronamespace = %(schema)s::text::regnamespace",
        {"schema": schema},
    ).fetchall()
    plain = {name: text.replace(f'"{schema}"', schema) for name, text in found}
    return {name: " ".join(text.replace(f"{schema}.", "").split()) for name, text in plain.items()}
