"""Signed notes: what is accepted, and that nothing else is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ledger.errors import InvalidProofError, InvalidValueError
from ledger.proving.notes import (
    COSIGNATURE,
    Checkpoint,
    PrivateKey,
    cosigned_at,
    decode64,
    generate,
    read_checkpoint,
    read_note,
    read_number,
    read_private_key,
    read_public_key,
    sign_note,
    verify_note,
)

# Fixed, so that every run signs the same bytes.
KEY = PrivateKey(name="metaledger.local/0f8c", kind=1, seed=bytes(32))
WITNESS = PrivateKey(name="witness.example/w1", kind=COSIGNATURE, seed=bytes(range(32)))
CHECKPOINT = Checkpoint(origin=KEY.name, size=42, root=bytes(32))
NOTE = sign_note(CHECKPOINT.text(), [KEY])


def test_a_note_is_signed_and_verified():
    note = read_note(NOTE)
    assert verify_note(note, [KEY.public()]) == [KEY.public()]
    assert read_checkpoint(note) == CHECKPOINT


def test_the_bytes_of_a_checkpoint_are_these():
    assert (
        "metaledger.local/0f8c\n42\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"
        f"\u2014 metaledger.local/0f8c {NOTE.splitlines()[-1].split()[-1]}\n"
    ) == NOTE
    assert len(NOTE) < 1024


def test_a_changed_character_anywhere_is_refused():
    for place, character in enumerate(NOTE):
        bent = NOTE[:place] + ("A" if character != "A" else "B") + NOTE[place + 1 :]
        with pytest.raises(InvalidProofError):
            verify_note(read_note(bent), [KEY.public()])


def test_every_beginning_of_a_note_is_refused():
    for end in range(len(NOTE)):
        with pytest.raises(InvalidProofError):
            verify_note(read_note(NOTE[:end]), [KEY.public()])


def test_signatures_of_strangers_are_ignored_and_none_of_ours_is_refused():
    stranger = generate("stranger.example")
    both = sign_note(CHECKPOINT.text(), [stranger, KEY])
    assert verify_note(read_note(both), [KEY.public()]) == [KEY.public()]
    with pytest.raises(InvalidProofError, match="expected a signature of metaledger"):
        verify_note(read_note(sign_note(CHECKPOINT.text(), [stranger])), [KEY.public()])
    with pytest.raises(InvalidProofError, match="expected a signature of no key"):
        verify_note(read_note(NOTE), [])


def test_a_bad_signature_of_a_known_key_refuses_the_whole_note():
    other = sign_note(Checkpoint(origin=KEY.name, size=43, root=bytes(32)).text(), [KEY])
    witnessed = NOTE + WITNESS.sign(CHECKPOINT.text(), seconds=5)
    stolen = witnessed + other.splitlines()[-1] + "\n"
    with pytest.raises(InvalidProofError, match="does not fit the text"):
        verify_note(read_note(stolen), [WITNESS.public(), KEY.public()])


def test_a_witness_signs_the_time_too():
    note = read_note(NOTE + WITNESS.sign(CHECKPOINT.text(), seconds=1_700_000_000))
    known = [KEY.public(), WITNESS.public()]
    assert verify_note(note, known) == known
    assert cosigned_at(note, WITNESS.public()) == 1_700_000_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "text\n\n",
        "text without an end",
        "text\n\n- name AAAA\n",
        "text\n\n\u2014 name\n",
        "text\n\n\u2014 na+me AAAAAAAA\n",
        "text\n\n\u2014 name AAAA\n",
        "text\r\n\n\u2014 name AAAAAAAA\n",
        "te\x00xt\n\n\u2014 name AAAAAAAA\n",
        "te\ud800xt\n\n\u2014 name AAAAAAAA\n",
        "text\n\n\u2014 name AAAAAAAA\n\n",
        "text\n\n" + "\u2014 name AAAAAAAA\n" * 65,
        "a" * (1 << 20) + "\n\n\u2014 name AAAAAAAA\n",
    ],
)
def test_what_is_no_note_is_refused(text):
    with pytest.raises(InvalidProofError):
        read_note(text)


@pytest.mark.parametrize(
    "lines",
    [
        ("origin", "1"),
        ("origin", "01", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("origin", "-1", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("origin", "\u0661", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("origin", "9" * 20, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("origin", "1", "AAAA"),
        ("origin", "1", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB="),
    ],
)
def test_what_is_no_checkpoint_is_refused(lines):
    note = read_note(sign_note("\n".join(lines) + "\n", [KEY]))
    with pytest.raises(InvalidProofError):
        read_checkpoint(note)


def test_keys_are_read_as_they_are_written_and_otherwise_refused():
    assert read_private_key(KEY.text()) == KEY
    assert read_public_key(str(KEY.public())) == KEY.public()
    assert read_public_key(str(WITNESS.public())) == WITNESS.public()
    line = str(KEY.public())
    for place, character in enumerate(line):
        bent = line[:place] + ("A" if character != "A" else "B") + line[place + 1 :]
        with pytest.raises(InvalidValueError):
            read_public_key(bent)
    for text in ("", "a+b", "a+b+c", KEY.text(), "x" + KEY.text()):
        with pytest.raises(InvalidValueError):
            read_public_key(text)
    for text in ("", line, KEY.text()[:-4]):
        with pytest.raises(InvalidValueError):
            read_private_key(text)


def test_a_private_key_does_not_show_itself():
    assert KEY.seed.hex() not in repr(KEY)
    assert KEY.text() not in repr(KEY)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b"])
def test_a_key_has_a_name_that_a_note_can_hold(name):
    with pytest.raises(InvalidValueError, match="key name"):
        generate(name)


@pytest.mark.parametrize("text", ["AAA", "AAAA\n", "AB==", "\u00e9", "AA-_", " AAAA"])
def test_base64_has_one_spelling(text):
    with pytest.raises(InvalidProofError, match="base64"):
        decode64(text)


@pytest.mark.parametrize("text", ["", "00", "1e3", "+1", " 1", "\u0663"])
def test_a_number_has_one_spelling(text):
    with pytest.raises(InvalidProofError):
        read_number(text, "size")


def test_cryptography_is_loaded_only_to_sign_and_verify():
    code = (
        "import sys, ledger.proving.notes, ledger.proving.proofs;"
        " sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
