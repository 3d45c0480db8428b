"""Users of one ledger and accidents between them: nothing that was acknowledged is lost.

A history is drawn from a seed: processes with threads, tasks, generators and children of their own,
interruptions and kills, and what people do to a ledger's file meanwhile. The seed of a history that
went wrong is told, and repeats it as far as the order of processes allows.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.accidents import Accidents
from tests.support.chance import new_name
from tests.support.crew import Crew, crew
from tests.support.server_accidents import ServerAccidents
from tests.support.servers import PostgresServer
from tests.support.user_history import History, prepare

# Faults that are known and open: on a server, an audit beside a rebuild.
OPEN: tuple[str, ...] = ()
OPEN_ON_SERVERS = (*OPEN, "rebuild")

FEW = range(6)
# Of `make test-all`: others with each seed that it is given.
SEED = os.environ.get("PYTHONHASHSEED", "random")
MANY = 20  # times as many histories, for ten minutes on two cores at rest
ROUNDS = range(10)


@pytest.fixture(scope="module")
def users() -> Iterator[Crew]:
    with crew("tests.support.users") as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of its own, as histories let it crash."""
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def play(
    request: pytest.FixtureRequest,
    users: Crew,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Counter[str]]:
    """Play a history in a folder of its own, on the database that the test is for."""

    def play(seed: str) -> Counter[str]:
        folder = tmp_path / seed.replace(" ", "-")
        folder.mkdir()
        monkeypatch.chdir(folder)
        if request.param == "sqlite":
            history = History(users, seed, without=OPEN)
            prepare()
            wrong = history.play(Accidents(users, history.chance))
        else:
            server = request.getfixturevalue("server")
            schema = f"users_{new_name()}"
            history = History(users, seed, without=OPEN_ON_SERVERS)
            prepare(f"{server.url}?schema={schema}")
            wrong = history.play(ServerAccidents(users, history.chance, server, schema))
        assert not wrong, f"seed {seed!r}:\n" + "\n".join(wrong)
        return history.count + Counter({"histories": 1})

    return play


def told(count: Counter[str]) -> str:
    return (
        f"{count['histories']} histories, {count['deeds']:,} deeds, {count['kills']} kills, "
        f"{count['interrupted']} interruptions, {count['acknowledged']:,} acknowledged, none lost"
    )


@pytest.mark.parametrize("play", ["sqlite", "postgres"], indirect=True)
def test_nothing_that_users_were_told_is_lost(play):
    for number in FEW:
        play(f"{number}")


@pytest.mark.slow
@pytest.mark.parametrize("round_number", ROUNDS)
@pytest.mark.parametrize("play", ["sqlite", "postgres"], indirect=True)
def test_nothing_that_users_were_told_is_lost_in_many_histories(play, round_number, figure):
    count: Counter[str] = Counter()
    for number in range(MANY):
        count += play(f"{SEED} {round_number} {number}")
    figure(told(count))
