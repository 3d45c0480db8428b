"""Plans: the events that a script would record, before it records them.

The code runs against a copy of the ledger's database in a temporary folder: everything answers as
if saved, and nothing stays. Content that would be copied is only listed, with its size. The
script's own side effects, such as files it writes, do happen.
"""

from __future__ import annotations

import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO

import msgspec

from ledger.content.store import ContentStore, StoredContents, StoredItem
from ledger.content.tree import HashedContent
from ledger.display.tabular import Listing, attributes
from ledger.errors import InvalidValueError, MissingFileError
from ledger.past.readable_events import Happening, Which, happenings, summary
from ledger.places import instance
from ledger.places.instance import Ledger
from ledger.places.marks import Marks
from ledger.tracking.context import context
from ledger.tracking.exits import exit_error
from ledger.tracking.planned import PlannedContent, SimilarName


class Plan(Listing[Happening]):
    """The events that would be appended, in order; empty if there is nothing to record.

    Attributes:
        contents: Content that would be copied into the storage.
        similar_names: New names that resemble existing ones, perhaps typos.
        error: The error that ended a planned script early; None if there was none.
    """

    _title = "Plan"
    _columns = attributes("position", "type", "registry", "uid") | {"what": summary}

    def __init__(self) -> None:
        super().__init__([])
        self.contents: list[PlannedContent] = []
        self.similar_names: list[SimilarName] = []
        self.error: str | None = None

    @property
    def events(self) -> list[Happening]:
        """The events that would be appended, in order."""
        return list(self)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to record."""
        return not len(self)

    def as_json(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return {
            "new_events": len(self),
            "events": [event.as_json() for event in self],
            "contents": [msgspec.to_builtins(content) for content in self.contents],
            "similar_names": [msgspec.to_builtins(similar) for similar in self.similar_names],
            "error": self.error,
        }

    def to_markdown(self, *, title: str = "this", limit: int = 100) -> str:
        """Return the plan as Markdown, for a comment on a change or the summary of a job.

        Args:
            title: What would record it, such as the name of a script.
            limit: The most events, and the most contents, to show.
        """
        from ledger.tracking.plan_markdown import markdown  # noqa: PLC0415 (few ask)

        return markdown(
            self.events,
            self.contents,
            self.similar_names,
            error=self.error,
            title=title,
            limit=limit,
        )

    def _fill(self, ledger: PlanLedger) -> None:
        self._items = list(happenings(ledger, Which(after=ledger.begun_at)))
        self.contents = [planned for store in ledger.planned for planned in store.planned.values()]
        self.similar_names = [
            SimilarName(
                registry=event.registry,
                name=name,
                similar=tuple(hit.name for hit in similar.hits),
            )
            for event in self
            if (name := event.event.get("fields", {}).get("name"))
            and event.type == "record-created.v1"
            and (similar := ledger.name_search(event.registry).similar(name, limit=3)).hits
        ]


class PlanLedger(Ledger):
    """A ledger in front of another one, which answers as if it saved, and records nothing."""

    def __init__(self, real: Ledger, folder: Path) -> None:
        super().__init__(real.place)
        self.database.close()
        self.database = real.database.copy_to(folder / "plan.db")
        self.sessions.database = self.database
        self.marks = NoMarks(self.database, ledger=real.place.configuration.id, shown="")
        self.planned: list[PlanStore] = []
        self.begun_at = self.head()

    def store(self, root: str | None = None) -> ContentStore:
        """Return a store that only notes the content to store."""
        root = self.storage if root is None else self.place.resolved(root)
        for store in self.planned:
            if store.asked == root:
                return store
        made = PlanStore(super().store(root), root)
        self.planned.append(made)
        return made


class NoMarks(Marks):
    """The marks of a plan, which stores nothing."""

    def leave(self, root: str) -> None:
        """Leave none."""


class PlanStore(ContentStore):
    """A content store that reads another one and only notes new content."""

    def __init__(self, real: ContentStore, asked: str) -> None:
        self._real = real
        self.asked = asked
        self.root = real.root
        self.planned: dict[str, PlannedContent] = {}

    def put(
        self,
        source: Path | StoredContents,
        name: str,
        expected: HashedContent,
        *,
        progress: Any = None,
    ) -> None:
        """Note the content, unless it is stored already."""
        del progress  # nothing is copied
        if not self._real.exists(name):
            shown = source.url if isinstance(source, StoredContents) else str(source)
            self.planned[name] = PlannedContent(name=name, source=shown, size=expected.size)

    def url(self, name: str) -> str:
        """See `ContentStore.url`."""
        return self._real.url(name)

    def local_path(self, name: str) -> Path | None:
        """Return the present path of the content; planned content is still at its source."""
        planned = self.planned.get(name)
        if planned is None or "://" in planned.source:
            return self._real.local_path(name)
        return Path(planned.source)

    def open(self, name: str, member: str | None = None) -> BinaryIO:
        """See `ContentStore.open`."""
        planned = self.planned.get(name)
        if planned is None:
            return self._real.open(name, member)
        path = Path(planned.source)
        return (path if member is None else path / member).open("rb")

    def exists(self, name: str) -> bool:
        """See `ContentStore.exists`."""
        return name in self.planned or self._real.exists(name)

    def stat(self, name: str) -> Any:
        """See `ContentStore.stat`."""
        return () if name in self.planned else self._real.stat(name)

    def verify(self, name: str, digest: str, is_folder: bool) -> None:  # noqa: FBT001 (the seam's)
        """See `ContentStore.verify`; planned content passes, as it was hashed a moment ago."""
        if name not in self.planned:
            self._real.verify(name, digest, is_folder)

    def list(self) -> Iterator[StoredItem]:
        """See `ContentStore.list`."""
        return self._real.list()

    def remove(self, name: str) -> None:
        """Remove nothing."""

    def holds(self, path: Path | str) -> str | None:
        """See `ContentStore.holds`."""
        return self._real.holds(path)

    def _contents(self, name: str) -> StoredContents | None:
        return self._real._contents(name)  # noqa: SLF001 (the same seam)


@contextmanager
def plan() -> Iterator[Plan]:
    """Run the block against a ledger that answers as if it saved, and records nothing.

    After the block, the yielded plan holds the events that would be appended. Files that the block
    writes do appear. What is beside the block uses the ledger itself; the saves of other threads
    are refused meanwhile, with `CommandRejectedError`.

    Raises:
        InvalidValueError: A run is tracked, or a batch is open.
    """
    with _planned(is_of_process=False) as result:
        yield result


@contextmanager
def _planned(*, is_of_process: bool) -> Iterator[Plan]:
    real = instance.current()
    if context.is_tracking or real.sessions.is_batching:
        raise InvalidValueError("plan(): finish() the tracked run, or the batch, first")
    result = Plan()
    folder = Path(tempfile.mkdtemp(prefix="metaledger-plan-"))
    planning = PlanLedger(real, folder)
    hidden = str(folder / "a plan records nothing")
    try:
        with instance.standing_in(planning, real, hidden=hidden, is_of_process=is_of_process):
            try:
                yield result
            finally:
                context.leave(planning)
        result._fill(planning)  # noqa: SLF001 (its own module)
    finally:
        planning.close()
        shutil.rmtree(folder, ignore_errors=True)


def plan_script(path: str | os.PathLike[str], arguments: Sequence[str] = ()) -> Plan:
    """Run a script as `python path arguments` would, and return the plan of its events.

    Its side effects do happen. Output of the script and of programs that it starts goes to standard
    error. Those programs find no ledger and so record nothing. If the script fails, the plan ends
    there and `error` holds the reason.

    Raises:
        MissingFileError: There is no such script.
        InvalidValueError: The file is a notebook.
    """
    script = Path(path)
    if not script.is_file():
        raise MissingFileError(f"plan {script}: there is no such script")
    if script.suffix == ".ipynb":
        raise InvalidValueError(
            f"plan {script}: expected a script, got a notebook; use 'with ln.plan():' in its cells"
        )
    argv, folder = sys.argv, sys.path[:]
    sys.argv = [os.fspath(path), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    error = None
    try:
        with _planned(is_of_process=True) as result, _unheard_by_standard_output():
            try:
                runpy.run_path(os.fspath(path), run_name="__main__")
            except SystemExit as end:
                context.note_exit(end.code)
                if exit_error(end.code) is not None:
                    error = f"the script ended with exit status {end.code}"
            except Exception as raised:  # noqa: BLE001 (a script may raise anything)
                # As at the end of a process: the error is shown, and the current run has failed.
                trace = _from(os.fspath(path), raised)
                sys.excepthook(type(raised), raised.with_traceback(trace), trace)
                error = f"the script raised {type(raised).__name__}: {raised}"
    finally:
        sys.argv, sys.path = argv, folder
    result.error = error
    return result


def _from(path: str, raised: BaseException) -> TracebackType | None:
    """Return the traceback of a script's exception, from the script's own first line on.

    None if the script never started, as with a syntax error.
    """
    trace = raised.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != path:
        trace = trace.tb_next
    return trace


@contextmanager
def _unheard_by_standard_output() -> Iterator[None]:
    """Send the output of the block, and of programs that it starts, to standard error."""
    _flush(sys.stdout)
    try:
        kept = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # one of them is closed, so nobody can print there
        kept = None
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _flush(sys.stderr)
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)


def _flush(stream: TextIO | None) -> None:
    # Python has none where it was closed as the process began.
    if stream is not None:
        with suppress(OSError, ValueError):
            stream.flush()
