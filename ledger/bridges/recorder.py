"""How a bridge records: what happened elsewhere, with the number of events that it took."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ledger.bridges.steps import FieldSeen
from ledger.decisions.runs import RunPlan
from ledger.decisions.values import definition_of, given
from ledger.engine.elsewhere import Elsewhere, RunElsewhere
from ledger.engine.handler import Outcome
from ledger.errors import CommandRejectedError, NotFoundError
from ledger.model.canonical import Json
from ledger.model.commands import (
    Command,
    DefineRegistry,
    SaveTransform,
    SaveTyped,
    SetFeatures,
)
from ledger.model.definitions import Definition, Field
from ledger.model.ids import digest
from ledger.model.schema import REGISTRIES
from ledger.model.values import read_type
from ledger.places.instance import Ledger
from ledger.places.kinds import record_class
from ledger.places.source import Source, row_of
from ledger.registries.definition import registry_name
from ledger.registries.transform import stem_of
from ledger.tracking.source_code import text_hash


class Recorder:
    """Records what happened elsewhere, and counts the events that it took."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.n_events = 0
        self._elsewhere = Elsewhere(ledger.handler)

    def require_no_run(self, what: str) -> None:
        """See to it that no run is tracked; see `Elsewhere.require_no_run`."""
        self._elsewhere.require_no_run(what)

    def known(self, identity: list[Json]) -> str | None:
        """Return the record that a command of this identity ended at; None if it is not known."""
        return self._elsewhere.known(identity)

    def perform(self, command: Command, registry: str, **options: Any) -> Outcome:
        """Carry out a command; see `Elsewhere.perform`."""
        outcome = self._elsewhere.perform(command, registry, **options)
        self.n_events += outcome.n_events
        return outcome

    def text(self, text: str) -> str:
        """Keep a text, and return its hash."""
        blob = text_hash(text)
        self.n_events += self._elsewhere.blob(blob, _lines(text))
        return blob

    def transform(  # noqa: PLR0913 (all of a version)
        self,
        key: str,
        source: str | None = None,
        *,
        stem: str | None = None,
        name: str | None = None,
        kind: str = "script",
        version: str | None = None,
        description: str | None = None,
        **options: Any,
    ) -> str:
        """Have a version of a transform, and return its uid.

        Args:
            key: What identifies its family.
            source: Text of its source.
            stem: First 12 digits of the uids of its family; None to make them of the key.
            name: What people call it; None for the key's.
            kind: What it is.
            version: Version that a person gave it.
            description: A text for people.
            options: As for `perform`.
        """
        blob = None if source is None else self.text(source)
        defaults: dict[str, Any] = {"name": name or key, "key": key, "kind": kind}
        if description is not None:
            defaults["description"] = description
        command = SaveTransform(
            stem=stem or stem_of(key),
            version=version,
            source_hash=blob,
            source=blob,
            defaults=defaults,
        )
        return self.perform(command, "transform", **options).uid

    def begin(
        self, identity: Sequence[Any], fields: Mapping[str, Any], aliases: Sequence[str] = ()
    ) -> Outcome:
        """Have a run, and return how that ended.

        Args:
            identity: What identifies it for good: plain data.
            fields: Fields of its start.
            aliases: Names that it has elsewhere.
        """
        plan = RunPlan(identity=digest(list(identity)).hex(), fields=dict(fields))
        outcome = self._elsewhere.begin(RunElsewhere(plan=plan, aliases=tuple(aliases)))
        self.n_events += outcome.n_events
        return outcome

    def end(self, run: str, status: str, error: str | None = None) -> int:
        """Record the end of a run; return how many events that took."""
        return self._count(self._elsewhere.end(run, status, error))

    def read(self, run: str, artifact: str) -> int:
        """Record an input of a run; return how many events that took."""
        return self._count(self._elsewhere.read(run, artifact))

    def made(self, run: str, artifact: str) -> int:
        """Record an output of a run; return how many events that took."""
        return self._count(self._elsewhere.made(run, artifact))

    def _count(self, events: int) -> int:
        self.n_events += events
        return events

    # --- what is here -----------------------------------------------------------------------------

    @property
    def now(self) -> Source:
        """The ledger as it is now, to ask."""
        return Source(self.ledger)

    def is_declared(self, uid: str) -> bool:
        """Return whether an artifact is a declared one."""
        row = row_of(self.now, "artifact", uid)
        return row is not None and bool(row["is_declared"])

    def record(self, registry: str, uid: str) -> Any:
        """Return a record.

        Raises:
            NotFoundError: It is not here any more.
        """
        row = row_of(self.now, registry, uid)
        if row is None:
            raise NotFoundError(f"{registry} {uid}: not in this ledger any more", uid=uid)
        return record_class(registry)._from_row(row, self.now)

    # --- registries of a source's own, and features -----------------------------------------------

    def type_text(self, text: str) -> str:
        """Return a type as events hold it; a registry in it is given by the title of its class.

        Raises:
            InvalidValueError: It is none.
        """
        inner = re.sub(r"record\[([^\]]*)\]", lambda it: f"record[{_registry(it[1])}]", text)
        return read_type(inner).text

    def registry(
        self,
        title: str,
        fields: Iterable[FieldSeen],
        description: str | None,
        identity: list[Json],
    ) -> None:
        """Have a registry with these fields; one that is here gains those that it lacks.

        Raises:
            CommandRejectedError: A field is here, of another type.
        """
        found = tuple(
            Field(
                name=it.name,
                held=it.name,
                type=read_type(self.type_text(it.type)),
                unit=it.unit,
                description=it.description,
            )
            for it in fields
        )
        name = _registry(title)
        definition = Definition(name=name, title=title, description=description, fields=found)
        self.perform(DefineRegistry(definition=definition), "registry", identity=identity)
        self.ledger.catalogues.look()

    def typed(self, title: str, name: str, values: Mapping[str, Any]) -> tuple[str, SaveTyped]:
        """Return the registry of a record, and the command that saves it.

        Raises:
            NotFoundError: There is no such registry.
            InvalidValueError: A value is not of its field's type.
        """
        registry = _registry(title)
        definition = self.now.ask(lambda it: definition_of(it, registry))
        if definition is None:
            raise NotFoundError(f"registry '{registry}': not defined in this ledger")
        fields = {
            field: given(definition.require(field), value, f"{title}.{field}")
            for field, value in values.items()
        }
        return registry, SaveTyped(registry=registry, key=name, fields={**fields, "name": name})

    def features(self, registry: str, uid: str, values: Mapping[str, Any]) -> SetFeatures:
        """Return the command that gives a record these features.

        Raises:
            UnknownFieldError: One of them is not defined.
            InvalidValueError: A value is not of its feature's type.
        """
        checked = self.record(registry, uid).features.checked(values)
        return SetFeatures(registry=registry, uid=uid, values=checked)

    def require_type(self, name: str, fields: Mapping[str, Any]) -> None:
        """See to it that a feature that is here has this type and unit.

        Raises:
            CommandRejectedError: It has others.
        """
        for row in self.now.ask(lambda it: it.find("feature", name=name)):
            for of in ("type", "unit"):
                if row[of] != fields.get(of):
                    raise CommandRejectedError(
                        f"feature '{name}': it has {of} {row[of]} here, and {fields.get(of)} there"
                    )


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _registry(title: str) -> str:
    """Return the name of the registry whose class has this title."""
    for name, spec in REGISTRIES.items():
        if spec.title == title:
            return name
    return registry_name(title)
