"""Erasure: what the log says of a record is removed for good, and provably nothing else.

1. An event says who erased what, and why, and names each entry; it is signed where the ledger's key
   is here. Of each entry the kept part stays byte for byte, and so does the leaf hash: every proof
   and checkpoint stays valid, and what stays is verified like everything else.
2. Log and read models change in one transaction; content is removed inside it, before its end, so
   that an erasure that was cut short is only repeated.
3. Then caches are emptied, and the database is written anew without what it had overwritten.
4. An entry of format 1 has no parts: a residue takes its place, which the event names by its hash.
5. A record that was erased keeps its uid and the hash of its natural key: what is saved again
   under that key is refused, and a replay of the run that saved it passes it by.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from ledger.content.hash_cache import HashCache
from ledger.content.located import stored_name
from ledger.decisions.facts import Decision, Row
from ledger.display.messages import say
from ledger.display.progress import progress
from ledger.errors import CommandRejectedError, InvalidValueError, NotFoundError
from ledger.eventlog.base import decode
from ledger.eventlog.entry import Entry, erased, erased_in_format_1
from ledger.model.canonical import Json, encode
from ledger.model.events import (
    ArtifactKeyed,
    ArtifactRegistered,
    EntriesErased,
    LedgerEvent,
    RecordedEvent,
)
from ledger.model.ids import StreamId, command_id, derive, stream_id
from ledger.model.payloads import format_of, kept_part, parts_of, to_payload
from ledger.model.schema import REGISTRIES, WITHDRAWN, FieldSpec, erased_text
from ledger.places import instance
from ledger.proving.eraser_keys import signer_at_hand
from ledger.proving.erasures import signed
from ledger.registries.base import Record
from ledger.registries.checks import check_flag, check_text
from projections.fold import Creation, intent_of

if TYPE_CHECKING:
    from ledger.decisions.facts import Stamp
    from ledger.engine.database import Session, WriteSession
    from ledger.places.instance import Ledger
    from ledger.proving.notes import PrivateKey

_REASON = FieldSpec(name="reason", max_length=4096)
_STEP = 1_000
_TELLING = ("name", "key", "description")
_SHORTEST = 4  # characters of a text that is worth looking for elsewhere
_MOST_MENTIONS = 1_000


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure did, or would do.

    Attributes:
        registry: Registry of the record.
        uid: Its uid.
        position: Position of the event that says so; None where there was nothing left to erase.
        entries: Positions of the entries that were erased.
        content_removed: Whether stored content was removed.
        mentions: Positions of other entries that hold a text which the record bore: erase those
            records too if they are about the same person or thing.
        is_scrubbed: Whether the database was written anew without what was overwritten.
        is_signed: Whether the ledger's key, or an eraser's, was here to sign what tells of it.
        unverifiable: Positions among `entries` of format 1: no hash vouches for what stays there.
    """

    registry: str
    uid: str
    position: int | None
    entries: tuple[int, ...]
    content_removed: bool
    mentions: tuple[int, ...]
    is_scrubbed: bool
    is_signed: bool = False
    unverifiable: tuple[int, ...] = ()


def erase(record: Record | str, *, reason: str, dry_run: bool = False) -> Erased:
    """Remove for good what the log, the read models, caches and storages hold of a record.

    Its name, key, description, parameters, source and content go; that there was a record of this
    uid, when it changed, by whom, in which run and with which others it was linked stays.
    This cannot be undone, and backups are not reached.

    Args:
        record: The record, or its uid; one that was withdrawn too.
        reason: Why. It stays for good: name the request, not the person.
        dry_run: Only tell what would be erased, and where else its texts occur.

    Raises:
        NotFoundError: No record has this uid.
        InvalidValueError: The reason is missing.
        CommandRejectedError: It is the run in hand, or a batch is open.
        KeyUnavailableError: The key that would sign can be read by others.
        StorageError: The database refused, or the user may not erase; nothing was erased.
    """
    reason = check_text("erase: reason", reason, _REASON, required=True)
    check_flag("erase(dry_run=)", dry_run)
    ledger = instance.current()
    handler = ledger.handler
    given: object = record.uid if isinstance(record, Record) else record
    if not isinstance(given, str) or not given:
        raise InvalidValueError(f"erase: expected a record or its uid, got {record!r}")
    uid = given
    if ledger.sessions.is_batching:
        raise CommandRejectedError("erase: it cannot be undone, so not in a batch; end that first")
    if handler.tracked is not None and handler.tracked.passage.run == uid:
        raise CommandRejectedError(f"Run {uid}: it is the run in hand; finish() it, then erase it")
    with ledger.reading() as session:
        found = Erasure(ledger, session, uid)
        texts = found.texts()
        plan = found.entries()
    own = {int(entry.envelope.position) for entry in plan}
    mentions = tuple(_mentions(ledger, texts, own))
    if dry_run:
        return Erased(
            registry=found.registry,
            uid=uid,
            position=None,
            entries=tuple(sorted(own)),
            content_removed=found.has_removable(),
            mentions=mentions,
            is_scrubbed=False,
            unverifiable=_of_format_1(plan),
        )
    with ledger.sessions.turn(), ledger.writing() as writing:
        found = Erasure(ledger, writing, uid)
        key = signer_at_hand(ledger, writing.log)
        done = found.carry_out(writing, reason, handler.stamp(), key)
    is_scrubbed = ledger.database.scrub()
    _forget(ledger, found.rows)
    if found.in_place:
        say(
            "warning",
            f"{found.in_place}: content that was registered in place is left there; remove it "
            "yourself if it is to go too",
        )
    if done.position is not None and not done.is_signed:
        say(
            "warning",
            f"the erasure of {uid} is not signed: neither the ledger's key nor an eraser's that it "
            "adopted is on this computer; an audit with that key tells of it as a finding, unless "
            "a checkpoint covers it ('metaledger key --eraser' makes one)",
        )
    return msgspec.structs.replace(done, mentions=mentions, is_scrubbed=is_scrubbed)


class Erasure:
    """A record as it is, and what erasing it comes to."""

    def __init__(self, ledger: Ledger, session: Session | WriteSession, uid: str) -> None:
        self._ledger = ledger
        self._models = session.models
        self._log = session.log
        self.uid = uid
        self.registry, self.rows = self._found()
        self.row = self.rows[-1]
        self.in_place = ""

    def _found(self) -> tuple[str, list[Row]]:
        for registry in REGISTRIES:
            rows = self._models.find(registry, ever=True, uid=self.uid)
            if rows:
                return registry, rows
        if rows := self._models.find("record", ever=True, uid=self.uid):
            return str(rows[0]["registry"]), rows
        raise NotFoundError(f"uid '{self.uid}': no record of any registry has it", uid=self.uid)

    def entries(self) -> list[Entry]:
        """Return the entries to erase, in order: those that hold more than what is kept."""
        found = self._log.stream_entries(StreamId(self.row["stream"]))
        for blob in self._own_blobs():
            found += self._log.stream_entries(stream_id(["blob", blob]))
        told = [it for it in found if not it.is_erased and _says_more(decode(it).event)]
        return sorted(told, key=lambda entry: entry.envelope.position)

    def _erased(self, entry: Entry) -> Entry:
        if format_of(entry.payload) > 1:
            return erased(entry)
        left = kept_part(self._as_today(decode(entry)))
        return erased_in_format_1(entry, left.removesuffix(b"\n"))

    def _as_today(self, recorded: RecordedEvent) -> LedgerEvent:
        """Return an event of format 1 with what kept parts hold since."""
        event = recorded.event
        values: dict[str, Any] = {}
        if isinstance(event, Creation):
            values["natural_id"] = derive(event.natural)
        if recorded.number == 1 and event.run is not None:
            values["intent"] = intent_of(event.command)
        if isinstance(event, ArtifactRegistered | ArtifactKeyed):
            values["displaced"] = self._displaced(recorded)
        return msgspec.structs.replace(event, **values)

    def _displaced(self, recorded: RecordedEvent) -> int | None:
        event: Any = recorded.event
        if event.key is None:
            return None
        for row in self._models.find("artifact_key", ever=True, key=event.key):
            if row["to_position"] == recorded.position and row["uid"] != self.uid:
                return int(row["from_position"])
        return None

    def _own_blobs(self) -> list[str]:
        """Return the sources that no other transform ever named."""
        if self.registry != "transform":
            return []
        own = {row["source"] for row in self.rows} - {None}
        return sorted(
            blob
            for blob in own
            if all(
                row["uid"] == self.uid
                for row in self._models.find("transform", ever=True, source=blob)
            )
        )

    def has_removable(self) -> bool:
        """Return whether stored content goes with it: not what is in place, nor what is shared."""
        row = self.row
        if self.registry != "artifact" or row["storage_key"] == erased_text(self.uid):
            return False
        return stored_name(row) is not None and not any(
            other["storage"] == row["storage"]
            and other["state"] < WITHDRAWN
            and other["uid"] != self.uid
            for other in self._models.find("artifact", storage_key=row["storage_key"])
        )

    def texts(self) -> set[str]:
        """Return the texts that the record bore and that could occur elsewhere."""
        found = {row.get(name) for row in self.rows for name in _TELLING}
        if self.registry == "artifact":
            found |= {
                row["key"] for row in self._models.find("artifact_key", ever=True, uid=self.uid)
            }
        found -= {None, erased_text(self.uid)}
        return {str(text) for text in found if len(str(text)) >= _SHORTEST}

    def carry_out(
        self, session: WriteSession, reason: str, stamp: Stamp, key: PrivateKey | None = None
    ) -> Erased:
        """Record the erasure and do it; durable when the transaction around it has ended.

        Args:
            session: Of the transaction.
            reason: Why.
            stamp: Who does it, and when.
            key: What signs it; None where the ledger has none, or not here.
        """
        chosen = self.entries()
        is_removed = self.has_removable()
        nothing = Erased(
            registry=self.registry,
            uid=self.uid,
            position=None,
            entries=(),
            content_removed=False,
            mentions=(),
            is_scrubbed=False,
        )
        if not chosen:
            return nothing
        is_of_content = self.registry == "artifact" and not self.row["is_declared"]
        if is_of_content and stored_name(self.row) is None:
            self.in_place = f"{self.row['storage']}/{self.row['storage_key']}"
        left = [self._erased(entry) for entry in chosen]
        positions = tuple(entry.envelope.position for entry in left)
        unverifiable = _of_format_1(left)
        stream = StreamId(self.row["stream"])
        version = session.log.stream_version(stream)
        identity: list[Json] = ["erase", self.uid, {"reason": reason}, version]
        event = EntriesErased(
            **{**stamp.fields(), "run": None, "command": identity},
            registry=self.registry,
            uid=self.uid,
            reason=reason,
            entries=positions,
            residues=tuple(
                (entry.envelope.position, sha256(entry.payload).hexdigest())
                for entry in left
                if entry.envelope.position in unverifiable
            ),
            content_removed=is_removed,
        )
        if key is not None:
            # The whole event is signed, its time included.
            event = signed(session.log.dated(event), key)
        decision = Decision(events=(event,), outcome=self.uid, stream=stream)
        (recorded,) = session.append(command_id(identity), decision.drafts(identity))
        session.log.erase(left)
        session.models.redact(self.registry, self.uid)
        if is_removed:
            self._ledger.content(self.row).remove()
        return msgspec.structs.replace(
            nothing,
            position=recorded.position,
            entries=positions,
            content_removed=is_removed,
            is_signed=key is not None,
            unverifiable=unverifiable,
        )


def _says_more(event: LedgerEvent) -> bool:
    """Return whether an event says more than what is kept of it."""
    return parts_of(to_payload(event))[1] != b""


def _of_format_1(entries: list[Entry]) -> tuple[int, ...]:
    return tuple(it.envelope.position for it in entries if format_of(it.payload) == 1)


def _mentions(ledger: Ledger, texts: set[str], own: set[int]) -> Iterator[int]:
    """Yield the positions of other entries whose payload holds one of the texts."""
    if not texts:
        return
    wanted = [encode(text)[1:-1] for text in texts]
    after, count = 0, 0
    with progress("looking for mentions", ledger.head()) as step:
        while True:
            with ledger.reading() as session:
                batch = session.log.entries(after=after, limit=_STEP)
            for entry in batch:
                position = entry.envelope.position
                if position not in own and any(text in entry.payload for text in wanted):
                    yield position
                    count += 1
                    if count == _MOST_MENTIONS:
                        return
            step(len(batch))
            if len(batch) < _STEP:
                return
            after = batch[-1].envelope.position


def _forget(ledger: Ledger, rows: list[Row]) -> None:
    """Empty what this computer remembers of the record beside the database."""
    # Hashes of files are remembered by their paths.
    ledger.hash_cache.clear()
    ledger.forget_names()
    HashCache(ledger.cache_folder / "urls.sqlite3").clear()
    for digest in {row["digest"] for row in rows if row.get("digest")}:
        ledger.content_cache.forget(str(digest))


__all__ = ["Erased", "erase"]
