"""A ledger in a working folder of its own, for tests that go through the public door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ledger as ln
from ledger.tracking.context import context
from ledger.user_settings import settings
from tests.support.door import label


@pytest.fixture(params=["sqlite", "postgres"])
def here(request: pytest.FixtureRequest, ledger_folder: Path) -> Iterator[Path]:
    """The working folder, with an empty ledger whose storage is `storage/` in it.

    On both databases: in a file below the folder, and on a server.

    The ledger is found from the folder, not named; settings and the run in hand end with the test.
    """
    sections = (settings, settings.creation, settings.transform)
    before = [dict(section._values) for section in sections]
    is_on_server = request.param == "postgres"
    ln.init("storage", database=str(request.getfixturevalue("postgres")) if is_on_server else None)
    ln.connect()
    yield ledger_folder
    if context.is_tracking:
        ln.finish()
    ln.close()
    for section, values in zip(sections, before, strict=True):
        section._values.update(values)


@pytest.fixture
def refuses(here: Path) -> Iterator[Callable[..., ln.errors.LedgerError]]:
    """Claim that a call is refused by our own tree with these words, and changes nothing."""

    def stored() -> list[Path]:
        # A process marks a storage as used before it stores anything there.
        found = (here / "storage").rglob("*")
        return sorted(it for it in found if not it.is_dir() and not it.match("used-by-*.json"))

    def check(call: Callable[[], object], kind: str, *words: str) -> ln.errors.LedgerError:
        before = ln.head(), stored()
        with pytest.raises(ln.errors.LedgerError) as caught:
            call()
        assert type(caught.value).__name__ == kind, repr(caught.value)
        message = str(caught.value)
        for word in words:
            assert word in message, message
        assert message.isprintable() or "\n" in message
        assert not message.endswith(".")
        assert (ln.head(), stored()) == before
        return caught.value

    yield check
    assert label("the ledger works on").is_saved
