"""Users of one ledger: what each of them does, and what they say about it.

1. Everything that a user makes has a name of its own, so that it can be looked for afterwards. A
   few labels are everybody's, and are asked for again and again.
2. A step of a user says before it begins what will be so of what, and says afterwards how it ended:
   done (acknowledged), undone (an error that nothing was recorded with), or nobody knows.
3. What a user does is drawn from the seed of their life alone.
4. The stop button reaches what a user does, never what they say about it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ledger as ln
from ledger.errors import CommandRejectedError, LedgerError, NotFoundError
from tests.support.stop_button import Stop
from tests.support.user_upkeep import UPKEEP, Upkeep

N_COMMON = 12  # labels that are everybody's
POINTS = 800  # of the watched code; most deeds have fewer
# Shares of deeds that are interrupted, and that are killed, at such a point.
INTERRUPTED, KILLED = 0.12, 0.04

Say = Callable[..., None]


class Changed(Exception):  # noqa: N818 (stands for whatever goes wrong in a script)
    """A user has second thoughts within a batch."""


class User:
    """One life of a user.

    Attributes:
        who: Their name and which life of theirs it is.
        chance: What decides for them.
    """

    def __init__(self, who: str, seed: str, say: Say) -> None:
        self.who = who
        self.chance = random.Random(seed)  # noqa: S311 (no secret is made of it)
        self.say = say
        self._n_steps = self._n_names = 0
        # Labels that this user made and may change, by what they were first called.
        self.mine: list[tuple[str, str]] = []
        # Who is waited for once the deed is over, however it ended.
        self.threads: list[threading.Thread] = []
        self.children: list[int] = []
        self.upkeep = Upkeep(self.chance, say, who)

    # --- saying -----------------------------------------------------------------------------------

    def new_name(self) -> str:
        """Return a name that nobody else gives to anything."""
        self._n_names += 1
        return f"{self.who}.{self._n_names}"

    def new_names(self) -> list[str]:
        return [self.new_name() for _ in range(self.chance.randint(1, 4))]

    @contextlib.contextmanager
    def step(self, **states: str) -> Iterator[None]:
        """Say what the block makes so, all of it or nothing, and how it ended.

        Args:
            states: What each thing, named as it was first, is called then; "" where it is gone.
        """
        self._n_steps += 1
        number = f"{self.who}/{os.getpid()}/{self._n_steps}"
        self.say(step=number, states=states)
        try:
            yield
        except Changed:
            self.say(step=number, end="undone")
        except LedgerError as error:
            self.say(step=number, end=ended(error), why=f"{type(error).__name__}: {error}"[:400])
        except Exception:  # noqa: BLE001 (no user should meet one)
            told = traceback.format_exc()[-2_500:]
            self.say(step=number, end="unknown", trouble="an error of others", text=told)
        except BaseException as stop:
            self.say(step=number, end="unknown", why=type(stop).__name__)
            raise
        else:
            self.say(step=number, end="done")

    # --- doing ------------------------------------------------------------------------------------

    def do(self, kind: str) -> None:
        """Do something; the stop button or a kill may come in the middle."""
        deed = getattr(self, kind, None) or getattr(self.upkeep, kind)
        drawn, stop = self.chance.random(), None
        point = self.chance.randrange(POINTS)
        if drawn < INTERRUPTED + KILLED:
            stop = Stop(point, signal.SIGINT if drawn < INTERRUPTED else signal.SIGKILL)
        try:
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                sys.setprofile(stop)
                with self.step():
                    deed()
            finally:
                sys.setprofile(None)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        except KeyboardInterrupt:
            sys.setprofile(None)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        while self.threads:
            thread = self.threads.pop()
            # One that was interrupted before it began never begins.
            if thread.ident is not None:
                thread.join()
        while self.children:
            os.waitpid(self.children.pop(), 0)

    def save(self, names: list[str], *, is_batch: bool, changes: bool) -> None:
        """Save labels one after another, or in a batch that the user may think better of."""
        if not is_batch:
            for name in names:
                with self.step(**{name: name}):
                    ln.ULabel(name=name).save()
            return
        with self.step(**{name: name for name in names}), ln.batch():
            for name in names:
                ln.ULabel(name=name).save()
            if changes:
                raise Changed

    def drawn(self) -> tuple[list[str], bool, bool]:
        """Draw what `save` is given."""
        return self.new_names(), self.chance.random() < 0.5, self.chance.random() < 0.3

    def saved(self, drawn: tuple[list[str], bool, bool]) -> None:
        names, is_batch, changes = drawn
        self.save(names, is_batch=is_batch, changes=changes)

    # --- deeds ------------------------------------------------------------------------------------

    def label(self) -> None:
        name = self.new_name()
        with self.step(**{name: name}):
            self.mine.append((name, ln.ULabel(name=name).save().uid))

    def common(self) -> None:
        name = f"common {self.chance.randrange(N_COMMON)}"
        with self.step(**{name: name}):
            ln.ULabel(name=name).save()

    def batch(self) -> None:
        names, _, changes = self.drawn()
        self.save(names, is_batch=True, changes=changes)

    def change(self) -> None:
        """Rename a label of one's own, take it away, bring it back, or have it forgotten."""
        if not self.mine:
            return
        name, uid = self.chance.choice(self.mine)
        drawn = self.chance.random()
        found = ln.ULabel.filter(uid=uid).with_trash().all()
        if not found:
            return
        (label,) = found
        if label.is_trashed:
            with self.step(**{name: label.name}):
                label.restore()
        elif drawn < 0.5:
            with self.step(**{name: f"{label.name}'"}):
                label.name = f"{label.name}'"
                label.save()
        elif drawn < 0.75:
            with self.step(**{name: f"{label.name} (trash)"}):
                label.delete()
        elif drawn < 0.85:
            with self.step(**{name: ""}):
                label.delete(permanent=True)
        else:
            with self.step(**{name: ""}):
                ln.erase(label, reason="asked for")

    def file(self) -> None:
        """Save a file, and mark it with a label."""
        key, name = f"{self.new_name()}.txt", self.new_name()
        path = Path("in", key)
        path.write_text(f"content of {key} " * self.chance.randint(1, 40))
        with self.step(**{key: key}):
            ln.Artifact(path, key=key).save()
        with self.step(**{name: name}):
            ln.ULabel(name=name).save()
        found = ln.Artifact.filter(key=key).all(), ln.ULabel.filter(name=name).all()
        if all(found):
            pair = f"{key} with {name}"
            with self.step(**{pair: pair}):
                found[0][0].labels.add(found[1][0])

    def threads_at_once(self) -> None:
        drawn = [self.drawn() for _ in range(self.chance.randint(2, 3))]
        for it in drawn:
            self.threads.append(threading.Thread(target=self.saved, args=(it,)))
            self.threads[-1].start()
        self.saved(self.drawn())
        for thread in self.threads:
            thread.join()

    def tasks(self) -> None:
        """Save in tasks of one thread, each with a batch that is open while others go on."""
        drawn = [self.drawn() for _ in range(self.chance.randint(2, 3))]

        async def save(names: list[str], _: bool, changes: bool) -> None:  # noqa: FBT001
            with self.step(**{name: name for name in names}), ln.batch():
                for name in names:
                    ln.ULabel(name=name).save()
                    await asyncio.sleep(0)
                if changes:
                    raise Changed

        async def all_of_them() -> None:
            await asyncio.gather(*(save(*it) for it in drawn), return_exceptions=True)

        asyncio.run(all_of_them())

    def generator(self) -> None:
        """Leave a generator in the middle of its batch, and save something else meanwhile."""
        own, (other,) = self.new_names(), [self.new_name()]
        goes_on = self.chance.random() < 0.5

        def produce() -> Iterator[None]:
            with ln.batch():
                for name in own:
                    ln.ULabel(name=name).save()
                    yield

        with self.step(**{name: name for name in own}):
            producing = produce()
            next(producing)
            with self.step(**{other: other}):
                ln.ULabel(name=other).save()
            if not goes_on:
                producing.close()
                raise Changed
            for _ in producing:
                pass

    def fork(self) -> None:
        """Let a child save, perhaps while a thread does, perhaps out of an open batch."""
        of_child, of_thread, of_batch = self.drawn(), self.drawn(), self.new_names()
        with_thread, within, is_killed = (self.chance.random() < it for it in (0.4, 0.3, 0.3))
        if with_thread:
            self.threads.append(threading.Thread(target=self.saved, args=(of_thread,)))
            self.threads[-1].start()
        if not within:
            self._fork(of_child, is_killed=is_killed)
            return
        with self.step(**{name: name for name in of_batch}), ln.batch():
            for name in of_batch:
                ln.ULabel(name=name).save()
            self._fork(of_child, is_killed=is_killed)

    def _fork(self, drawn: tuple[list[str], bool, bool], *, is_killed: bool) -> None:
        child = os.fork()
        if child:
            self.children.append(child)
            return
        try:
            sys.setprofile(None)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self.saved(drawn)
            if is_killed:
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(0)

    def plan(self) -> None:
        """Save something in a plan alone."""
        name = self.new_name()
        with self.step(**{name: ""}), ln.plan():
            ln.ULabel(name=name).save()

    def track(self) -> None:
        """Save within a run, which may stay open over the next deeds."""
        ends = self.chance.random() < 0.7
        ln.track("pass", key="pass")
        self.save(self.new_names(), is_batch=self.chance.random() < 0.5, changes=False)
        if ends:
            ln.finish()

    def ask(self) -> None:
        """Look at what is there."""
        ln.ULabel.filter(name__startswith="common").all()
        ln.ULabel.filter().count()


def ended(error: LedgerError) -> str:
    """Return what an error says about the step that it ended."""
    if isinstance(error, CommandRejectedError | NotFoundError):
        return "undone"
    return "undone" if "nothing was recorded" in str(error) else "unknown"


# Deeds and how often each is done.
DEEDS = {
    "label": 6, "common": 4, "batch": 4, "change": 6, "file": 3, "threads_at_once": 3, "tasks": 2,
    "generator": 2, "fork": 2, "plan": 1, "track": 2, "ask": 2, **UPKEEP,
}  # fmt: skip


def live(task: dict[str, Any], say: Say) -> None:
    """Do as many deeds as the task says, of the kinds that it allows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["METALEDGER_USER"] = task["who"]
    user = User(task["who"], task["seed"], say)
    user.upkeep.connect()
    kinds = [it for it in DEEDS if it not in task["without"]]
    for kind in user.chance.choices(kinds, [DEEDS[it] for it in kinds], k=task["deeds"]):
        say(deed=kind)
        user.do(kind)
