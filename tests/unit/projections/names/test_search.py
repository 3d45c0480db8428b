"""How typed search text ranks names."""

from __future__ import annotations

import pytest

from projections.names.search import search_rank


def rank(query: str, name: str) -> float:
    found = search_rank(query, name)
    assert found is not None
    return found


def test_kinds_of_match_rank_in_their_order() -> None:
    names = [
        "T cell",
        "t Céll",
        "T cell, naive, of the human blood",
        "naive T cell, of the human blood",
        "cell of type T and yet another long description",
        "tissue of cells and yet another long description",
        "fat cells from a very long and winding road",
        "cellist",
    ]
    ranks = [rank("T cell", name) for name in names]
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) == len(ranks)


def test_shorter_name_ranks_higher_within_a_kind() -> None:
    assert rank("liver", "liver biopsy") > rank("liver", "liver biopsy of a mouse")
    assert rank("ver", "liver") > rank("ver", "livers")


def test_coverage_never_lifts_a_name_into_the_next_kind() -> None:
    assert rank("iver", "liver") < rank("iver", "x iver " + "y" * 1_000)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("neuron", "T cell"),
        ("T cell neuron", "T cell"),
        ("hepatocite", "hepatocyte"),
        ("", "T cell"),
        ("  ", "T cell"),
        ("\u0301", "T cell"),
        ("T cell", ""),
        ("+", "T cell"),
    ],
)
def test_text_that_does_not_occur_is_no_match(query: str, name: str) -> None:
    assert search_rank(query, name) is None


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("cell", "  Naive T cell "),
        (" cell ", "cells"),
        ("+", "CD4+"),
        ("4", "CD4+"),
        ("sample_00", "SAMPLE_0017"),
        ("naive", "naïve B cell"),
        ("naïve", "naive B cell"),
        ("seq scRNA", "scRNA-seq"),
        ("scrnaseq", "scRNAseq pilot"),
        ("z", "y" * 9_999 + "z"),
        ("\ud800", "a\ud800b"),
        ("%", "100 %"),
        ("细胞", "肝细胞"),
    ],
)
def test_text_that_occurs_is_a_match(query: str, name: str) -> None:
    assert rank(query, name) > 0
