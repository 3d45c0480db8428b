"""What of a name is compared, example by example."""

from __future__ import annotations

import unicodedata

import pytest

from ledger.model.canonical import nfc
from projections.names.normalise import KEY_LENGTH, fold, name_key


@pytest.mark.parametrize(
    ("name", "compact"),
    [
        ("Hepatocyte", "hepatocyte"),
        ("  my  project\t1 ", "myproject1"),
        ("my_project-1", "myproject1"),
        ("sample_0417", "sample417"),
        ("sample_000", "sample0"),
        ("a-00b-07", "a0b7"),
        ("naïve B cell", "naivebcell"),
        ("CRÈME brûlée", "cremebrulee"),
        ("İstanbul", "istanbul"),
        ("Straße", "strasse"),
        ("\ufb01le", "file"),
        ("\uff33\uff41\uff4d\uff50\uff4c\uff45\uff10\uff11", "sample1"),
        ("x²", "x2"),
        ("عينة ٠٣", "عينة3"),
        ("細胞 型", "細胞型"),
        ("🧬 DNA 🧬", "dna"),
        ("CD4+", "cd4"),
    ],
)
def test_what_a_person_overlooks_is_folded_away(name: str, compact: str) -> None:
    assert name_key(name).compact == compact


def test_kana_voicing_is_a_letter_and_stays() -> None:
    assert name_key("\u304b").compact != name_key("\u304c").compact
    assert name_key("\u304b\u3099").compact == name_key("\u304c").compact


def test_composed_and_decomposed_hangul_have_one_key() -> None:
    assert name_key(unicodedata.normalize("NFD", "세포")) == name_key("세포")


def test_ascii_shortcut_folds_as_the_long_way_does() -> None:
    every = "".join(map(chr, range(128)))
    assert fold(every + "é")[:-1] == fold(every)
    assert nfc(every) == every


def test_order_of_words_changes_only_the_ordered_texts() -> None:
    one, other = name_key("T cell 12 CD8"), name_key("CD8 12 cell T")
    assert one.compact != other.compact
    assert one.letters != other.letters
    assert one.resorted == other.resorted == "128cdcellt"
    assert one.resorted_letters == other.resorted_letters == "cdcellt"
    assert one.numbers == other.numbers == ("12", "8")


def test_numbers_are_kept_with_repetition_and_sorted() -> None:
    assert name_key("p 2 w 10 p 02").numbers == ("10", "2", "2")


def test_name_of_numbers_only_has_no_letters() -> None:
    key = name_key("2024-01")
    assert (key.letters, key.resorted_letters, key.numbers) == ("", "", ("1", "2024"))


@pytest.mark.parametrize("name", ["+++", " +++ ", "\t+++\n"])
def test_name_of_signs_only_is_compared_by_its_stripped_text(name: str) -> None:
    key = name_key(name)
    assert (key.compact, key.letters, key.numbers) == ("+++", "+++", ())


@pytest.mark.parametrize("name", ["", "   ", "\t\n", "\u3000\u00a0", "\u0301"])
def test_blank_name_has_an_empty_key(name: str) -> None:
    key = name_key(name)
    assert key.compact == key.resorted == key.letters == key.resorted_letters == ""
    assert key.numbers == ()


def test_only_the_first_256_folded_characters_count() -> None:
    same = "x" * KEY_LENGTH
    assert name_key(same + "y") == name_key(same + "z")
    assert name_key(same[:-1] + "y") != name_key(same[:-1] + "z")
    # Folding comes first: each of these characters folds to two.
    assert name_key("ß" * KEY_LENGTH) == name_key("ss" * (KEY_LENGTH // 2))


@pytest.mark.parametrize("name", ["\ud800", "a\udfffb", "\x00", "9" * 10_000, "é" * 10_000])
def test_odd_text_has_a_key(name: str) -> None:
    assert len(name_key(name).compact) <= KEY_LENGTH
