"""Signed notes and the checkpoints in them: C2SP signed-note, tlog-checkpoint, tlog-cosignature.

1. A note is a text, a blank line and signature lines; any other form is refused.
2. A signature of a key that the reader does not know is ignored. One of a known key must verify, or
   the whole note is refused; and at least one key of the reader must have signed.
3. Base64 has one spelling; any other is refused.
4. `cryptography` is loaded only to sign or to verify.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from ledger.errors import InvalidProofError, InvalidValueError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ED25519 = 0x01
COSIGNATURE = 0x04
MAX_SIGNATURES = 64
MAX_NOTE = 1 << 20

_KINDS = (ED25519, COSIGNATURE)
_KEY_BYTES = 32
_ID_BYTES = 4
_TIME_BYTES = 8
_HASH_BYTES = 32
_CHECKPOINT_LINES = 3
_PRIVATE = "PRIVATE+KEY+"


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to verify with: its name, its kind (a log's or a witness's) and 32 bytes."""

    name: str
    kind: int
    raw: bytes

    @property
    def id(self) -> bytes:
        """First bytes of the hash over name, kind and key: different for keys of one name."""
        named = self.name.encode() + b"\n" + bytes([self.kind]) + self.raw
        return hashlib.sha256(named).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{encode64(bytes([self.kind]) + self.raw)}"


class PrivateKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to sign with; its text is a secret."""

    name: str
    kind: int
    seed: bytes

    def __repr__(self) -> str:
        return f"<PrivateKey of {self.name}>"

    def public(self) -> PublicKey:
        """Return the key that verifies what this one signs."""
        raw = self._key().public_key().public_bytes_raw()
        return PublicKey(name=self.name, kind=self.kind, raw=raw)

    def text(self) -> str:
        """Return the key as one line, to be kept secret."""
        public = self.public()
        return f"{_PRIVATE}{self.name}+{public.id.hex()}+{encode64(bytes([self.kind]) + self.seed)}"

    def sign(self, text: str, *, seconds: int = 0) -> str:
        """Return the signature line of a note's text.

        Args:
            text: The text of the note, with its last line feed.
            seconds: For a witness's key, the time of its signature: seconds since 1970 UTC.
        """
        if self.kind == COSIGNATURE:
            moment = seconds.to_bytes(_TIME_BYTES)
            signature = moment + self._key().sign(_cosigned(text, seconds))
        else:
            signature = self._key().sign(text.encode())
        return f"\u2014 {self.name} {encode64(self.public().id + signature)}\n"

    def _key(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
            Ed25519PrivateKey,
        )

        return Ed25519PrivateKey.from_private_bytes(self.seed)


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A line below a note: name and id of the key, and the bytes of its signature."""

    name: str
    key_id: bytes
    raw: bytes


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A note, split into its parts; none of them is verified yet."""

    text: str
    signatures: tuple[Signature, ...]


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The statement of a checkpoint: a number of leaves, and the hash over them.

    Attributes:
        origin: Name of the log and of its key.
        size: Leaves of the tree.
        root: Root hash over them, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the lines that are signed."""
        return f"{self.origin}\n{self.size}\n{encode64(self.root)}\n"


# --- keys ---------------------------------------------------------------------------------------


def generate(name: str, *, kind: int = ED25519) -> PrivateKey:
    """Return a new random key.

    Raises:
        InvalidValueError: The name is empty, or contains white space or a plus sign.
    """
    import secrets  # noqa: PLC0415 (only where a key is made)

    if not _is_name(name):
        raise InvalidValueError(
            f"key name {name!r}: expected text without white space and without '+'"
        )
    return PrivateKey(name=name, kind=kind, seed=secrets.token_bytes(_KEY_BYTES))


def read_public_key(text: str) -> PublicKey:
    """Return the key that a public key line holds.

    Raises:
        InvalidValueError: It is not such a line.
    """
    name, key_id, kind, raw = _key_parts(text.strip(), "public key")
    key = PublicKey(name=name, kind=kind, raw=raw)
    if key.id.hex() != key_id:
        raise InvalidValueError(
            f"public key of {name}: expected key id {key.id.hex()}, found {key_id}; "
            "it was not copied whole"
        )
    return key


def read_private_key(text: str) -> PrivateKey:
    """Return the key that a private key line holds.

    Raises:
        InvalidValueError: It is not such a line.
    """
    stripped = text.strip()
    if not stripped.startswith(_PRIVATE):
        raise InvalidValueError(f"private key: expected a line that begins with '{_PRIVATE}'")
    name, key_id, kind, raw = _key_parts(stripped.removeprefix(_PRIVATE), "private key")
    key = PrivateKey(name=name, kind=kind, seed=raw)
    if key.public().id.hex() != key_id:
        raise InvalidValueError(f"private key of {name}: it was not copied whole")
    return key


def _key_parts(text: str, what: str) -> tuple[str, str, int, bytes]:
    parts = text.split("+", 2)
    if len(parts) != 3 or not _is_name(parts[0]):  # noqa: PLR2004 (name, key id, key)
        raise InvalidValueError(f"{what}: expected '<name>+<key id>+<base64>', got other text")
    try:
        raw = decode64(parts[2])
    except InvalidProofError as error:
        raise InvalidValueError(f"{what} of {parts[0]}: {error}") from error
    if len(raw) != _KEY_BYTES + 1 or raw[0] not in _KINDS:
        raise InvalidValueError(
            f"{what} of {parts[0]}: expected an Ed25519 key of kind 1 or 4, got another kind"
        )
    return parts[0], parts[1], raw[0], raw[1:]


def _is_name(text: str) -> bool:
    return bool(text) and "+" not in text and text.isprintable() and not any(map(str.isspace, text))


# --- notes --------------------------------------------------------------------------------------


def sign_note(text: str, keys: Iterable[PrivateKey]) -> str:
    """Return the note of a text that these keys sign."""
    return text + "\n" + "".join(key.sign(text) for key in keys)


def read_note(text: str) -> Note:
    """Return the parts of a note, without verifying its signatures.

    Raises:
        InvalidProofError: It is not in the form of a note.
    """
    if len(text) > MAX_NOTE:
        raise InvalidProofError(
            f"note: expected at most {MAX_NOTE:,} characters, got {len(text):,}"
        )
    if any(character < " " and character != "\n" for character in text) or not _is_unicode(text):
        raise InvalidProofError("note: expected text without control characters")
    # The last blank line separates text and signatures: the text may contain others.
    body, blank, lines = text.rpartition("\n\n")
    if not blank or not body or not lines.endswith("\n"):
        raise InvalidProofError("note: expected a text, a blank line and signatures")
    signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MAX_SIGNATURES:
        raise InvalidProofError(
            f"note: expected at most {MAX_SIGNATURES} signatures, got {len(signatures)}"
        )
    return Note(text=body + "\n", signatures=signatures)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _signature(line: str) -> Signature:
    sign, _, rest = line.partition(" ")
    name, _, data = rest.partition(" ")
    if sign != "\u2014" or not _is_name(name):
        raise InvalidProofError("note: expected signature lines '— <name> <base64>' at its end")
    raw = decode64(data)
    if len(raw) <= _ID_BYTES:
        raise InvalidProofError(f"note: signature of {name} is too short")
    return Signature(name=name, key_id=raw[:_ID_BYTES], raw=raw[_ID_BYTES:])


def verify_note(note: Note, keys: Sequence[PublicKey]) -> list[PublicKey]:
    """Return the keys of `keys` that signed, in the order of the note's lines.

    Raises:
        InvalidProofError: None of them signed, or one of their signatures is wrong.
    """
    known = {(key.name, key.id): key for key in keys}
    signers = []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not _is_signed(note.text, signature, key):
            raise InvalidProofError(
                f"signature of {key.name} (key {key.id.hex()}): does not fit the text above it"
            )
        signers.append(key)
    if not signers:
        found = ", ".join(f"{it.name} (key {it.key_id.hex()})" for it in note.signatures)
        wanted = ", ".join(f"{key.name} (key {key.id.hex()})" for key in keys) or "no key"
        raise InvalidProofError(f"note: expected a signature of {wanted}, found {found}")
    return signers


def cosigned_at(note: Note, key: PublicKey) -> int:
    """Return the time of a witness's signature of a verified note: seconds since 1970 UTC."""
    return next(
        int.from_bytes(it.raw[:_TIME_BYTES])
        for it in note.signatures
        if (it.name, it.key_id) == (key.name, key.id)
    )


def _is_signed(text: str, signature: Signature, key: PublicKey) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 (rule 4)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PublicKey,
    )

    signed, raw = text.encode(), signature.raw
    if key.kind == COSIGNATURE:
        signed, raw = _cosigned(text, int.from_bytes(raw[:_TIME_BYTES])), raw[_TIME_BYTES:]
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(raw, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


# --- checkpoints --------------------------------------------------------------------------------


def read_checkpoint(note: Note) -> Checkpoint:
    """Return the checkpoint in the text of a note, without verifying it.

    Raises:
        InvalidProofError: It is not a checkpoint.
    """
    lines = note.text[:-1].split("\n")
    if len(lines) < _CHECKPOINT_LINES or not all(lines):
        raise InvalidProofError("checkpoint: expected lines of origin, size and root hash")
    root = decode64(lines[2])
    if len(root) != _HASH_BYTES:
        raise InvalidProofError(f"checkpoint: expected a root hash of 32 bytes, got {len(root)}")
    return Checkpoint(origin=lines[0], size=read_number(lines[1], "checkpoint size"), root=root)


def read_number(text: str, what: str) -> int:
    """Return a decimal number that is written in its one spelling.

    Raises:
        InvalidProofError: The text has another form.
    """
    if not (text.isascii() and text.isdecimal()) or (text[0] == "0" and text != "0"):
        raise InvalidProofError(f"{what}: expected a decimal number, got other text")
    if len(text) > 19:  # noqa: PLR2004 (digits of 2^63)
        raise InvalidProofError(f"{what}: expected a number below 2^63")
    return int(text)


def encode64(raw: bytes) -> str:
    """Return bytes as base64 with padding."""
    return base64.b64encode(raw).decode()


def decode64(text: str) -> bytes:
    """Return the bytes of a base64 text in its one spelling.

    Raises:
        InvalidProofError: It is not base64, or has another spelling.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidProofError("base64: expected 64 letters, digits and '+', '/', '='") from error
    if encode64(raw) != text:
        raise InvalidProofError("base64: expected the canonical spelling of these bytes")
    return raw
