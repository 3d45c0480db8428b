"""Collections of artifacts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ledger.content.hashing import hash_members, members_digest, unseen_hash
from ledger.decisions.artifacts import find_members, is_borne
from ledger.errors import InvalidValueError
from ledger.model.commands import Command, SaveCollection
from ledger.registries.artifact import Artifact
from ledger.registries.base import Record
from ledger.registries.checks import check_flag, check_version
from ledger.registries.query import QuerySet
from ledger.registries.requested import mode_of, requested
from projections.store import ReadModels


class Collection(Record):
    """Artifacts that belong together: `Collection([a, b], name="Two files").save()`.

    Its members identify it: the same artifacts are the same collection, in any order unless it is
    ordered. It bears every name that it was given, until other members that were saved before are
    given the name. New members under an existing name are a new version.

    Args:
        artifacts: At least one saved artifact; each counts once.
        name: Its name.
        description: A text for people.
        ordered: Whether the order of the artifacts counts.
        version: Version within its family, as text.
        revises: The collection that this one is a new version of.
        if_hash_exists: How to treat an existing collection of these members, as for artifacts.

    Raises:
        NotSavedError: An artifact is not saved yet.
        ContentExistsError: A collection of these members exists and the mode is "error".
    """

    registry = "collection"

    def __init__(  # noqa: PLR0913 (the public signature)
        self,
        artifacts: Iterable[Artifact],
        name: str,
        description: str | None = None,
        *,
        ordered: bool = False,
        version: str | None = None,
        revises: Collection | None = None,
        if_hash_exists: str | None = None,
        features: Mapping[str, Any] | None = None,
        **unknown: object,
    ) -> None:
        for field in unknown:
            raise self.spec.unknown(field)
        self._begin()
        self._bear(features)
        members = list(dict.fromkeys(_members(artifacts)))
        check_flag("Collection.ordered", ordered)
        mode = mode_of(if_hash_exists)
        fields: dict[str, Any] = {}
        if description is not None:
            fields["description"] = self._checked("description", description)
        hashes = [_hashes(member._row) for member in members]
        self._request = SaveCollection(
            name=self._checked("name", name),
            hash=hash_members([hash_ for hash_, _ in hashes], ordered),
            digest=members_digest([digest for _, digest in hashes], ordered=ordered),
            artifacts=[member.uid for member in members],
            is_ordered=ordered,
            version=check_version("Collection", version),
            revises=_revised(revises),
            mode=mode,
            fields=fields,
        )
        existing = requested(
            self,
            self._request,
            find_members,
            existing=lambda row: f"collection {row['uid']} of the same artifacts",
            another=lambda row: f"the same artifacts are collection {row['uid']} already",
        )
        if existing is None:
            self._row = {
                "name": self._request.name,
                "hash": self._request.hash,
                "is_ordered": ordered,
                "version": version,
            }
        else:
            self._row = existing
            self._request = msgspec.structs.replace(self._request, target=existing["uid"])
        self._assigned = dict(fields)

    def _creation(self) -> Command:
        fields = {**self._request.fields, **self._assigned}
        name = fields.pop("name", self._request.name)
        self._request = msgspec.structs.replace(self._request, fields=fields, name=name)
        return self._request

    @property
    def names(self) -> list[str]:
        """Names that it bears, the one given first at the beginning."""
        source, row = self._source, self._saved_row()

        def borne(models: ReadModels) -> list[str]:
            given = models.find("borne_name", at=source.at, uid=row["uid"])
            return [it["name"] for it in given if is_borne(models, row, it["name"], at=source.at)]

        found: list[str] = source.ask(borne)
        return found

    @property
    def versions(self) -> QuerySet[Collection]:
        """Every version of its family, oldest first."""
        return self._family()


def _revised(revises: object) -> str | None:
    if revises is not None and not isinstance(revises, Collection):
        raise InvalidValueError(f"Collection.revises: expected a Collection, got {revises!r}")
    return None if revises is None else revises.uid


def _hashes(row: dict[str, Any]) -> tuple[str, str]:
    """Return hash and digest of a member; of a declared one, what stands for them."""
    if row["digest"] is None:
        return unseen_hash(row["natural"])
    return row["hash"], row["digest"]


def _members(artifacts: Iterable[Artifact]) -> list[Artifact]:
    if isinstance(artifacts, Artifact) or not isinstance(artifacts, Iterable):
        raise InvalidValueError(f"Collection: expected a list of artifacts, got {artifacts!r}")
    members = list(artifacts)
    for member in members:
        if not isinstance(member, Artifact):
            raise InvalidValueError(f"Collection: expected artifacts, got {member!r}")
        member.uid  # noqa: B018 (raises if the artifact is not saved)
    if not members:
        raise InvalidValueError("Collection: expected at least one artifact, got none")
    return members
