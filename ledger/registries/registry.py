"""The records of one kind, now or as of a position, and the methods by which a class asks them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from ledger.errors import InvalidValueError, ReadOnlyViewError
from ledger.places.source import Source
from ledger.registries.lookups import Q
from ledger.registries.query import Lookup, QuerySet
from ledger.registries.results import RecordList
from projections.select import Select

if TYPE_CHECKING:
    from ledger.registries.vocabulary import Inspection


class Registry:
    """The records of one kind, now or as of a position, and every question that they answer."""

    def __init__(self, kind: type[Any], source: Source) -> None:
        self._kind = kind
        self._source = source

    def __call__(self, *_: object, **__: object) -> Any:
        """Refuse: a view of the past creates nothing."""
        raise ReadOnlyViewError(
            f"{self._kind.__name__}(...): a view as of position {self._source.at} cannot be "
            "written through; use the registry itself"
        )

    @property
    def schema(self) -> Any:
        """The schema of the registry, at this position."""
        from ledger.registries.registry_schema import RegistrySchema  # noqa: PLC0415 (few ask)

        return RegistrySchema(self._kind, self._source)

    def filter(self, *queries: Q, **lookups: object) -> QuerySet[Any]:
        """Return the records that pass every condition; all records if there is no condition."""
        query: QuerySet[Any] = QuerySet(
            self._kind, self._source, Select(registry=self._kind.registry)
        )
        return query.filter(*queries, **lookups) if queries or lookups else query

    def get(self, uid: str | int | None = None, **lookups: object) -> Any:
        """Return the one record with this uid, unique beginning of a uid, id, or these fields."""
        return self.filter().get(uid, **lookups)

    def search(self, text: str, *, limit: int = 20) -> RecordList[Any]:
        """Return the records that match a text best, best first."""
        return self.filter().search(text, limit=limit)

    def lookup(self, field: str | None = None) -> Lookup:
        """Return an object with one attribute a record, for tab completion."""
        return self.filter().lookup(field)

    def df(self, *, limit: int | None = None, features: bool = False) -> Any:
        """Return the records, or the first `limit` of them, as a pandas `DataFrame`."""
        query = self.filter()
        return (query if limit is None else query[:limit]).df(features=features)

    # --- as a vocabulary ------------------------------------------------------------------------

    def validate(self, values: Iterable[object]) -> list[bool]:
        """Return of each text whether a live record bears it as its name."""
        found: list[bool] = self._vocabulary("validate").validate(
            self._kind.registry, self._source, values
        )
        return found

    def standardize(self, values: Iterable[object]) -> list[str]:
        """Return each text, in the place of synonyms and other letter case the name they mean."""
        found: list[str] = self._vocabulary("standardize").standardize(
            self._kind.registry, self._source, values
        )
        return found

    def inspect(self, values: Iterable[object]) -> Inspection:
        """Return the texts sorted: names, synonyms, similar to names, unknown."""
        found: Inspection = self._vocabulary("inspect").inspect(
            self._kind.registry, self._source, values
        )
        return found

    def _vocabulary(self, verb: str) -> Any:
        from ledger.registries import vocabulary  # noqa: PLC0415 (few ask)

        spec = self._source.spec(self._kind.registry)
        if not spec.is_named:
            raise InvalidValueError(
                f"{spec.title}.{verb}: its records have no names; expected a registry whose do"
            )
        return vocabulary

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(self._kind, name):
            raise AttributeError(f"a registry of a view has no '{name}'")
        return partial(self._refuse, name)

    def _refuse(self, name: str, *_: object, **__: object) -> None:
        raise ReadOnlyViewError(
            f"{self._kind.__name__}.{name}: a view as of position {self._source.at} answers "
            "filter, get, search, lookup, df, validate, standardize and inspect; use the registry "
            "itself"
        )

    def __repr__(self) -> str:
        return f"<{self._kind.__name__} as of position {self._source.at}>"


if TYPE_CHECKING:
    registry_method = classmethod
else:

    class registry_method(classmethod):  # noqa: N801 (a decorator, as its base is)
        """A class method that, called on a record of a view, asks the registry of that view."""

        def __get__(self, record: Any, owner: Any = None) -> Any:
            source = None if record is None else vars(record).get("_source")
            if source is None or source.at is None:
                return super().__get__(record, owner)
            return getattr(Registry(type(record), source), self.__name__)
