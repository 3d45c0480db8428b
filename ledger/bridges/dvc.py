"""`import_dvc`: what a project of DVC says of its stages and files is brought into the ledger.

1. `dvc.lock` is read, and each `*.dvc` file. A stage is a transform and a run, its dependencies
   are inputs and its outputs are artifacts. A stage that changed is another run.
2. DVC says no time and no person: what comes in happens at the time of the import, by the one who
   imports.
3. The content of a file is that with the MD5 which DVC says: the file in its place if it has that,
   else what lies in DVC's cache. A file of which neither is left is declared. Folders cannot be
   compared: DVC hashes a list of its own.
4. No path leads out of the project. Nothing of DVC is loaded or run, and nothing is written.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from ledger.bridges.imported import Imported
from ledger.bridges.plan import carry_out
from ledger.bridges.steps import (
    AnyStep,
    ContentSeen,
    Input,
    LeftOut,
    Reproduced,
    RunEnded,
    RunSeen,
    Source,
    TransformVersion,
)
from ledger.bridges.yaml_files import read_yaml
from ledger.errors import InvalidValueError, LedgerError, printable
from ledger.input_files import open_regular
from ledger.model.ids import uid

_LOCK, _SCHEMA = "dvc.lock", "2.0"
_STEM = 12  # digits of a transform's stem
_NO_FILES = frozenset({".git", ".dvc", ".venv", "node_modules", ".metaledger"})
_DIR = ".dir"  # ends the MD5 of a folder
_BLOCK = 1 << 20
_SHOWN = 12  # digits of what is hashed, in refs


def import_dvc(
    where: str | os.PathLike[str], *, dry_run: bool = False, declare: bool = False
) -> Imported:
    """Bring a project of DVC into the ledger in use, and return what was done.

    Files are only read, and stay where they lie. The same project again adds what is new in it.

    Args:
        where: Folder of the project, or its `dvc.lock`.
        dry_run: Whether to count what would be recorded, and to record nothing.
        declare: Whether to declare all contents, and to read none.

    Raises:
        InvalidValueError: There is no project of DVC, or a file of it is not as DVC writes it;
            nothing was recorded.
        MissingDependencyError: PyYAML is not installed.
        StorageError: The database of the ledger refused.
        CommandRejectedError: A run is tracked here.
    """
    root = Path(where)
    root = root.parent if root.name == _LOCK else root
    reader = Reader(root.absolute(), declares=declare)
    steps = list(reader.steps())
    return carry_out(reader.source, steps, declare=declare, dry_run=dry_run, notes=reader.notes)


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder, as DVC names it.

    Attributes:
        path: Below the project, with "/"; as it was written where it leads out of it.
        algorithm: What it is identified by, such as `md5` or `etag`.
        value: The value of that.
        size: Bytes.
        n_files: Files of a folder; None for a file.
        is_inside: Whether the path stays in the project.
    """

    path: str
    algorithm: str
    value: str
    size: int | None
    n_files: int | None
    is_inside: bool

    @property
    def ref(self) -> str:
        """What names the content at this path for good."""
        return f"{self.path}@{self.value}"


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage as `dvc.lock` has it: what it reads and makes, by which command and parameters."""

    deps: list[Item]
    outs: list[Item]
    cmd: str
    params: dict[str, Any]


class Reader:
    """Reads a project into steps.

    Attributes:
        source: What is read.
        notes: Sentences about what DVC does not say.
    """

    def __init__(self, root: Path, *, declares: bool = False) -> None:
        self._root = root
        self._declares = declares
        self._lock = root / _LOCK
        self._pointers = sorted(_pointers(root)) if root.is_dir() else []
        if not self._lock.is_file() and not self._pointers:
            raise InvalidValueError(
                f"dvc {printable(root)}: expected a folder with {_LOCK} or files that end in "
                ".dvc, found neither; give the folder of the project"
            )
        self.source = Source(tool="dvc", instance="dvc", where=printable(root))
        self.notes = [
            "DVC says neither when a stage ran nor who ran it: both are those of this import"
        ]
        self._seen: set[str] = set()

    def steps(self) -> Iterator[AnyStep]:
        """Yield what the project says happened: contents that nobody made, then stage by stage."""
        stages = self._stages() if self._lock.is_file() else {}
        made = {it.ref for stage in stages.values() for it in stage.outs}
        for path in self._pointers:
            yield from self._pointer(path)
        for name in _in_order(stages):
            yield from (
                self._content("dep", it)
                for it in stages[name].deps
                if it.ref not in made and self._is_new(it)
            )
            yield from self._stage(name, stages[name])

    # --- files ------------------------------------------------------------------------------------

    def _stages(self) -> dict[str, Stage]:
        found = read_yaml(self._lock, extra="dvc")
        schema = str(found.get("schema", ""))
        if schema != _SCHEMA:
            raise InvalidValueError(
                f"{printable(self._lock)}: expected schema '{_SCHEMA}', found '{schema}'; run "
                "`dvc repro` or `dvc commit` of a DVC from 2.0 on"
            )
        stages: dict[str, Stage] = {}
        for name, stage in self._mapping(found.get("stages"), "stages").items():
            told = self._mapping(stage, f"stage '{name}'")
            cmd = told.get("cmd", "")
            stages[str(name)] = Stage(
                deps=self._items(told.get("deps"), self._lock),
                outs=self._items(told.get("outs"), self._lock),
                cmd="\n".join(map(str, cmd)) if isinstance(cmd, list) else str(cmd),
                params=_params(self._mapping(told.get("params"), f"parameters of stage '{name}'")),
            )
        return stages

    def _pointer(self, path: Path) -> Iterator[AnyStep]:
        found = read_yaml(path, extra="dvc")
        wdir = str(found.get("wdir") or ".")
        items = self._items(found.get("outs"), path, below=wdir)
        row = path.relative_to(self._root).as_posix()
        if not items:
            yield LeftOut(table="pointer", row=row, why="no hash in it")
        for item in items:
            if self._is_new(item):
                yield self._content("pointer", item, description=found.get("desc"))

    def _mapping(self, found: Any, what: str) -> Mapping[str, Any]:
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise InvalidValueError(
                f"{printable(self._lock)}: expected a mapping of {printable(what)}, found "
                f"{type(found).__name__}"
            )
        return found

    def _items(self, found: Any, file: Path, *, below: str = ".") -> list[Item]:
        if found is None:
            return []
        items: list[Item] = []
        for entry in found if isinstance(found, list) else [None]:
            if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
                raise InvalidValueError(
                    f"{printable(file)}: expected a list of files with their paths, found "
                    f"{type(entry if isinstance(found, list) else found).__name__}"
                )
            algorithm = str(
                entry.get("hash") or next(iter({"md5", "etag", "checksum"} & {*entry}), "")
            )
            value = entry.get(algorithm)
            if value is None:  # not committed to DVC yet
                continue
            if not isinstance(value, str) or not value:
                raise InvalidValueError(
                    f"{printable(file)}: expected {algorithm} of '{printable(entry['path'])}' as a "
                    f"text, found {type(value).__name__}"
                )
            items.append(self._item(entry, algorithm, value, file.parent, below))
        return items

    def _item(
        self, entry: Mapping[str, Any], algorithm: str, value: str, folder: Path, below: str
    ) -> Item:
        written = entry["path"]
        path = os.path.normpath(folder / below / written) if "://" not in written else written
        is_inside = path.startswith(f"{self._root}{os.sep}")
        size, n_files = entry.get("size"), entry.get("nfiles")
        return Item(
            path=PurePosixPath(path).relative_to(self._root).as_posix() if is_inside else written,
            algorithm=algorithm,
            value=value,
            size=size if isinstance(size, int) and size >= 0 else None,
            n_files=n_files if isinstance(n_files, int) and n_files >= 0 else None,
            is_inside=is_inside,
        )

    # --- steps ------------------------------------------------------------------------------------

    def _is_new(self, item: Item) -> bool:
        is_new = item.ref not in self._seen
        self._seen.add(item.ref)
        return is_new

    def _content(
        self, table: str, item: Item, *, run: str | None = None, description: Any = None
    ) -> ContentSeen:
        is_folder = item.value.endswith(_DIR)
        path = None if not item.is_inside else self._found(item, is_folder=is_folder)
        return ContentSeen(
            table=table,
            row=item.ref,
            ref=item.ref,
            path=path,
            storage=None if path is None else str(self._root),
            key=item.path,
            description=description if isinstance(description, str) and description else None,
            suffix=PurePosixPath(item.path).suffix,
            size=item.size,
            n_files=item.n_files,
            claimed=((f"dvc-{item.algorithm}" if is_folder else item.algorithm, item.value),),
            run=run,
        )

    def _found(self, item: Item, *, is_folder: bool) -> str | None:
        """Return where the content of an item lies; None where it is not here."""
        places = [self._root / item.path]
        if is_folder:
            fits: Callable[[Path], bool] = Path.is_dir
        elif self._declares or item.algorithm != "md5":
            fits = Path.is_file
        else:
            fits = partial(_has_md5, item=item)
            cache = self._root / ".dvc" / "cache"
            inner = Path(item.value[:2], item.value[2:])
            places += [cache / "files" / "md5" / inner, cache / inner]
        root = self._root.resolve()
        inside = (it for it in places if it.resolve().is_relative_to(root))
        return next((str(it) for it in inside if fits(it)), None)

    def _stage(self, name: str, stage: Stage) -> Iterator[AnyStep]:
        script = f"{name}@{uid(['dvc', name, stage.cmd], _SHOWN)}"
        facts: list[Any] = [
            [it.ref for it in stage.deps],
            [it.ref for it in stage.outs],
            msgspec.json.encode(stage.params, order="deterministic").decode(),
        ]
        row = f"{name}@{uid(['dvc', name, stage.cmd, facts], _SHOWN)}"
        run = f"run/{row}"
        told: dict[str, Any] = {"table": "run", "row": row}
        yield TransformVersion(
            table="stage",
            row=script,
            ref=f"stage/{script}",
            stem=uid(["dvc", "stage", name], _STEM),
            key=name,
            type="pipeline",
            source=f"{stage.cmd}\n",
        )
        yield RunSeen(**told, ref=run, transform=f"stage/{script}", params=stage.params)
        for item in stage.deps:
            yield Input(**told, artifact=item.ref, run=run)
        for item in stage.outs:
            if self._is_new(item):
                yield self._content("out", item, run=run)
            else:
                yield Reproduced(**told, artifact=item.ref, run=run)
        yield RunEnded(**told, run=run, status="finished")


def _pointers(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [it for it in folders if it not in _NO_FILES]
        for name in names:
            if name.endswith(".dvc") and name != ".dvc":
                yield Path(folder, name)


def _in_order(stages: Mapping[str, Stage]) -> list[str]:
    """Return the stages in an order in which each comes after those whose outputs it reads."""
    makers = {it.ref: name for name, stage in stages.items() for it in stage.outs}
    order: dict[str, None] = {}
    begun: set[str] = set()

    def add(first: str) -> None:
        # Without recursion: a pipeline may be long. A circle ends where it began.
        waiting = [first]
        while waiting:
            name = waiting[-1]
            before = [
                maker
                for it in stages[name].deps
                if (maker := makers.get(it.ref)) is not None and maker not in begun
            ]
            if name in begun or not before:
                begun.add(name)
                order.setdefault(name)
                waiting.pop()
            else:
                begun.add(name)
                waiting += before

    for name in stages:
        add(name)
    return list(order)


def _has_md5(path: Path, item: Item) -> bool:
    """Whether a file has the MD5 that DVC says."""
    try:
        if item.size is not None and path.stat().st_size != item.size:
            return False
        found = hashlib.md5(usedforsecurity=False)
        with open_regular(path) as raw:
            while block := raw.read(_BLOCK):
                found.update(block)
        return found.hexdigest() == item.value
    except (OSError, LedgerError):
        return False


def _params(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters by name; those of another file than `params.yaml` below its name."""
    params: dict[str, Any] = {}
    for file, values in found.items():
        told = _plain(values)
        params |= told if file == "params.yaml" and isinstance(told, dict) else {str(file): told}
    return params


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(it) for name, it in value.items()}
    if isinstance(value, list):
        return [_plain(it) for it in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
