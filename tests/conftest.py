"""What every test may rely on: no ledger leaks in from outside, and random examples are bounded.

Helpers that build events or commands stand in `tests/support/builders.py`; fixtures of one folder
stand in that folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from ledger.model.tasks import TASK_VARIABLES
from tests.support.chance import new_name
from tests.support.object_store import ObjectStore, SeaweedServer, given_store
from tests.support.patience import PATIENCE
from tests.support.servers import POSTGRES_VARIABLE, PostgresServer, new_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ledger.eventlog.database_url import DatabaseUrl

_FIGURE = "figure"
_LONG = 60  # seconds of tests from which on the slowest files are told
PASS_VARIABLES = ("METALEDGER_RUN", "METALEDGER_INITIATED_BY")

# How long an example takes, or its making, says more about the computer than about the code.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
# The same examples each time, so that a change is never refused for what it did not touch.
settings.register_profile(
    "default", max_examples=25, derandomize=True, database=None, print_blob=True, **_PATIENT
)
# Others each time, in `make test-all` and `make overnight`; a failure tells how to repeat it.
_SEARCHING = {"derandomize": False, "print_blob": True, **_PATIENT}
settings.register_profile("thorough", max_examples=2_000, **_SEARCHING)
settings.register_profile("overnight", max_examples=10_000, **_SEARCHING)
settings.load_profile("default")
# Hypothesis draws constants from the source of all modules that are loaded, and these depend on the
# tests that ran before. Without them a seed gives the same examples in whatever company a test is.
providers._get_local_constants = providers.Constants


def pytest_report_header() -> str:
    """Tell the seed that Python shuffles its sets with, beside those that the plugins tell."""
    return f"PYTHONHASHSEED={os.environ.get('PYTHONHASHSEED', 'random')}"


# Nine tenths of a run waits for a disk that holds what is thrown away a second later. Memory serves
# where there is room enough, and where programs may be started from it.
_MEMORY, _ROOM = "/dev/shm", 4 << 30  # noqa: S108 (tests write there, each into a folder of its own)
if (
    "TMPDIR" not in os.environ
    and os.access(_MEMORY, os.W_OK)
    and shutil.disk_usage(_MEMORY).free > _ROOM
    and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
):
    os.environ["TMPDIR"] = tempfile.tempdir = _MEMORY


# A run in the background has the stop button ignored, and would hand that on to the programs that
# tests start and stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Once a session and not once a test: hypothesis refuses fixtures that are set up between examples.
@pytest.fixture(autouse=True, scope="session")
def _shielded_from_the_shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test, nor a program it starts, meets ledger, keys or task of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("METALEDGER_URL", *PASS_VARIABLES, *TASK_VARIABLES):
            patch.delenv(name, raising=False)
        patch.setenv("METALEDGER_KEY_DIR", str(tmp_path_factory.mktemp("keys")))
        # After these the product goes on without an answer: a test would meet that by luck.
        patch.setattr("ledger.tracking.git.TIME_LIMIT", PATIENCE)
        patch.setattr("ledger.content.hash_cache._LOCK_SECONDS", PATIENCE)
        yield


# A hook and not a fixture, for the same reason.
@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """No test meets the ledger, the run or the settings that another one left behind."""
    instance = sys.modules.get("ledger.places.instance")
    context = sys.modules.get("ledger.tracking.context")
    settings_module = sys.modules.get("ledger.user_settings")
    if instance is not None and instance._current is not None:
        instance._current.handler.tracked = None
        instance._current.close()
        instance._current = instance._stand_in = instance._found_from = None
    if context is not None:
        vars(context.context).update(
            _ledger=None, _source=None, _last=None, _error=None, _request={}, _announced=None
        )
    for name in PASS_VARIABLES:
        os.environ.pop(name, None)
    if settings_module is not None:
        settings_module.settings.__init__()


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """What a sweep did, in words: told once more after all tests."""
    return lambda told: record_property(_FIGURE, told)


def seconds_of_files(reports: Iterable[object]) -> Counter[str]:
    """Return how long each file of tests took, with what was set up and taken down for it."""
    seconds: Counter[str] = Counter()
    for report in reports:
        if isinstance(report, pytest.TestReport):
            seconds[report.nodeid.partition("::")[0]] += report.duration
    return seconds


# Last of all, where it is read: what the sweeps did, and what was left out for want of something.
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the slowest files, the figures of the sweeps, and what was left out."""
    stats = terminalreporter.stats
    # A figure stands in every report after it was told: that of the test and that of its end.
    figures = {
        (report.nodeid, told)
        for reports in stats.values()
        for report in reports
        for name, told in getattr(report, "user_properties", ())
        if name == _FIGURE
    }
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )
    seconds = seconds_of_files(report for reports in stats.values() for report in reports)
    if seconds.total() > _LONG:
        terminalreporter.section(f"the slowest of {len(seconds)} files")
        for path, spent in seconds.most_common(10):
            terminalreporter.line(f"{spent:7.1f} s  {path}")
        terminalreporter.line(f"{seconds.total():7.1f} s  all, shared by the workers")
    if figures:
        terminalreporter.section("what was swept")
    for place, told in sorted(figures):
        terminalreporter.line(f"{place.rpartition('/')[2]}: {told}")
    if reasons:
        terminalreporter.section("LEFT OUT")
    for reason, count in reasons.items():
        terminalreporter.line(f"{count} tests: {reason}")


@pytest.fixture
def ledger_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder of its own, with keys of its own, in which to init a ledger."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("METALEDGER_URL", raising=False)
    monkeypatch.setenv("METALEDGER_KEY_DIR", str(tmp_path / "keys"))
    return folder


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a PostgreSQL server that all tests of this process share."""
    given = os.environ.get(POSTGRES_VARIABLE)
    if given:
        yield given
        return
    server = PostgresServer()
    server.start()
    yield server.url
    server.remove()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[DatabaseUrl]:
    """URL of a schema in which nothing is yet; whatever is made there is taken away."""
    with new_schema(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """An S3 server that all tests of this process share."""
    given = given_store()
    if given is not None:
        yield given
        return
    server = SeaweedServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def bucket(object_store: ObjectStore) -> str:
    """A bucket that all tests of this process share, each below a prefix of its own."""
    return object_store.new_bucket()


@pytest.fixture
def s3_root(object_store: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a storage in which nothing is yet, on a server that the environment names."""
    import s3fs  # noqa: PLC0415 (only where a server is used)

    # Connections are kept by what they were asked for, and that does not name the environment.
    s3fs.S3FileSystem.clear_instance_cache()
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return f"s3://{bucket}/{new_name()}/root"
