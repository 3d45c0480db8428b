"""Features of several records as columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ledger.model.schema import FieldSpec
from ledger.registries.named_references import with_names
from projections.arrow import with_column
from projections.with_values import features_of


def with_features(table: Any, records: Sequence[Any]) -> Any:
    """Return an Arrow table of records with a column for each feature that any of them has.

    A reference is the name of a record. Where a column has the feature's name already, that of the
    feature is `features.<name>`.
    """
    source, registry = records[0]._source, records[0].registry
    source.ledger.catalogues.look()
    spec = source.spec(registry)
    uids = [record.uid for record in records]
    found = source.ask(partial(_features, spec, uids, source.at))
    rows = [found.get(uid, {}) for uid in uids]
    for name, feature in spec.features.items():
        values = [row.get(name) for row in rows]
        if all(value is None for value in values):
            continue
        typed = feature if isinstance(feature, FieldSpec) else None
        if not isinstance(feature, FieldSpec):
            named = with_names(source, spec, [{feature.column: it} for it in values], [feature])
            values = [row[name] for row in named]
        label = f"features.{name}" if name in table.column_names else name
        table = with_column(table, label, values, typed)
    return table


def _features(spec: Any, uids: Sequence[str], at: int | None, models: Any) -> Any:
    return features_of(models, spec, uids, at=at)
