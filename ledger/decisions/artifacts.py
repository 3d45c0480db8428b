"""Rules for artifacts and collections: identity by content, keys that move, versions, reruns.

1. Content is the same where hash and digest are; an equal hash with another digest is other
   content and gets its own `n`, said loudly.
2. Of several artifacts of one content the one under the given key comes first, then the oldest.
3. A key points at one artifact at a time: registering content under it moves it there.
4. New content under a key that exists is a new version of that family.
5. A collection bears every name that it was given, until one of another family is given it. New
   members under a name that is borne are a new version of that family.
6. A run that makes content which exists reproduces it, once, unless it made it itself.
7. Content that is gone from its place is healed by the next save of it: it is stored again, or the
   place where it lies now is named.
8. A key follows the pass: a later pass that asks again for content under a key moves the key back
   where a run of another identity moved it. Where a person moved it outside of any run, it stays.
"""

from __future__ import annotations

from ledger.decisions.facts import (
    Decision,
    Facts,
    Notice,
    Row,
    Stamp,
    birth,
    differing,
    latest,
    namesakes,
    refuse_erased,
    require,
)
from ledger.errors import CommandRejectedError, ContentExistsError
from ledger.model.commands import Command, SaveArtifact, SaveCollection
from ledger.model.events import (
    ArtifactKeyed,
    ArtifactRegistered,
    ArtifactRelocated,
    ArtifactReproduced,
    CollectionCreated,
    LedgerEvent,
    RecordChanged,
)
from ledger.model.ids import StreamId
from ledger.model.outside_commands import DeclareArtifact
from ledger.model.schema import ARTIFACT, COLLECTION, ERASED, LIVE, WITHDRAWN


def find_content(facts: Facts, command: SaveArtifact) -> Row | None:
    """Return the artifact that this content under this key means; None for new content."""
    same = [
        row
        for row in namesakes(facts, "artifact", command.natural)
        if row["state"] < WITHDRAWN and row["digest"] == command.content.digest
    ]
    if not same:
        return None
    pointed = ever = set[str]()
    if command.key is not None:
        pointed = {row["uid"] for row in facts.find("artifact_key", key=command.key)}
        ever = {row["uid"] for row in facts.find("artifact_key", key=command.key, ever=True)}
    return min(
        same,
        key=lambda row: (
            row["state"] != LIVE,
            row["uid"] not in pointed,
            row["uid"] not in ever,
            row["created_position"],
        ),
    )


def save_artifact(command: SaveArtifact, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on having an artifact of this content.

    Raises:
        ContentExistsError: The content is registered already and the mode is "error".
    """
    if command.target is not None:
        row: Row | None = require(facts, "artifact", command.target)
    elif command.mode == "warn_create_new":
        row = None
    else:
        row = find_content(facts, command)
    if row is None:
        return _register(command, facts, stamp)
    if command.mode == "error" and command.target is None:
        raise exists_error(command, row)
    return _meet_again(command, row, facts, stamp)


def exists_error(command: SaveArtifact | SaveCollection, row: Row) -> ContentExistsError:
    """Return the error of mode "error" for content that is registered already."""
    title = "artifact" if isinstance(command, SaveArtifact) else "collection"
    return ContentExistsError(
        f"{title} {row['uid']}: the same content (hash {row['hash']}) is registered already; "
        "load it with get(), or choose if_hash_exists='warn_return_existing' or 'warn_create_new'",
        uid=row["uid"],
        hash=row["hash"],
    )


def family_of(command: SaveArtifact | DeclareArtifact, facts: Facts) -> Row | None:
    """Return the artifact that new content is a new version of; None where it founds a family."""
    if command.revises is not None:
        return require(facts, "artifact", command.revises)
    for pointer in pointers_of(facts, command.key):
        for row in facts.find("artifact", uid=pointer["uid"]):
            if row["state"] < WITHDRAWN:
                return row
    return None


def _register(command: SaveArtifact, facts: Facts, stamp: Stamp) -> Decision:
    content = command.content
    if command.mode != "warn_create_new":
        refuse_erased(facts, "artifact", command.natural)
    revised = family_of(command, facts)
    stem = None if revised is None else revised["uid"][: ARTIFACT.uid_length]
    born = birth(facts, "artifact", command.natural, stem=stem)
    notices = []
    others = [
        row
        for row in namesakes(facts, "artifact", command.natural)
        if row["digest"] != content.digest and row["state"] != ERASED
    ]
    if others:
        notices.append(
            Notice(
                "warning",
                f"artifact {others[0]['uid']} has the same {content.hash_type} hash "
                f"{content.hash} and DIFFERENT bytes: this is not an accident, look at both",
            )
        )
    if revised is not None and command.revises is None:
        notices.append(
            Notice(
                "info",
                f"new version of key '{command.key}': revises artifact {revised['uid']}",
            )
        )
    event = ArtifactRegistered(
        uid=born.uid,
        natural=command.natural,
        natural_id=born.natural_id,
        n=born.n,
        key=command.key,
        description=command.fields.get("description"),
        version=command.version,
        revises=None if revised is None else revised["uid"],
        suffix=content.suffix,
        hash=content.hash,
        hash_type=content.hash_type,
        digest=content.digest,
        size=content.size,
        n_files=content.n_files,
        storage=content.storage,
        storage_key=_storage_key(command, facts, born.uid),
        in_place=content.in_place is not None,
        displaced=displaced_by(pointers_of(facts, command.key)),
        **stamp.fields(),
    )
    return Decision(
        events=(event,),
        outcome=born.uid,
        is_new=True,
        natural=born.identity,
        stream=born.stream,
        notices=tuple(notices),
    )


def pointers_of(facts: Facts, key: str | None) -> list[Row]:
    """Return where a key leads now: one row, or none."""
    return [] if key is None else facts.find("artifact_key", key=key)


def displaced_by(pointers: list[Row]) -> int | None:
    """Return the position from which on a key has led where it leads until now."""
    return int(pointers[0]["from_position"]) if pointers else None


def led_away(command: Command, outcome: str, facts: Facts) -> Row | None:
    """Return where the key of an earlier save leads now; None where it leads to that content.

    None also where the save had no key, the key leads nowhere, or the artifact is no longer live.
    """
    if not isinstance(command, SaveArtifact):
        return None
    for pointer in pointers_of(facts, command.key):
        if pointer["uid"] == outcome:
            return None
        for artifact in facts.find("artifact", uid=outcome):
            other = facts.find("artifact", uid=pointer["uid"])
            same = bool(other) and other[0]["digest"] == artifact["digest"]
            return None if same or artifact["state"] != LIVE else pointer
    return None


def _storage_key(command: SaveArtifact, facts: Facts, uid: str) -> str:
    """Return where the content is: in place, beside an artifact of the same bytes, or its own."""
    content = command.content
    if content.in_place is not None:
        return content.in_place
    for row in namesakes(facts, "artifact", command.natural):
        if (
            row["digest"] == content.digest
            and row["state"] < WITHDRAWN
            and row["storage"] == content.storage
            and not row["in_place"]
        ):
            return str(row["storage_key"])
    return f".metaledger/{uid}{content.suffix}"


def reproduced(uid: str, facts: Facts, stamp: Stamp) -> list[LedgerEvent]:
    """Return the event that a run made an artifact again; none where it did so before."""
    if stamp.run is None or facts.find("link", field="artifact.runs", source=uid, target=stamp.run):
        return []
    return [ArtifactReproduced(uid=uid, **stamp.fields())]


def _meet_again(command: SaveArtifact, row: Row, facts: Facts, stamp: Stamp) -> Decision:
    uid = row["uid"]
    events = reproduced(uid, facts, stamp)
    notices: tuple[Notice, ...] = ()
    if is_gone(command, row):
        healed = _relocated(command, row, stamp)
        events.append(healed)
        place = f"{healed.storage}/{healed.storage_key}"
        notices = (
            Notice(
                "warning",
                f"content of artifact {uid} was gone from {row['storage']}/{row['storage_key']}; "
                + (f"it lies at {place} now" if healed.in_place else f"stored again at {place}"),
            ),
        )
    pointers = pointers_of(facts, command.key)
    if command.key is not None and not any(it["uid"] == uid for it in pointers):
        displaced = displaced_by(pointers)
        events.append(
            ArtifactKeyed(uid=uid, key=command.key, displaced=displaced, **stamp.fields())
        )
    changes = differing(row, command.fields)
    if changes:
        events.append(RecordChanged(registry="artifact", uid=uid, fields=changes, **stamp.fields()))
    return Decision(
        events=tuple(events), outcome=uid, stream=StreamId(row["stream"]), notices=notices
    )


def is_gone(command: Command, row: Row) -> bool:
    """Return whether the content of an artifact was found missing where its row still says."""
    return isinstance(command, SaveArtifact) and command.gone == (
        row["storage"],
        row["storage_key"],
    )


def _relocated(command: SaveArtifact, row: Row, stamp: Stamp) -> ArtifactRelocated:
    """Return where lost content lies from now on: in place, where it was stored, or beside that."""
    content, uid = command.content, str(row["uid"])
    storage, key = content.storage, content.in_place
    if key is None and row["in_place"]:
        key = f".metaledger/{uid}{row['suffix']}"
    elif key is None:
        storage, key = str(row["storage"]), str(row["storage_key"])
    return ArtifactRelocated(
        uid=uid,
        storage=storage,
        storage_key=key,
        in_place=content.in_place is not None,
        **stamp.fields(),
    )


def find_members(facts: Facts, command: SaveCollection) -> Row | None:
    """Return the collection of these members; None where there is none."""
    for row in namesakes(facts, "collection", command.natural):
        if row["state"] < WITHDRAWN and row["digest"] == command.digest:
            return row
    return None


def save_collection(command: SaveCollection, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on having a collection of these members.

    Raises:
        ContentExistsError: There is one already and the mode is "error".
        CommandRejectedError: It has no members.
    """
    if not command.artifacts:
        raise CommandRejectedError(
            f"collection '{command.name}': expected at least one artifact, got none"
        )
    if command.target is not None:
        row: Row | None = require(facts, "collection", command.target)
    elif command.mode == "warn_create_new":
        row = None
    else:
        row = find_members(facts, command)
    if row is not None:
        if command.mode == "error" and command.target is None:
            raise exists_error(command, row)
        changes = differing(row, command.fields)
        if not is_borne(facts, row, command.name):
            # Also where it is the last name of the record: another family may have taken it.
            changes = {"name": command.name, **changes}
        events: tuple[LedgerEvent, ...] = ()
        if changes:
            events = (
                RecordChanged(
                    registry="collection", uid=row["uid"], fields=changes, **stamp.fields()
                ),
            )
        return Decision(events=events, outcome=row["uid"], stream=StreamId(row["stream"]))
    return _create_collection(command, facts, stamp)


def _create_collection(command: SaveCollection, facts: Facts, stamp: Stamp) -> Decision:
    for member in command.artifacts:
        require(facts, "artifact", member)
    if command.mode != "warn_create_new":
        refuse_erased(facts, "collection", command.natural)
    revised = _collection_family(command, facts)
    stem = None if revised is None else revised["uid"][: COLLECTION.uid_length]
    born = birth(facts, "collection", command.natural, stem=stem)
    notices: tuple[Notice, ...] = ()
    if revised is not None and command.revises is None:
        notices = (
            Notice("info", f"new version of '{command.name}': revises collection {revised['uid']}"),
        )
    event = CollectionCreated(
        uid=born.uid,
        natural=command.natural,
        natural_id=born.natural_id,
        n=born.n,
        name=command.name,
        description=command.fields.get("description"),
        version=command.version,
        revises=None if revised is None else revised["uid"],
        hash=command.hash,
        digest=command.digest,
        is_ordered=command.is_ordered,
        artifacts=command.artifacts,
        **stamp.fields(),
    )
    return Decision(
        events=(event,),
        outcome=born.uid,
        is_new=True,
        natural=born.identity,
        stream=born.stream,
        notices=notices,
    )


def _collection_family(command: SaveCollection, facts: Facts) -> Row | None:
    if command.revises is not None:
        return require(facts, "collection", command.revises)
    named = sorted(facts.find("borne_name", name=command.name), key=lambda it: it["from_position"])
    for given in reversed(named):
        # The family that was given the name last: its latest live version under this name.
        family = [it["uid"] for it in named if it["stem"] == given["stem"]]
        rows = [row for uid in family for row in facts.find("collection", uid=uid, state=LIVE)]
        if rows:
            return latest(rows)
    return None


def is_borne(facts: Facts, row: Row, name: str, *, at: int | None = None) -> bool:
    """Return whether a record bears a name: no other family was given it since."""
    named = facts.find("borne_name", at=at, name=name)
    own = [it["from_position"] for it in named if it["uid"] == row["uid"]]
    others = [it["from_position"] for it in named if it["stem"] != row["stem"]]
    return bool(own) and max(others, default=0) < max(own)
