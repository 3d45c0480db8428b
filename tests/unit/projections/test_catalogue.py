"""Which registries a question means."""

from __future__ import annotations

import msgspec
import pytest

from ledger.errors import UnknownFieldError
from ledger.model.schema import ARTIFACT, REGISTRIES, ULABEL, Catalogue, FieldSpec
from ledger.model.ways import way
from projections.resolve import check
from projections.select import Select
from projections.select import Test as Comparison


def _with_colour() -> Catalogue:
    catalogue = Catalogue(REGISTRIES)
    coloured = (*ULABEL.fields, FieldSpec(name="colour"))
    for spec, fields in ((ULABEL, coloured), (ARTIFACT, ARTIFACT.fields)):
        catalogue[spec.name] = msgspec.structs.replace(spec, fields=fields, catalogue=catalogue)
    return catalogue


def test_a_question_reads_the_catalogue_that_it_is_given() -> None:
    catalogue = _with_colour()
    by_colour = Comparison(("labels", "colour"), "exact", "red")
    asked = Select(registry="artifact", where=by_colour, catalogue=catalogue)
    assert check(asked) is catalogue["artifact"]
    assert way(catalogue["artifact"], by_colour.path).end is catalogue["ulabel"]


def test_a_question_without_a_catalogue_means_the_built_in_registries() -> None:
    by_colour = Comparison(("labels", "colour"), "exact", "red")
    with pytest.raises(UnknownFieldError, match="colour"):
        check(Select(registry="artifact", where=by_colour))


def test_catalogues_are_equal_only_to_themselves() -> None:
    first, second = _with_colour(), _with_colour()
    assert first == first  # noqa: PLR0124 (its own comparison is the claim)
    assert first != second
    assert len({first, second, first}) == 2
