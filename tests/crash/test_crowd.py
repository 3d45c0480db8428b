"""Sixteen processes at one ledger, who are killed again and again, each in the middle of anything.

They rename, merge, withdraw and erase each other's records under the same few names, and look after
the ledger meanwhile. What was acknowledged is there; the log, the read models and the audit agree.
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

import ledger as ln
from ledger.places import instance
from ledger.places.databases import is_on_server
from tests.support.accidents import make_folders
from tests.support.crew import Crew, Line, crew
from tests.support.judge import assert_log_and_read_models_agree

N_MEMBERS = 16
SEED = os.environ.get("PYTHONHASHSEED", "random")
PAUSE = 40  # lines at most between two kills
# On a server, an audit beside a rebuild does not see one moment of the tables yet.
OPEN_ON_SERVERS = ("rebuild",)


@pytest.fixture(params=["sqlite", "postgres"])
def folder(request: pytest.FixtureRequest, ledger_folder: Path) -> Path:
    """A ledger without anything in it, in the working folder."""
    url = None if request.param == "sqlite" else str(request.getfixturevalue("postgres"))
    ln.init(str(Path("storage").absolute()), database=url)
    make_folders()
    return ledger_folder


def lived(seed: str, n_kills: int, without: Sequence[str]) -> list[Line]:
    """Let a crowd live, kill so many of them one after another and all in the end."""
    chance = random.Random(seed)  # noqa: S311 (no secret is made of it)
    lines: list[Line] = []
    with crew("tests.support.crowd") as everybody:
        names = [f"c{number}-0" for number in range(N_MEMBERS)]
        for name in names:
            begin(everybody, name, seed, without)
        left = chance.randint(1, PAUSE) + N_MEMBERS
        for line in everybody.listen():
            lines.append(line)
            if "ended" in line and n_kills > 0:
                member, _, life = line["who"].partition("-")
                begin(everybody, f"{member}-{int(life) + 1}", seed, without)
            left -= 1
            if left <= 0 and everybody.alive:
                left, n_kills = chance.randint(1, PAUSE), n_kills - 1
                chosen = chance.choice(sorted(everybody.alive))
                for who in [chosen] if n_kills > 0 else list(everybody.alive):
                    everybody.send(who, signal.SIGKILL)
    return lines


def begin(everybody: Crew, who: str, seed: str, without: Sequence[str]) -> None:
    everybody.begin(who, seed=f"{seed} {who}", folder=str(Path.cwd()), without=[*without])


def judge(lines: list[Line], kept: list[str]) -> list[str]:
    """Return everything that is wrong afterwards."""
    wrong = [f"{it['who']}: {it['trouble']}: {it['text']}" for it in lines if "trouble" in it]
    wrong += [f"{it['who']}: {it['why']}" for it in lines if " for 60 s" in it.get("why", "")]
    kept += [it["text"] for it in lines if it.get("done") == "checkpoint"]
    with instance.current().reading() as session:
        rows = session.models.find("ulabel", ever=True)
        known = {it["uid"] for it in rows}
        known |= {it["uid"] for it in session.models.find("artifact", ever=True)}
        live = Counter(it["name"] for it in session.models.find("ulabel") if not it["state"])
    wrong += [f"{name} is the name of {n} labels" for name, n in live.items() if n > 1]
    for line in lines:
        there = set(line.get("uids", ())) & known
        if line.get("done") == "undone":
            wrong += [f"{line['who']}: {uid} stayed, its batch was undone" for uid in there]
        elif len(there) < len(set(line.get("uids", ()))):
            wrong.append(f"{line['who']}: lost {set(line['uids']) - there}, {line['done']}")
    latest = Counter(it.key for it in ln.Artifact.filter(is_latest=True) if it.key is not None)
    wrong += [f"{key} is the key of {n} latest" for key, n in latest.items() if n > 1]
    report = ln.audit(checkpoints=kept, content=True)
    wrong += [f"the audit found {it}"[:500] for it in report.findings]
    assert_log_and_read_models_agree()
    return wrong


def require_well(seed: str, n_kills: int) -> str:
    kept = [str(ln.checkpoint())]
    place = instance.current().place
    ln.close()
    lines = lived(seed, n_kills, OPEN_ON_SERVERS if is_on_server(place) else ())
    wrong = judge(lines, kept)
    assert not wrong, f"seed {seed!r}:\n" + "\n".join(wrong[:20])
    kills = sum(it.get("ended") == -signal.SIGKILL for it in lines)
    acknowledged = sum("deed" in it and "refused" not in it for it in lines)
    refused = sum("refused" in it for it in lines)
    return f"{kills} kills, {acknowledged:,} acknowledged, {refused:,} refused, none lost"


@pytest.mark.usefixtures("folder")
def test_a_crowd_loses_nothing_when_some_are_killed():
    require_well("0", 6)


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_a_crowd_loses_nothing_when_hundreds_are_killed(figure):
    figure(require_well(SEED, 300))
