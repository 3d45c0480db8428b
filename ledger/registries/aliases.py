"""Aliases: the names that a record has in other tools, and the record that such a name means.

1. An alias is the name of a tool, a colon, and what the record is called there:
   `lamindb:5tAyiACTQJb8pShM0001`. It leads to one record, whatever its registry.
2. It is asked for whole, or by the part behind the colon where nothing of this ledger is called so.
3. The alias of a record that was merged into another one leads to that other one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ledger.errors import InvalidValueError, MultipleResultsError
from ledger.model.canonical import nfc
from ledger.model.outside_commands import AddAlias
from ledger.model.schema import FieldSpec
from ledger.past.merged_labels import survivor_uid
from ledger.registries.checks import check_text
from ledger.registries.record_history import RecordHistory

if TYPE_CHECKING:
    from ledger.places.source import Source

MOST = 1_024  # characters of an alias
_FIELD = FieldSpec(name="alias", max_length=MOST)
# Two slashes behind the colon are those of a URL.
_ALIAS = re.compile(r"[a-z][a-z0-9_.-]{0,31}:(?!//)\S(.*\S)?")


def checked_alias(value: object) -> str:
    """Return an alias as it is recorded.

    Raises:
        InvalidValueError: It is none.
    """
    text: str = check_text("alias", value, _FIELD, required=True)
    if not reads_as_alias(text):
        raise InvalidValueError(
            f"alias {text!r:.80}: expected the name of a tool in lower case, a colon, and the name "
            "of the record there, such as 'lamindb:5tAyiACTQJb8pShM0001'"
        )
    return text


def reads_as_alias(text: str) -> bool:
    """Return whether a text has the form of an alias."""
    return _ALIAS.fullmatch(text) is not None


def aliased(source: Source, text: str) -> list[tuple[str, str]]:
    """Return registry and uid of each record that an alias, or the part behind its colon, means.

    Of a merged record, those of the record that it was merged into. A whole alias means one record.
    """
    name = nfc(text)

    def question(models: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = models.find("alias", at=source.at, alias=name)
        return rows or models.find("alias", at=source.at, ref=name)

    found = {(row["registry"], row["uid"]): None for row in source.ask(question)}
    return [(registry, _present(source, registry, uid)) for registry, uid in found]


def _present(source: Source, registry: str, uid: str) -> str:
    other = survivor_uid(source, registry, field="uid", value=uid)
    return uid if other is None else other


def uid_of_alias(source: Source, registry: str, text: str) -> str | None:
    """Return the uid of the record of a registry that an alias means; None if it means none.

    Raises:
        MultipleResultsError: The part behind the colon means several.
    """
    uids = [uid for of, uid in aliased(source, text) if of == registry]
    if len(uids) > 1:
        raise MultipleResultsError(
            f"'{text}': {len(uids)} records are called so in other tools: {', '.join(uids[:5])}; "
            "give the whole alias, with the name of the tool and a colon",
            name=text,
        )
    return uids[0] if uids else None


class RecordAliases(RecordHistory):
    """The part of a record that other tools know by other names."""

    registry: ClassVar[str]

    @property
    def aliases(self) -> list[str]:
        """The names that it has in other tools, such as `lamindb:5tAyiACTQJb8pShM0001`, in order.

        `get()` finds it by each of them.
        """
        row = self._saved_row()
        source, uid = self._source, str(row["uid"])
        rows = source.ask(lambda it: it.find("alias", at=source.at, uid=uid))
        rows.sort(key=lambda it: (it["from_position"], it["alias"]))
        return [str(it["alias"]) for it in rows]

    def add_alias(self, alias: str) -> Self:
        """Record a name that it has in another tool, and return the record.

        Args:
            alias: Name of the tool in lower case, a colon, and the name there; at most 1,024
                characters.

        Raises:
            InvalidValueError: It has another form.
            NameTakenError: It leads to another record.
        """
        self._refuse_view("add_alias()")
        checked = checked_alias(alias)
        self._perform(AddAlias(registry=self.registry, uid=self.uid, alias=checked))
        return self
