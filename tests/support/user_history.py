"""A history of a ledger: users, their lives, and accidents between them, all drawn from a seed.

The same seed gives the same users, deeds and accidents. When these meet depends on how fast each of
them is, so a history is repeated as far as that allows.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import ledger as ln
from tests.support.accidents import Accidents, make_folders
from tests.support.crew import Crew, Line
from tests.support.user_oracle import counted, judge

LONGEST = 70  # steps after which the last accident happens; a history has some more


class History:
    """One history in the working folder, which is empty."""

    def __init__(self, crew: Crew, seed: str, *, without: Sequence[str] = ()) -> None:
        """Draw it.

        Args:
            crew: Who the users are forked from.
            seed: What all is drawn from.
            without: Deeds and accidents that do not happen.
        """
        self.crew = crew
        self.seed = seed
        self.without = without
        self.chance = chance = random.Random(seed)  # noqa: S311 (no secret is made of it)
        # Lives of each user, and what each does in one.
        self.lives = {f"u{number}": chance.randint(1, 3) for number in range(chance.randint(2, 4))}
        self.n_deeds = chance.randint(4, 14)
        self.lines: list[Line] = []

    def play(self, accidents: Accidents) -> list[str]:
        """Let it happen in the ledger of the working folder, and return what is wrong after it."""
        kinds = [it for it in accidents.KINDS if it not in self.without]
        happening = self.chance.choices(
            kinds, [accidents.KINDS[it] for it in kinds], k=self.chance.randint(2, 12)
        )
        moments = sorted(self.chance.randint(1, LONGEST) for _ in happening)
        due = [(moment, kind, self.chance.choice([*self.lives])) for moment, kind in
               zip(moments, happening, strict=True)]  # fmt: skip
        back = self.chance.randint(3, 20)  # steps after which what is away comes back
        n_steps, born = 0, Counter[str]()
        for who in self.lives:
            self._begin(who, born)
        for line in self.crew.listen():
            self.lines.append(line)
            who = line["who"].partition("-")[0]
            if "ended" in line and born[who] < self.lives[who]:
                self._begin(who, born)
            if "end" not in line:
                continue
            n_steps += 1
            if accidents.pending:
                back -= 1
                if not back:
                    accidents.end()
                    back = self.chance.randint(3, 20)
            while due and due[0][0] <= n_steps:
                _, kind, victim = due.pop(0)
                self.lines.append({"who": victim, "accident": kind, "at": line["at"]})
                accidents.happen(kind, f"{victim}-{born[victim]}")
        accidents.end()
        return judge(self.lines, accidents.replacements)

    def _begin(self, who: str, born: Counter[str]) -> None:
        born[who] += 1
        name = f"{who}-{born[who]}"
        self.crew.begin(
            name, seed=f"{self.seed} {name}", deeds=self.n_deeds, without=list(self.without),
            folder=str(Path.cwd()),
        )  # fmt: skip

    @property
    def count(self) -> Counter[str]:
        """How many deeds, kills and acknowledged steps there were."""
        return counted(self.lines)


def prepare(database: str | None = None) -> None:
    """Make a ledger in the working folder, with a storage that copies of the ledger share."""
    ln.init(str(Path("storage").absolute()), database=database)
    make_folders()
    ln.close()
