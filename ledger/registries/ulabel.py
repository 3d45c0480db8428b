"""Labels."""

from __future__ import annotations

from ledger.registries.named import NamedRecord


class ULabel(NamedRecord):
    """A label: `ULabel(name="My project", description=None).save()`.

    Labels are linked to artifacts and collections: `artifact.labels.add(label)`.
    """

    registry = "ulabel"
