"""Transforms: scripts, notebooks and pipelines, which make artifacts."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.decisions.transforms import find_transform
from ledger.errors import InvalidValueError
from ledger.model.commands import Command, SaveTransform
from ledger.model.ids import uid as derive_uid
from ledger.model.schema import TRANSFORM, FieldSpec
from ledger.registries.base import Record
from ledger.registries.checks import check_text, check_version
from ledger.registries.named import show_similar
from ledger.registries.query import QuerySet
from ledger.registries.requested import requested


def stem_of(key: str) -> str:
    """Return the stem of a transform's uids, made from its key or name."""
    return derive_uid(["transform-stem", key], TRANSFORM.uid_length)


def _field(name: str) -> FieldSpec:
    field = TRANSFORM.field(name)
    assert field is not None  # noqa: S101 (for the type checker)
    return field


class Transform(Record):
    """A version of something that makes artifacts: `Transform(name=…, key=…, version="1").save()`.

    `track()` registers the running script by itself; construct one for work that runs elsewhere.
    Key (or name) and version identify it: the same again is the same record.
    """

    registry = "transform"

    def __init__(
        self,
        name: str | None = None,
        key: str | None = None,
        version: str | None = None,
        description: str | None = None,
        *,
        kind: str = "pipeline",
        **unknown: object,
    ) -> None:
        for field in unknown:
            raise self.spec.unknown(field)
        if name is None and key is None:
            raise InvalidValueError("Transform: expected a name or a key, got neither")
        self._begin()
        given: dict[str, Any] = {}
        if name is not None:
            name = given["name"] = self._checked("name", name)
        if key is not None:
            key = check_text("Transform.key", key, _field("key"), required=True)
        kind = check_text("Transform.kind", kind, _field("kind"), required=True)
        if description is not None:
            given["description"] = self._checked("description", description)
        self._request = SaveTransform(
            stem=stem_of(key or str(name)),
            version=check_version("Transform", version),
            defaults={"name": name or key, "key": key, "kind": kind},
            fields=given,
        )
        existing = requested(
            self,
            self._request,
            find_transform,
            existing=lambda row: f"Transform '{row['name']}' ({row['uid']})",
        )
        if existing is None:
            show_similar(self, str(name or key))
        self._row = existing or {"name": name or key, "key": key, "version": version, "kind": kind}
        self._target = None if existing is None else existing["uid"]
        self._assigned = given

    def _creation(self) -> Command:
        return msgspec.structs.replace(
            self._request, fields=dict(self._assigned), target=self._target
        )

    @property
    def versions(self) -> QuerySet[Transform]:
        """Every version of its family, oldest first."""
        return self._family()

    @property
    def source_code(self) -> str | None:
        """Text of its tracked source; None if there is none."""
        text: str | None = self._source.ledger.blob(self._row.get("source"))
        return text
