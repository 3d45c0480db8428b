"""One step carried out: what each kind of step is in this ledger.

1. A record that is here already is the record, and keeps its fields: an import adds names, runs and
   links to it, and never overwrites what people here said of it.
2. What the source calls a record that cannot be recorded (a name that is too long, a collection
   without members) is left out, and so is what belongs to it alone. Each is told with its reason.
3. A key that is no key here is left away; the artifact comes in without it, and a note says so.
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from ledger.bridges import recording
from ledger.bridges.recorder import Recorder
from ledger.bridges.steps import (
    CollectionSeen,
    ContentSeen,
    FeatureSeen,
    Input,
    Kept,
    Label,
    LeftOut,
    Link,
    RecordSeen,
    Ref,
    RegistrySeen,
    Reproduced,
    RunEnded,
    RunSeen,
    Source,
    Step,
    TransformVersion,
    Trash,
    ValuesSeen,
)
from ledger.errors import (
    CommandRejectedError,
    FileChangedError,
    InvalidValueError,
    MissingFileError,
    NotFoundError,
    StorageError,
    UnsupportedFileError,
    printable,
)
from ledger.files import write_durably
from ledger.model.commands import LinkRecords, MoveRecord, SaveArtifact, SaveRecord
from ledger.model.ids import BASE62, digest
from ledger.model.schema import REGISTRIES
from ledger.registries.aliases import aliased
from ledger.registries.artifact import Artifact
from ledger.registries.checks import check_text
from ledger.registries.collection import Collection
from ledger.registries.local_content import LocalContent, check_key, suffix_of_key

_UNREADABLE = (MissingFileError, UnsupportedFileError, FileChangedError, StorageError)
_STEM = 12  # digits of a transform's stem


class Named(msgspec.Struct, frozen=True):
    """A record that a ref names."""

    registry: str
    uid: str


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What was found where content should lie: the content, or why there is none."""

    content: Any = None
    why: str | None = None
    is_damaged: bool = False
    is_checked: bool = True


class LeftAwayError(Exception):
    """A step has no place here; its text says why."""


class Carrier:
    """Carries out steps of one source, in the order in which they come.

    Attributes:
        notes: Sentences about what came in otherwise than the source has it.
        declared: Aliases of artifacts that came in without their content.
        damaged: Aliases of artifacts whose content is another one than the source says.
        unchecked: Aliases of artifacts whose hash in the source cannot be compared.
    """

    def __init__(
        self,
        recorder: Recorder,
        source: Source,
        *,
        stores: bool,
        known: Mapping[Ref, tuple[str, str]] | None = None,
    ) -> None:
        self._recorder = recorder
        self._source = source
        self._stores = stores
        self._named = {ref: Named(*it) for ref, it in (known or {}).items()}
        self._dropped: set[Ref] = set()
        self._was_new = False
        self.notes: list[str] = []
        self.declared: list[str] = []
        self.damaged: list[str] = []
        self.unchecked: list[str] = []

    # --- what is known ---------------------------------------------------------------------------

    def identity(self, step: Step) -> list[Any]:
        """Return the identity under which a step is recorded."""
        what: Any = [self._source.instance, step.table, step.row, step.what]
        return ["import", self._source.tool, digest(what).hex()]

    def is_known(self, ref: Ref) -> bool:
        """Return whether a ref names a record of this ledger, or of a step before."""
        return self._found(ref) is not None

    def _found(self, ref: Ref) -> Named | None:
        if ref in self._named:
            return self._named[ref]
        for registry, uid in aliased(self._recorder.now, self._source.alias(ref)):
            self._named[ref] = Named(registry, uid)
        return self._named.get(ref)

    def _uid(self, ref: Ref) -> str:
        found = self._found(ref)
        if found is None:
            raise LeftAwayError("it belongs to what is left out")
        return found.uid

    def _maybe(self, ref: Ref | None) -> str | None:
        return None if ref is None or ref in self._dropped else self._uid(ref)

    # --- content, before any transaction ---------------------------------------------------------

    def look(self, step: ContentSeen) -> Looked:
        """Read and hash the content of a step where it lies; nothing is recorded."""
        if step.path is None or self._recorder.known(self.identity(step)) is not None:
            return Looked()
        where = step.storage
        if where is None:
            where = step.path.rsplit("/", 1)[0] if "://" in step.path else None
        root = where or str(Path(step.path).parent)
        try:
            content = LocalContent.at(self._recorder.ledger, step.path, storage=root)
        except _UNREADABLE:
            return Looked()
        except InvalidValueError as error:
            return Looked(why=str(error))
        said = [_same(content.hashed, *claim) for claim in step.claimed]
        told = [it for it in said if it is not None]
        if not all(told):
            return Looked(is_damaged=True)
        return Looked(content=content, is_checked=bool(told))

    # --- one step --------------------------------------------------------------------------------

    def carry_out(self, step: Step, looked: Looked | None = None) -> int:
        """Carry out a step, and return how many events that took.

        Raises:
            LeftAwayError: It has no place here.
        """
        before = self._recorder.n_events
        try:
            self._steps[type(step)](self, step, *(() if looked is None else (looked,)))
        except (CommandRejectedError, NotFoundError, LeftAwayError) as error:
            ref = step.row if isinstance(step, LeftOut) else own_ref(step)
            if ref is not None:
                self._dropped.add(ref)
            raise LeftAwayError(str(error)) from error
        return self._recorder.n_events - before

    def _perform(self, step: Any, command: Any, registry: str, **options: Any) -> str:
        """Carry out the command that creates the record of a step, and remember the ref."""
        done = self._recorder.perform(
            command,
            registry,
            identity=self.identity(step),
            aliases=[self._source.alias(step.ref)],
            **options,
        )
        self._named[step.ref] = Named(registry, done.uid)
        self._was_new = done.is_new
        return done.uid

    def _label(self, step: Label) -> None:
        fields = _described("label", step.description)
        command = SaveRecord(registry="ulabel", name=_name("label", step.name), fields=fields)
        self._perform(step, command, "ulabel", keeps=True)

    def _transform(self, step: TransformVersion) -> None:
        stem = step.stem if len(step.stem) == _STEM and set(step.stem) <= set(BASE62) else None
        uid = self._recorder.transform(
            _text("transform key", step.key),
            step.source,
            stem=stem,
            name=_name("transform", step.name or step.key.rstrip("/").rsplit("/", 1)[-1]),
            kind=step.type,
            version=step.version,
            description=step.description,
            identity=self.identity(step),
            aliases=[self._source.alias(step.ref)],
            keeps=True,
        )
        self._named[step.ref] = Named("transform", uid)

    def _run(self, step: RunSeen) -> None:
        environment = None if step.environment is None else self._recorder.text(step.environment)
        fields = recording.run_fields(
            self._uid(step.transform),
            params=step.params,
            arguments=step.arguments,
            name=None if step.name is None else _name("run", step.name),
            environment=environment,
            initiated_by=self._maybe(step.initiated_by),
        )
        identity = [self._source.tool, self._source.instance, step.ref]
        outcome = self._recorder.begin(identity, fields, [self._source.alias(step.ref)])
        self._named[step.ref] = Named("run", outcome.uid)

    def _run_ended(self, step: RunEnded) -> None:
        self._recorder.end(self._uid(step.run), step.status, step.error)

    def _content(self, step: ContentSeen, looked: Looked = Looked()) -> None:  # noqa: B008 (frozen)
        alias, key = self._source.alias(step.ref), self._key(step)
        if looked.why is not None:
            raise LeftAwayError(looked.why)
        run = self._maybe(step.run)
        revises = self._maybe(step.revises)
        if looked.is_damaged:
            self.damaged.append(alias)
        if looked.content is None:
            command = recording.declaration(
                namespace=self._source.tool,
                name=step.ref,
                key=key,
                description=step.description,
                version=step.version,
                revises=revises,
                size=step.size,
                n_files=step.n_files,
                claimed=step.claimed,
                where=step.path,
                suffix=step.suffix,
            )
            uid = self._perform(step, command, "artifact", run=run, keeps=True)
            # What an earlier import brought in is what it was then.
            if self._was_new or self._recorder.is_declared(uid):
                self.declared.append(alias)
            return
        if not looked.is_checked:
            self.unchecked.append(alias)
        described = looked.content.described()
        self._perform(
            step,
            SaveArtifact(
                content=described,
                key=key,
                version=step.version,
                revises=revises,
                fields=_described("artifact", step.description),
            ),
            "artifact",
            run=run,
            keeps=True,
            prepare=looked.content.prepare if self._stores else None,
        )

    def _key(self, step: ContentSeen) -> str | None:
        if step.key is None:
            return None
        try:
            # A dataset of another tool may be called by its URL.
            return _text("key", step.key) if "://" in step.key else check_key(step.key)
        except InvalidValueError as error:
            self.notes.append(
                f"artifact {printable(step.ref)}: it came in without its key, as {error}"
            )
            return None

    def _collection(self, step: CollectionSeen) -> None:
        members = [Artifact.get(self._uid(ref)) for ref in step.artifacts]
        made = Collection(
            members,
            name=_name("collection", step.name),
            description=step.description,
            version=step.version,
            revises=None if step.revises is None else Collection.get(self._uid(step.revises)),
            if_hash_exists="warn_return_existing",
        )
        self._perform(step, made._creation(), "collection", run=self._maybe(step.run))

    def _reproduced(self, step: Reproduced) -> None:
        self._recorder.made(self._uid(step.run), self._uid(step.artifact))

    def _input(self, step: Input) -> None:
        self._recorder.read(self._uid(step.run), self._uid(step.artifact))

    def _link(self, step: Link) -> None:
        held, target = self._found(step.ref), self._uid(step.target)
        if held is None:
            raise LeftAwayError("it belongs to what is left out")
        command = LinkRecords(
            registry=held.registry,
            uid=held.uid,
            field=step.field,
            target=target,
            is_present=True,
        )
        self._recorder.perform(
            command, held.registry, identity=self.identity(step), run=self._maybe(step.run)
        )

    def _trash(self, step: Trash) -> None:
        held, uid = self._found(step.ref), self._uid(step.ref)
        assert held is not None  # noqa: S101 (the line before has it)
        command = MoveRecord(registry=held.registry, uid=uid, move="trash")
        self._recorder.perform(command, held.registry, identity=self.identity(step))

    # --- registries of the source's own, and features ---------------------------------------------

    def _registry(self, step: RegistrySeen) -> None:
        self._recorder.registry(step.name, step.fields, step.description, self.identity(step))

    def _record(self, step: RecordSeen) -> None:
        values = {name: self._value(value) for name, value in step.values.items()}
        registry, command = self._recorder.typed(step.registry, step.name, values)
        self._perform(step, command, registry)

    def _feature(self, step: FeatureSeen) -> None:
        field = step.feature
        fields = {"type": self._recorder.type_text(field.type)}
        if field.unit is not None:
            fields["unit"] = _text("unit", field.unit)
        fields |= _described("feature", field.description)
        name = _name("feature", field.name)
        self._recorder.require_type(name, fields)
        command = SaveRecord(registry="feature", name=name, fields=fields)
        self._perform(step, command, "feature", keeps=True)

    def _values(self, step: ValuesSeen) -> None:
        held, uid = self._found(step.ref), self._uid(step.ref)
        assert held is not None  # noqa: S101 (the line before has it)
        values = {name: self._value(value) for name, value in step.values.items()}
        command = self._recorder.features(held.registry, uid, values)
        self._recorder.perform(
            command, held.registry, identity=self.identity(step), run=self._maybe(step.run)
        )

    def _value(self, value: Any) -> Any:
        """Return a value of a step as a record takes it: refs become records."""
        if not isinstance(value, tuple):
            return value
        found = [self._recorder.record(*msgspec.structs.astuple(self._held(it))) for it in value]
        return found[0] if len(found) == 1 else found

    def _held(self, ref: Ref) -> Named:
        found = self._found(ref)
        if found is None:
            raise LeftAwayError("it belongs to what is left out")
        return found

    # --- the rest -----------------------------------------------------------------------------

    def _kept(self, step: Kept) -> None:
        with tempfile.TemporaryDirectory(prefix="metaledger-") as folder:
            path = Path(folder, "kept" + suffix_of_key(step.key))
            write_durably(path, step.text.encode("utf-8", "surrogatepass"))
            content = LocalContent.at(self._recorder.ledger, path)
            self._perform(
                step,
                SaveArtifact(content=content.described(), key=check_key(step.key)),
                "artifact",
                prepare=content.prepare if self._stores else None,
            )

    def _left_out(self, step: LeftOut) -> None:
        raise LeftAwayError(step.why)

    _steps: ClassVar[dict[type[Step], Callable[..., None]]] = {
        Label: _label,
        TransformVersion: _transform,
        RunSeen: _run,
        RunEnded: _run_ended,
        ContentSeen: _content,
        CollectionSeen: _collection,
        Reproduced: _reproduced,
        Input: _input,
        Link: _link,
        Trash: _trash,
        RegistrySeen: _registry,
        RecordSeen: _record,
        FeatureSeen: _feature,
        ValuesSeen: _values,
        Kept: _kept,
        LeftOut: _left_out,
    }


def refs_of(step: Step) -> Iterable[Ref]:
    """Return the refs that a step names, without the one of its own record."""
    for name in ("transform", "initiated_by", "revises", "run", "artifact", "target"):
        found = getattr(step, name, None)
        if isinstance(found, str):
            yield found
    if isinstance(step, Link | Trash | ValuesSeen):
        yield step.ref
    if isinstance(step, CollectionSeen):
        yield from step.artifacts
    if isinstance(step, RecordSeen | ValuesSeen):
        for value in step.values.values():
            if isinstance(value, tuple):
                yield from value


def own_ref(step: Step) -> Ref | None:
    """Return the ref of the record that a step brings in; None where it brings none."""
    if isinstance(step, Link | Trash | ValuesSeen | RegistrySeen):
        return None
    ref: Ref | None = getattr(step, "ref", None)
    return ref


def _same(hashed: Any, algorithm: str, value: str) -> bool | None:
    """Return whether content has a hash that is claimed; None where that cannot be told."""
    if algorithm == "sha256":
        found = str(hashed.digest).removeprefix("sha256:")
        return found == value.removeprefix("sha256:").lower()
    if algorithm != "md5" or hashed.hash_type != "md5":
        return None
    try:
        is_hex = len(value) == 32  # noqa: PLR2004 (hexadecimal digits of an MD5)
        raw = bytes.fromhex(value) if is_hex else base64.urlsafe_b64decode(value + "==")
    except (ValueError, binascii.Error):
        return None
    return bool(base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == hashed.hash)


def _name(what: str, value: str) -> str:
    spec = REGISTRIES["ulabel"].field("name")
    assert spec is not None  # noqa: S101 (for the type checker)
    return str(check_text(f"{what} name", value, spec, required=True))


def _text(what: str, value: str) -> str:
    spec = REGISTRIES["artifact"].field("key")
    assert spec is not None  # noqa: S101 (for the type checker)
    return str(check_text(what, value, spec, required=True))


def _described(what: str, description: str | None) -> dict[str, Any]:
    if description is None:
        return {}
    spec = REGISTRIES["artifact"].field("description")
    assert spec is not None  # noqa: S101 (for the type checker)
    return {"description": check_text(f"{what} description", description, spec)}
