"""What is found and what is not, as a person would expect it."""

from __future__ import annotations

import subprocess
import sys
import unicodedata

import pytest

from projections.names.index import Hit, NameIndex, SimilarNames

NOTHING = SimilarNames(hits=(), more=0, series=0)


def index_of(*names: str) -> NameIndex:
    index = NameIndex()
    for name in names:
        index.put(f"uid of {name}", name)
    return index


def found(index: NameIndex, name: str) -> list[str]:
    return [hit.name for hit in index.similar(name).hits]


@pytest.mark.parametrize(
    ("kind", "name", "query"),
    [
        ("case", "Naive B cell", "NAIVE b CELL"),
        ("space doubled", "My project 1", "My  project 1"),
        ("space lost", "T cell", "Tcell"),
        ("space added", "hepatocyte", "hepato cyte"),
        ("space around", "hepatocyte", " hepatocyte "),
        ("hyphen for space", "CD8-positive T cell", "CD8 positive T-cell"),
        ("underscore for hyphen", "scRNA-seq pilot", "scRNA_seq pilot"),
        ("punctuation", "Lee et al. (liver)", "Lee et al liver"),
        ("sign", "CD4+", "CD4-"),
        ("letter changed", "hepatocyte", "Hepatocite"),
        ("letters swapped", "sample_0417", "smaple_0417"),
        ("letter lost", "mesenchyme", "mesenchme"),
        ("letter doubled", "My project 1", "My projject 1"),
        ("two typos", "alpha-beta T cell, naive", "alhpa-beta T cel, naive"),
        ("typo in an accession", "GSX3000123", "GXS3000123"),
        ("word order", "CD8-positive, alpha-beta T cell", "T cell, CD8-positive, alpha-beta"),
        ("word order with number", "liver rep 3", "rep 3 liver"),
        ("word order and typo", "mouse liver biopsy", "biopsy mouse livr"),
        ("plural", "hepatocyte", "hepatocytes"),
        ("zeros added", "sample_417", "sample_0417"),
        ("zeros dropped", "sample_0417", "Sample 417"),
        ("accent", "naive B cell", "naïve B cell"),
        ("accent decomposed", "Muller glia", "Mu\u0308ller glia"),
        ("ligature", "file formats", "\ufb01le formats"),
        ("full width", "sample 12", "\uff53\uff41\uff4d\uff50\uff4c\uff45\u3000\uff11\uff12"),
        ("dotted capital i", "istanbul cohort", "İstanbul cohort"),
        ("dotless i", "izmir cohort", "\u0131zmir cohort"),
        ("suffix added", "My project 1", "My project 1a"),
        ("suffix lost", "My project 1a", "My project 1"),
        ("number added", "treated livers", "treated livers 2"),
        ("number lost", "treated livers 2", "treated livers"),
        ("first 80 percent", "hematopoietic stem cell", "hematopoietic stem"),
        ("word added", "mouse liver biopsy", "mouse liver biopsy new"),
        ("word dropped", "alpha-beta naive T cell", "alpha-beta T cell"),
        ("chinese", "肝细胞分化研究", "肝细胞分化究"),
        ("cyrillic", "нейрон коры", "Неирон коры"),
    ],
)
def test_what_a_person_calls_the_same_name_is_found(kind: str, name: str, query: str) -> None:
    index = index_of("Completely different", "retina", name, "12", "+")
    assert found(index, query) == [name], kind


@pytest.mark.parametrize(
    "query",
    [
        "Completely different",
        "My project 2",
        "My project 10",
        "My project 1 4",
        "T",
        "1",
        "01",
        "p1",
        "🧬",
    ],
)
def test_another_name_is_not_found(query: str) -> None:
    index = index_of("My project 3", "My project 1 3", "T cell", "2", "1 2", "🦠")
    assert found(index, query) == []


def test_project_with_a_suffix_finds_its_relatives_best_first() -> None:
    index = index_of("My project 1a", "My project 1")
    assert found(index, "My project 1b") == ["My project 1", "My project 1a"]
    assert index.similar("Completely different") == NOTHING


def test_serial_names_do_not_flood() -> None:
    index = index_of(*(f"sample_{n:04d}" for n in range(1, 10_000)))
    assert index.similar("sample_10000") == SimilarNames(hits=(), more=0, series=9_999)
    assert found(index, "smaple_0417") == ["sample_0417"]
    near = index.similar("Sample 417")
    assert [hit.name for hit in near.hits] == ["sample_0417"]
    assert (near.more, near.series) == (0, 9_998)


def test_plates_and_wells_do_not_flood_either() -> None:
    index = index_of(*(f"plate {p} well {w}" for p in range(1, 9) for w in range(1, 13)))
    assert index.similar("plate 20 well 1") == SimilarNames(hits=(), more=0, series=96)
    near = index.similar("well 7 plate 3")
    assert [hit.name for hit in near.hits] == ["plate 3 well 7", "plate 7 well 3"]
    assert near.series == 94


def test_numbers_among_more_numbers_are_found_in_a_long_series() -> None:
    index = index_of(*(f"experiment {n}" for n in range(100)), "experiment 7 8", "experiment")
    near = index.similar("experiment 8 07 9")
    assert {hit.name for hit in near.hits} == {
        "experiment 7 8",
        "experiment 7",
        "experiment 8",
        "experiment 9",
        "experiment",
    }
    assert near.series == 97
    assert found(index, "experimnt 8") == ["experiment 8", "experiment 7 8", "experiment"]


def test_name_with_very_many_numbers_is_answered() -> None:
    many = " ".join(map(str, range(60)))
    index = index_of("a " + many, *(f"a {n}" for n in range(50)))
    assert found(index, "a " + many + " b") == ["a " + many]


def test_names_of_numbers_only_are_compared_for_equal_numbers_only() -> None:
    index = index_of("2024", "2023", "20 24", "24-20", "run 2024x")
    assert index.similar("02024") == SimilarNames(
        hits=(Hit(uid="uid of 2024", name="2024", score=100.0),), more=0, series=0
    )
    assert found(index, "20/24") == ["20 24", "24-20"]


def test_equal_name_is_left_out_however_it_is_composed() -> None:
    composed, decomposed = "na\u00efve B cell", unicodedata.normalize("NFD", "na\u00efve B cell")
    index = index_of(composed)
    assert index.similar(composed) == NOTHING
    assert index.similar(decomposed) == NOTHING
    assert found(index, "naive B cell") == [composed]


def test_equal_name_counts_neither_as_more_nor_as_series() -> None:
    index = index_of("liver 1", "Liver 1", "liver 2")
    assert index.similar("liver 1", limit=0) == SimilarNames(hits=(), more=1, series=1)


def test_name_that_is_a_hit_is_not_counted_as_series() -> None:
    index = index_of("treated livers 1", "treated livers 22", "treated livers 1234567")
    near = index.similar("treated livers")
    assert len(near.hits) == 2
    assert near.series == 1


def test_ties_go_by_name_and_then_by_uid() -> None:
    index = NameIndex()
    for uid, name in [("3", "T cell"), ("1", "T-cell"), ("2", "T cell"), ("4", "T cellx")]:
        index.put(uid, name)
    near = index.similar("t cell")
    assert [(hit.name, hit.uid) for hit in near.hits] == [
        ("T cell", "2"),
        ("T cell", "3"),
        ("T-cell", "1"),
        ("T cellx", "4"),
    ]
    assert [hit.score for hit in near.hits[:3]] == [100.0] * 3
    assert near.hits[3].score < 100


@pytest.mark.parametrize(("limit", "shown", "more"), [(0, 0, 7), (3, 3, 4), (7, 7, 0), (9, 7, 0)])
def test_hits_beyond_the_limit_are_counted(limit: int, shown: int, more: int) -> None:
    index = index_of(*(f"hepatocyte {letter}" for letter in "abcdefg"))
    near = index.similar("hepatocyte", limit=limit)
    assert (len(near.hits), near.more) == (shown, more)
    assert [hit.name for hit in near.hits] == [f"hepatocyte {c}" for c in "abcdefg"[:shown]]


def test_cutoff_is_the_callers_choice() -> None:
    index = index_of("mouse liver")
    score = index.similar("mouse livr").hits[0].score
    assert index.similar("mouse livr", cutoff=score).hits
    assert not index.similar("mouse livr", cutoff=score + 0.01).hits
    assert not index.similar("mouse lung", cutoff=82).hits
    assert index.similar("mouse lung", cutoff=60).hits


def test_cutoff_is_stricter_in_a_crowded_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of("livers", "unrelated")
    score = index.similar("livery").hits[0].score
    assert 82 < score < 85
    monkeypatch.setattr("projections.names.rule.LARGE", 1)
    assert index.similar("livery") == NOTHING


def test_put_replaces_the_name_a_record_had() -> None:
    index = NameIndex()
    index.put("1", "hepatocyte")
    index.put("1", "hepatocyte")
    assert len(index) == 1
    index.put("1", "neuron")
    assert len(index) == 1
    assert found(index, "hepatocytes") == []
    assert found(index, "neurons") == ["neuron"]


def test_discarded_record_is_gone_and_its_namesakes_stay() -> None:
    index = NameIndex()
    for uid, name in [("1", "T cell"), ("2", "T cell"), ("3", "T cell 1"), ("4", "B cells")]:
        index.put(uid, name)
    index.discard("1")
    index.discard("1")
    index.discard("never put")
    assert len(index) == 3
    assert [hit.uid for hit in index.similar("t cell").hits] == ["2", "3"]
    for uid in "234":
        index.discard(uid)
    assert len(index) == 0
    assert index.similar("t cell") == NOTHING
    index.put("5", "T cell")
    assert [hit.uid for hit in index.similar("t cell").hits] == ["5"]


def test_names_of_one_length_can_be_discarded_in_any_order() -> None:
    names = ["liver a", "liver b", "liver c", "liver d"]
    for first in names:
        for second in names:
            index = index_of(*names)
            index.discard(f"uid of {first}")
            index.discard(f"uid of {second}")
            left = [name for name in names if name not in {first, second}]
            assert found(index, "liver") == left
            for name in left:
                index.discard(f"uid of {name}")
            assert found(index, "liver") == []


@pytest.mark.parametrize("name", ["", " ", "\t\r\n", "\u3000", "\u0301"])
def test_blank_name_resembles_nothing(name: str) -> None:
    index = index_of("a", name, name + " ", "1")
    assert len(index) == 4
    assert index.similar(name) == NOTHING
    assert index.similar("b") == NOTHING
    index.discard(f"uid of {name}")
    assert len(index) == 3


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("!!!!!!", "!!!!!"),
        ("🧬🧬🧬🧬", "🧬🧬🧬"),
        ("cell \ud800 type", "cell type"),
        ("\ud800\ud801\ud802\ud803", "\ud800\ud801\ud802"),
        ("x" * 10_000, "x" * 9_999),
        ("liver " * 2_000, "Liver " * 2_000),
        ("9" * 10_000, "9" * 9_999),
        ("a\x00b\x00c", "abc"),
    ],
)
def test_odd_names_are_compared_like_others(name: str, query: str) -> None:
    assert found(index_of(name), query) == [name]


def test_letters_further_apart_than_sixteen_edits_are_never_similar() -> None:
    stem = "abcdefgh" * 20
    index = index_of(stem)
    assert found(index, stem + "z" * 16) == [stem]
    assert found(index, stem + "z" * 17) == []


def test_filling_an_index_does_not_load_rapidfuzz() -> None:
    program = (
        "import sys\n"
        "from projections.names.index import NameIndex\n"
        "index = NameIndex()\n"
        "index.put('1', 'hepatocyte')\n"
        "before = 'rapidfuzz' in sys.modules\n"
        "index.similar('hepatocytes')\n"
        "print(before, 'rapidfuzz' in sys.modules, 'numpy' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False", "True", "False"]
