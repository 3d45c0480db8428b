"""Keys of erasers: a person who may erase signs erasures with a key of its own, and nothing else.

1. Such a key bears another name than the ledger's: no checkpoint is signed with it, and no key is
   adopted by it.
2. The log says which keys these are, one list after the other. The ledger's key endorses each list
   with its number, so that none can be brought in again.
3. A key that is off the list signs nothing from then on; what it signed before stays signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ledger.errors import InvalidProofError, InvalidValueError, NotFoundError
from ledger.eventlog.base import LogReader
from ledger.model.events import Draft
from ledger.model.ids import StreamId, command_id, stream_id
from ledger.model.key_events import EraserKeysSet
from ledger.places import instance
from ledger.places.instance import Ledger
from ledger.proving.checkpoints import key_at_hand, ledger_id, signing_key
from ledger.proving.keys import KeyRing, eraser_name, origin_of
from ledger.proving.notes import (
    ED25519,
    PrivateKey,
    PublicKey,
    generate,
    read_note,
    read_public_key,
    sign_note,
    verify_note,
)

ERASER_KEYS = "metaledger eraser keys"


def own_key() -> PublicKey:
    """Return the eraser's key that this user has for the ledger in use; make one if there is none.

    The ledger's owner has to adopt it before it counts.

    Raises:
        KeyUnavailableError: Others can read it, or this user cannot.
    """
    ring = _ring(instance.current())
    own = ring.private_keys()
    if own:
        return own[0].public()
    made = generate(ring.name)
    ring.keep(made)
    return made.public()


def adopt(line: str) -> tuple[str, ...]:
    """Have an eraser's key count from now on, and return all that do.

    Raises:
        InvalidValueError: It is no key of an eraser of this ledger.
        KeyUnavailableError: The ledger's key is not here.
    """
    wanted = _checked(line)
    return _changed(lambda known: {*known, wanted})


def drop(line: str) -> tuple[str, ...]:
    """Have an eraser's key count no more from now on, and return all that do.

    Raises:
        InvalidValueError: It is no key of an eraser of this ledger.
        NotFoundError: It is not among those that count.
        KeyUnavailableError: The ledger's key is not here.
    """
    wanted = _checked(line)

    def without(known: set[str]) -> set[str]:
        if wanted not in known:
            raise NotFoundError(f"key {wanted}: not among the keys of this ledger's erasers")
        return known - {wanted}

    return _changed(without)


def eraser_keys() -> tuple[str, ...]:
    """Return the public key lines of the erasers of the ledger in use that count now, sorted."""
    ledger = instance.current()
    with ledger.reading() as session:
        return lines_of(session.log, ledger_id(ledger))


def lines_of(log: LogReader, ledger: str) -> tuple[str, ...]:
    """Return the public key lines of erasers that the log names last."""
    told = [it.event for it in log.stream(_stream(ledger)) if isinstance(it.event, EraserKeysSet)]
    return told[-1].keys if told else ()


def signer_at_hand(ledger: Ledger, log: LogReader) -> PrivateKey | None:
    """Return the key that signs an erasure: the ledger's, else this user's; None where it has none.

    Raises:
        KeyUnavailableError: It can be read by others, or not at all.
    """
    key = key_at_hand(ledger, log)
    if key is not None:
        return key
    ring = _ring(ledger)
    for line in lines_of(log, ledger_id(ledger)):
        key = ring.private_key(read_public_key(line))
        if key is not None:
            return key
    return None


def is_endorsed(event: EraserKeysSet, version: int, ledger: str, keys: Sequence[PublicKey]) -> bool:
    """Return whether one of a ledger's keys has signed a list of erasers' keys.

    Args:
        event: The list.
        version: Its number: the event's version in its stream.
        ledger: Id of the ledger.
        keys: Those to trust.
    """
    origin = origin_of(ledger)
    try:
        note = read_note(event.endorsement)
        verify_note(note, [it for it in keys if (it.name, it.kind) == (origin, ED25519)])
    except InvalidProofError:
        return False
    return note.text == _text(origin, version, event.keys)


def _changed(change: Any) -> tuple[str, ...]:
    """Record what a change makes of the list; nothing where it makes nothing new."""
    ledger = instance.current()
    key, stream = signing_key(ledger), _stream(ledger_id(ledger))
    with ledger.writing() as session:
        known = lines_of(session.log, ledger_id(ledger))
        lines = tuple(sorted(change({*known})))
        if lines == known:
            return lines
        version = session.log.stream_version(stream) + 1
        identity: list[Any] = ["eraser-keys", version, *lines]
        event = EraserKeysSet(
            **ledger.handler.stamp().fields() | {"command": identity, "run": None},
            keys=lines,
            endorsement=sign_note(_text(key.name, version, lines), [key]),
        )
        session.append(command_id(identity), [Draft(stream=stream, event=event)])
    return lines


def _checked(line: str) -> str:
    key, name = read_public_key(line.strip()), eraser_name(ledger_id(instance.current()))
    if (key.name, key.kind) != (name, ED25519):
        raise InvalidValueError(
            f"key {line.strip()}: expected one of {name}, which the eraser makes with 'metaledger "
            "key --eraser'"
        )
    return str(key)


def _text(origin: str, version: int, lines: Sequence[str]) -> str:
    return "".join(f"{it}\n" for it in (ERASER_KEYS, origin, version, *lines))


def _stream(ledger: str) -> StreamId:
    return stream_id(["eraser-keys", ledger])


def _ring(ledger: Ledger) -> KeyRing:
    return KeyRing(ledger_id(ledger), is_erasers=True)
