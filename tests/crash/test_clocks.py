"""Clocks that are wrong, jump, and disagree: recorded times increase, and each names one position.

Several programs write at once, each with a clock of its own that is set back and forward meanwhile.
Here the clock that the program reads is told what to show; in `make test-all` libfaketime tells the
whole process, so that nothing can have looked past it.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from itertools import pairwise
from pathlib import Path

import pytest

import ledger as ln
from ledger.places import instance
from tests.support import processes
from tests.support.judge import assert_audit_passes, label_names

FAKETIME = next(iter(sorted(Path("/usr").glob("lib*/**/faketime/libfaketimeMT.so.1"))), None)
DAY = 86_400

# Each line of OFFSETS is a program's clock: seconds beside the true time, one for each save.
WRITING = """
import json, time
OFFSETS = json.loads(open("offsets.json").read())[ME]
true = time.time_ns
if os.environ.get("FAKETIME_TIMESTAMP_FILE"):
    def set_clock(offset):
        with open(os.environ["FAKETIME_TIMESTAMP_FILE"], "w") as stream:
            stream.write(f"{offset:+d}")
else:
    def set_clock(offset):
        time.time_ns = lambda: true() + offset * 10**9
barrier()
for i, offset in enumerate(OFFSETS):
    set_clock(offset)
    ln.ULabel(name=f"{ME} {i}").save()
    if i % 5 == 4:
        with ln.batch():
            for j in range(3):
                ln.ULabel(name=f"{ME} {i} {j}").save()
set_clock(0)
"""


def offsets(saves: int) -> list[list[int]]:
    """Clocks that are right, late, early, that jump, and that run backwards."""
    chance = random.Random(saves)  # noqa: S311 (not a secret)
    return [
        [0] * saves,
        [-400 * DAY] * saves,
        [chance.choice([-1, 1]) * chance.randrange(10 * DAY) for _ in range(saves)],
        [30 * DAY - 7_000 * i for i in range(saves)],
    ]


def write(saves: int, *, is_faked: bool) -> None:
    table = offsets(saves)
    Path("offsets.json").write_text(json.dumps(table))
    programs = []
    for me in range(len(table)):
        variables = {}
        if is_faked:
            Path(f"clock{me}").write_text("+0")
            variables = {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(Path(f"clock{me}").absolute()),
                "FAKETIME_NO_CACHE": "1",
                # Only the time of day is set: what measures how long something takes is not.
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        programs.append(processes.start(WRITING, me=me, variables=variables))
    processes.release(programs)
    processes.ended(programs)


def judge(saves: int) -> str:
    expected = {f"{me} {i}" for me in range(4) for i in range(saves)}
    expected |= {f"{me} {i} {j}" for me in range(4) for i in range(4, saves, 5) for j in range(3)}
    assert label_names("") == expected
    with instance.current().reading() as session:
        events = list(session.log.read())
    # The clocks were really wrong, as what each event says of itself shows.
    said = [event.event.at for event in events]
    assert max(said) - min(said) > 400 * DAY * 10**6
    assert sum(after < before for before, after in pairwise(said)) > saves / 2
    # And the log's own times were not.
    times = [event.recorded_at for event in events]
    assert all(before < after for before, after in pairwise(times))
    micro = dt.timedelta(microseconds=1)
    for event in events:
        moment = ln.as_of(event.position).recorded_at
        assert ln.as_of(moment).position == event.position
        assert ln.as_of(moment - micro).position == event.position - 1
    assert ln.as_of(moment.isoformat()).position == events[-1].position
    assert_audit_passes()
    # Whoever has the right time goes on from there.
    label = ln.ULabel(name="with the right time").save()
    assert ln.as_of(moment).ULabel.filter(name=label.name).count() == 0
    assert ln.as_of(ln.head()).ULabel.filter(name=label.name).count() == 1
    return f"{len(events)} events by four clocks"


@pytest.fixture
def here(ledger_folder):
    ln.init("storage")
    ln.connect(".")
    yield ledger_folder
    ln.close()


@pytest.mark.usefixtures("here")
def test_clocks_that_are_told_what_to_show_leave_times_that_increase():
    write(20, is_faked=False)
    judge(20)


@pytest.mark.slow
@pytest.mark.skipif(
    FAKETIME is None, reason="libfaketime is not installed (Debian: apt install libfaketime)"
)
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("saves", [50, 250])
def test_clocks_of_whole_processes_leave_times_that_increase(saves, figure):
    write(saves, is_faked=True)
    figure(judge(saves))
