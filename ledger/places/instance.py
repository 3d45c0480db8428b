"""One open ledger: its place, its database, its content stores, its caches.

`current()` is the ledger that the public classes use: the one that `connect()` named, else the one
found from the working directory when it is first needed.
"""

from __future__ import annotations

import atexit
import importlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from ledger import forks
from ledger.engine.database import Session, WriteSession
from ledger.engine.handler import Handler
from ledger.engine.sessions import Sessions
from ledger.errors import CommandRejectedError
from ledger.model.events import BlobRecorded
from ledger.model.ids import Position, stream_id
from ledger.model.schema import Catalogue
from ledger.model.times import now_micros
from ledger.places.actor import current_actor
from ledger.places.caches import cache_folder
from ledger.places.catalogues import Catalogues
from ledger.places.config import Place
from ledger.places.databases import name_of, open_database
from ledger.places.discovery import VARIABLE, locate
from ledger.places.marks import Marks
from ledger.places.stand_ins import StandIn, around, require_outside, stand_ins

if TYPE_CHECKING:
    from ledger.content.download import ContentCache
    from ledger.content.hash_cache import HashCache
    from ledger.content.located import LocatedContent
    from ledger.content.store import ContentStore
    from ledger.engine.similar_names import NameSearch, WordSearch

S = TypeVar("S")


class Ledger:
    """An open ledger."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.database = open_database(place)
        self.sessions = Sessions(self.database, ledger=place.configuration.id)
        self.sessions.guard = partial(require_outside, self)
        self.handler = Handler(self.sessions, actor=current_actor())
        self.catalogues = Catalogues(self.sessions)
        self.handler.enter = self._entered
        self.verified: dict[str, Any] = {}
        self._storage = place.storage_root
        self._stores: dict[str | None, ContentStore] = {}
        self._hash_cache: HashCache | None = None
        self._content_cache: ContentCache | None = None
        self.marks = Marks(self.database, ledger=place.configuration.id, shown=name_of(place))
        self._searches: dict[tuple[str, str], Any] = {}
        forks.made_anew(self._renew_lock)
        _opened.add(self)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Ledger '{self.place.configuration.name}' in {self.place.root}>"

    @staticmethod
    def now() -> int:
        """Return the present in microseconds since 1970 UTC, by the clock of this computer."""
        return now_micros()

    def reading(self) -> AbstractContextManager[Session | WriteSession]:
        """Lend log and read models; inside a batch they include the events of the batch."""
        return self.sessions.reading()

    def writing(self) -> AbstractContextManager[WriteSession]:
        """Lend an append transaction; inside a batch, a part of it that can fail alone."""
        return self.sessions.writing()

    def catalogue(self, at: int | None = None) -> Catalogue:
        """Return the registries of the ledger as of a position, or now."""
        return self.catalogues.at(at)

    def head(self) -> Position:
        """Return the position of the last recorded event; 0 for an empty log."""
        with self.reading() as session:
            return session.log.head()

    @property
    def storage(self) -> str:
        """Root of the default storage."""
        return self._storage

    def store(self, root: str | None = None) -> ContentStore:
        """Return the content store of a storage named as in events; by default the ledger's own."""
        from ledger.content.backends import open_store  # noqa: PLC0415

        with self._lock:
            if root not in self._stores:
                reached = self.storage if root is None else self.place.resolved(root)
                self._stores[root] = open_store(reached)
            return self._stores[root]

    def content(self, stated: Mapping[str, Any]) -> LocatedContent:
        """Return the content of an artifact, given its row or another mapping of these fields."""
        from ledger.content.located import LocatedContent  # noqa: PLC0415

        return LocatedContent(self.store(stated["storage"]), stated)

    @property
    def cache_folder(self) -> Path:
        """The folder of caches, which this process may write; disposable."""
        return cache_folder(self.place)

    @property
    def hash_cache(self) -> HashCache:
        """Remembered hashes of unchanged files; disposable."""
        from ledger.content.hash_cache import HashCache  # noqa: PLC0415

        with self._lock:
            if self._hash_cache is None:
                self._hash_cache = HashCache(self.cache_folder / "hashes.sqlite3")
            return self._hash_cache

    def keep_hashes(self) -> None:
        """Write the remembered hashes that are still in memory, if there are any."""
        if self._hash_cache is not None:
            self._hash_cache.flush()

    @property
    def content_cache(self) -> ContentCache:
        """Content fetched from elsewhere; disposable."""
        from ledger.content.download import ContentCache  # noqa: PLC0415

        with self._lock:
            if self._content_cache is None:
                self._content_cache = ContentCache(self.cache_folder / "content")
            return self._content_cache

    def _entered(self, offer: str) -> Any:
        # Loaded where it is needed: most processes are started in no pass.
        joining = importlib.import_module("ledger.tracking.joining")
        return joining.entered(self, offer)

    def name_search(self, registry: str) -> NameSearch:
        """Return the index of similar names of a registry."""
        from ledger.engine.similar_names import NameSearch  # noqa: PLC0415

        def made(sessions: Sessions, registry: str) -> NameSearch:
            return NameSearch(sessions, registry, lambda: self.cache_folder / "names")

        return self._search("names", made, registry)

    def forget_names(self) -> None:
        """Remove the kept names of every registry, on the disk and in memory."""
        with self._lock:
            self._searches.clear()
        shutil.rmtree(self.cache_folder / "names", ignore_errors=True)

    def word_search(self, registry: str) -> WordSearch:
        """Return the index of the words in a registry's names, keys and descriptions."""
        from ledger.engine.similar_names import WordSearch  # noqa: PLC0415

        return self._search("words", WordSearch, registry)

    def _search(self, kind: str, make: Callable[[Sessions, str], S], registry: str) -> S:
        with self._lock:
            if (kind, registry) not in self._searches:
                self._searches[kind, registry] = make(self.sessions, registry)
            found: S = self._searches[kind, registry]
            return found

    def blob(self, blob: str | None) -> str | None:
        """Return a text that the log keeps, by its hash; None if `blob` is None."""
        if blob is None:
            return None
        with self.reading() as session:
            for recorded in session.log.stream(stream_id(["blob", blob])):
                if isinstance(recorded.event, BlobRecorded):
                    return recorded.event.text
        return None

    def close(self) -> None:
        """Close every connection; the ledger opens again at its next use."""
        with self._lock:
            if self._hash_cache is not None:
                self._hash_cache.close()
                self._hash_cache = None
            self._searches.clear()
        self.database.close()
        self.marks.look_again()
        # Whatever is there when it opens again is compared again.
        self.sessions.expected = self.place.configuration.id


_opened: WeakSet[Ledger] = WeakSet()


# Registered before anything that saves at the exit, and so called after it. The last connection
# writes SQLite's log back into the file: whoever copies the file afterwards copies everything.
@atexit.register
def _close_at_exit() -> None:
    for ledger in list(_opened):
        with suppress(Exception):
            ledger.close()


_current: Ledger | None = None
# What the variable said before the first plan that is open.
_variable: str | None = None
_found_from: tuple[str, str | None] | None = None


# Without this lock two threads could open the ledger twice, with separate batches and runs, and
# would wait for each other.
_finding: threading.RLock


def _renew_finding() -> None:
    global _finding  # noqa: PLW0603 (one for all)
    _finding = threading.RLock()


forks.made_anew(_renew_finding)


def current() -> Ledger:
    """Return the ledger in use; find one if none was named.

    Raises:
        LedgerNotFoundError: There is none here; the message names `metaledger init`.
    """
    global _current, _found_from
    with _finding:
        if stand_ins:
            return _beside_plans()
        here = _here()
        if _current is not None and (_found_from is None or _found_from == here):
            return _current
        if _current is not None and not here[0]:
            # The working folder is gone: nothing says that another ledger is meant.
            return _current
        if _current is not None and _current.handler.is_tracking:
            # A script that changes its working directory during a run keeps its ledger.
            return _current
        _found_from, _current = here, _used(locate())
        return _current


def is_open() -> bool:
    """Return whether a ledger is in use, without looking for one."""
    return _current is not None or bool(stand_ins)


def opened_at(place: Place) -> list[Ledger]:
    """Return the ledgers of a place that this process has open, without looking for one."""
    return [it for it in list(_opened) if it.place.folder == place.folder]


def connect(place: str | os.PathLike[str] | None = None) -> Ledger:
    """Use the ledger at this place from now on, whatever the working directory is.

    Raises:
        CommandRejectedError: A plan is open, and the place is another ledger than the plan's.
        LedgerNotFoundError: There is no ledger at the place.
    """
    global _current, _found_from  # noqa: PLW0603 (as above)
    with _finding:
        if stand_ins and place is None:
            return _beside_plans()
        found = locate(place)
        if (used := around()) is not None:
            if _is_same(used.ledger.place, found):
                return _beside_plans()
            raise CommandRejectedError(
                f"connect: {found.root} is another ledger than the one of the plan that is open; "
                "end the plan first"
            )
        _current = _used(found)
        _found_from = None if place is not None else _here()
        return _current


def _here() -> tuple[str, str | None]:
    # Every query comes here: a Path would cost more than all the rest of finding the ledger.
    try:
        folder = os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        folder = ""
    return folder, os.environ.get(VARIABLE)


def _used(place: Place) -> Ledger:
    if _current is not None and _is_same(_current.place, place):
        return _current
    # Records of the previous ledger keep it; it opens again when one of them needs it.
    close()
    return Ledger(place)


def _is_same(one: Place, other: Place) -> bool:
    # The id counts too: the folder may hold a new ledger after the old one was deleted.
    return one.root == other.root and one.configuration.id == other.configuration.id


def _beside_plans() -> Ledger:
    used = around()
    if used is None and _current is not None:
        return _current
    found: Ledger = stand_ins[0].real if used is None else used.ledger
    return found


@contextmanager
def standing_in(
    ledger: Ledger, real: Ledger, *, hidden: str, is_of_process: bool
) -> Iterator[None]:
    """Make `ledger` the one in use inside the block, whatever the working directory is there.

    Args:
        ledger: It.
        real: The ledger for which it stands in.
        hidden: A place without a ledger. Programs that the block starts find none.
        is_of_process: Whether threads that begin meanwhile are inside.
    """
    global _variable  # noqa: PLW0603 (as above)
    used = StandIn(ledger, real, is_of_process=is_of_process)
    with _finding:
        if not stand_ins:
            _variable = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = hidden
        stand_ins.append(used)
    used.block.begin()
    try:
        yield
    finally:
        used.block.end()
        with _finding:
            stand_ins.remove(used)
            if not stand_ins and _variable is None:
                os.environ.pop(VARIABLE, None)
            elif not stand_ins and _variable is not None:
                os.environ[VARIABLE] = _variable


def close() -> None:
    """Close the connections of the ledger in use; a tracked run stays tracked."""
    used = around()
    if used is not None:
        used.ledger.close()
    elif _current is not None:
        _current.close()
