"""When is a second pass the same run, and when is it something new?

A `Passage` is one execution of a script between `track()` and its end. It knows the intents of
the run that it goes through, and tells for each new intent what must happen first. It is pure: it
never reads or writes. Its caller supplies the known intents of a run, and records the steps that
the passage asks for.

1. An intent that the run knows does nothing and has its recorded outcome, even if the record looks
   different today.
2. Going through a finished run, the first unknown intent with an effect is a fork: a new run.
3. Going through an unfinished run, the first unknown intent with an effect continues that run
   where every recorded intent was passed before it, and is a fork where one was not.
   The same holds for a pass with a run of its own that another pass has joined.
4. An intent without effect is remembered, and travels with the next event of the run.
5. Intents passed before a fork are the fork's own, without effect; artifacts that were read or made
   again before it are the fork's inputs and reproductions.
6. Equal intents are numbered in the order in which they come, refused ones too: the script did ask.
   A batch that fails gives its numbers back, also the numbers of known intents: the next pass, in
   which the same batch fails, numbers the later intents alike.
   Threads of a process take numbers as they come; the knowledge of a run does not depend on the
   order of different intents. The caller lets one thread in at a time.
7. Several processes can share a pass. Each has a passage and numbers of its own. One that meets the
   run of its pass joins it. There it knows what was recorded before the pass. An intent that
   another process of the pass had is decided on anew, and takes the next free number if it has an
   effect.
"""

from __future__ import annotations

import enum
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from ledger.model.canonical import Json
from ledger.model.events import Noted
from ledger.model.ids import intent_key, subject_key

# How far ahead an expected intent is looked for: the first of a bulk is asked for before the others
# are expected.
_NEAR = 4


class Case(enum.StrEnum):
    """The kinds of a pass."""

    NEW = "new run"
    REPLAY = "replay"
    RESUMABLE = "replay of an unfinished run"
    CONTINUED = "continued an unfinished run"
    FORK = "new run, from where it differed"


class NextStep(enum.Enum):
    """The event that must be recorded before an effect."""

    NOTHING = enum.auto()
    RESUME = enum.auto()
    FORK = enum.auto()


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """The request of one save, as a run knows it."""

    kind: str
    subject: Json
    fields: dict[str, Json]
    occurrence: int
    key: str
    subject_key: str

    def identity(self, run: str) -> list[Json]:
        """Return the identity of the command that this intent is in a run."""
        return ["intent", run, self.kind, self.subject, self.fields, self.occurrence]


class Passed(msgspec.Struct, frozen=True):
    """An intent that the pass has behind it, with its outcome."""

    intent: Intent
    outcome: str

    @property
    def noted(self) -> Noted:
        """The same as an event carries it."""
        return (self.intent.key, self.intent.subject_key, self.outcome)


class Made(NamedTuple):
    """The registry of a record that an intent created, and whether it is a new version."""

    registry: str
    is_version: bool


class Mark(NamedTuple):
    """The state of a passage, to return to where a transaction fails."""

    values: dict[str, Any]
    n_pending: int
    n_passed: int


class Passage:
    """One pass through a run.

    Attributes:
        case: The kind of the pass so far.
        run: Uid of the run that it replays, continues or is.
        n_events: How many events it has recorded.
        n_known: How many of its intents were recorded already.
        n_idle: How many had no effect.
        n_new: How many records of each registry it made.
        n_versions: How many of these are new versions of an earlier one.
        heard: Position up to which it has heard of other passes through a run of its own.
        owes: Whether it has joined the run of its pass, and that run lacks what was read and made
            again before.
    """

    def __init__(self, case: Case, run: str, known: Iterable[Noted] = ()) -> None:
        self.case = case
        self.run = run
        self.n_events = 0
        self.n_known = 0
        self.n_idle = 0
        # Replaced and never changed, so that a passage can return to a mark.
        self.n_new: Counter[str] = Counter()
        self.n_versions: Counter[str] = Counter()
        self.heard = 0
        self.owes = False
        self._n_others = 0
        self.passed: list[Passed] = []
        self._counts: Counter[str] = Counter()
        self._subject_counts: Counter[str] = Counter()
        self._counted: list[tuple[str, str]] = []
        self._expected: deque[tuple[str, Intent]] = deque()
        self._pending: list[Noted] = []
        self._known: dict[str, str] = {}
        self._by_subject: dict[str, list[str]] = {}
        self._remaining: set[str] = set()
        self._learn(known)

    @property
    def is_own(self) -> bool:
        """Whether the pass records into its run, rather than only going through it."""
        return self.case in {Case.NEW, Case.CONTINUED, Case.FORK}

    @property
    def n_intents(self) -> int:
        """How many intents the pass had, in all of its processes that were heard of."""
        return len(self._counted) + self._n_others

    @property
    def unpassed(self) -> int:
        """How many recorded intents of the run the pass has not come to."""
        return len(self._remaining)

    def intent(self, kind: str, subject: Json, fields: dict[str, Json]) -> Intent:
        """Return the next intent of this kind, subject and fields, and count it."""
        unnumbered, intent = self._next_expected(kind, subject, fields)
        self._counts[unnumbered] += 1
        occurrence = self._counts[unnumbered]
        about = subject_key(kind, subject) if intent is None else intent.subject_key
        self._subject_counts[about] += 1
        self._counted.append((unnumbered, about))
        if intent is not None and intent.occurrence == occurrence:
            return intent
        return Intent(
            kind=kind,
            subject=subject,
            fields=fields,
            occurrence=occurrence,
            key=intent_key(kind, subject, fields, occurrence),
            subject_key=about,
        )

    def expect(self, requests: Iterable[tuple[str, Json, dict[str, Json]]]) -> list[Intent]:
        """Return the intents that probably come next, in this order; none of them is counted."""
        counts = Counter[str]()
        self._expected = deque()
        for kind, subject, fields in requests:
            unnumbered = intent_key(kind, subject, fields, 0)
            counts[unnumbered] += 1
            occurrence = self._counts[unnumbered] + counts[unnumbered]
            intent = Intent(
                kind=kind,
                subject=subject,
                fields=fields,
                occurrence=occurrence,
                key=intent_key(kind, subject, fields, occurrence),
                subject_key=subject_key(kind, subject),
            )
            self._expected.append((unnumbered, intent))
        return [intent for _, intent in self._expected]

    def _next_expected(
        self, kind: str, subject: Json, fields: dict[str, Json]
    ) -> tuple[str, Intent | None]:
        """Return the unnumbered key of an intent, and the expected one if it is what was asked."""
        for place, (unnumbered, intent) in enumerate(islice(self._expected, _NEAR)):
            if (intent.kind, intent.subject, intent.fields) == (kind, subject, fields):
                for _ in range(place + 1):
                    self._expected.popleft()
                return unnumbered, intent
        return intent_key(kind, subject, fields, 0), None

    @property
    def n_counted(self) -> int:
        """How many intents this process had; see `give_back`."""
        return len(self._counted)

    def renumber(self, intent: Intent) -> Intent:
        """Return an intent with the next number: another process of the pass has taken its own."""
        unnumbered = intent_key(intent.kind, intent.subject, intent.fields, 0)
        self._counts[unnumbered] += 1
        occurrence = self._counts[unnumbered]
        key = intent_key(intent.kind, intent.subject, intent.fields, occurrence)
        return msgspec.structs.replace(intent, occurrence=occurrence, key=key)

    def give_back(self, n_intents: int) -> None:
        """Have only the first `n_intents` intents counted: the numbers of the others are free."""
        for unnumbered, about in self._counted[n_intents:]:
            self._counts[unnumbered] -= 1
            self._subject_counts[about] -= 1
        del self._counted[n_intents:]

    def recall(self, intent: Intent) -> str | None:
        """Return the recorded outcome of an intent; None where the run does not know it."""
        return self._known.get(intent.key)

    def recall_subject(self, kind: str, subject: Json, *, exactly: bool = False) -> str | None:
        """Return the recorded outcome of the next save of this subject; None where there is none.

        Constructors ask this, before it is known which fields will be assigned.

        Args:
            kind: Kind of the save.
            subject: Its subject.
            exactly: Whether only that very save counts. Else, in a replay, the outcome of the last
                one goes on answering: a script may construct more often than it saves.
        """
        about = subject_key(kind, subject)
        outcomes = self._by_subject.get(about, [])
        number = self._subject_counts[about]
        if outcomes and not exactly and self.case is Case.REPLAY:
            number = min(number, len(outcomes) - 1)
        return outcomes[number] if number < len(outcomes) else None

    def pass_known(self, intent: Intent, outcome: str) -> None:
        """Take a known intent as passed."""
        self.n_known += 1
        self._remaining.discard(intent.key)
        self.passed.append(Passed(intent, outcome))

    def pass_idle(self, intent: Intent, outcome: str) -> None:
        """Take an intent without effect as passed; it travels with the run's next event."""
        self.n_idle += 1
        passed = Passed(intent, outcome)
        self.passed.append(passed)
        if self.case is not Case.REPLAY:
            self._pending.append(passed.noted)

    def pass_effect(
        self, intent: Intent, outcome: str, n_events: int, made: Made | None = None
    ) -> None:
        """Take an intent whose events were recorded as passed.

        Args:
            intent: The intent.
            outcome: Its record.
            n_events: How many events it left.
            made: Registry of the record, if these events created it.
        """
        self.n_events += n_events
        if made is not None:
            self.n_new = self.n_new + Counter({made.registry: 1})
            self.n_versions = self.n_versions + Counter({made.registry: int(made.is_version)})
        self.passed.append(Passed(intent, outcome))

    def step(self) -> NextStep:
        """Return the step that must be recorded before the effect of an unknown intent."""
        if self.is_own:
            return NextStep.FORK if self._remaining else NextStep.NOTHING
        if self.case is Case.RESUMABLE and not self._remaining:
            return NextStep.RESUME
        return NextStep.FORK

    def rebase(self, case: Case, run: str, known: Iterable[Noted]) -> None:
        """Go through this run instead, with what was passed so far behind it.

        For a run that another process started or advanced while this pass was under way.
        """
        self.case = case
        self.run = run
        self._known, self._by_subject, self._remaining = {}, {}, set()
        self._learn(known)
        for passed in self.passed:
            self._remaining.discard(passed.intent.key)
        self._pending = [
            passed.noted for passed in self.passed if passed.intent.key not in self._known
        ]

    def join(
        self, case: Case, run: str, before: Iterable[Noted] = (), known: Iterable[Noted] = ()
    ) -> None:
        """Record into the run that another process of this pass has begun or continued.

        Args:
            case: The kind of the pass, which is now the same in both processes.
            run: That run.
            before: What it knew before this pass.
            known: All that it knows. What was passed here and it does not know travels with the
                next event.
        """
        self.rebase(case, run, known)
        self._known, self._by_subject = {}, {}
        self._learn(before)
        self._remaining = set()
        self.owes = bool(self.passed)

    def hear_records(self, new: Mapping[str, int], versions: Mapping[str, int]) -> None:
        """Take in how many records other processes of this pass made, as `n_new`."""
        self.n_new = self.n_new + Counter(new)
        self.n_versions = self.n_versions + Counter(versions)

    def hear_others(self, passed: Iterable[Noted], counts: tuple[int, int, int, int]) -> None:
        """Take in what other processes of this pass came past.

        Args:
            passed: The intents.
            counts: How many intents they had, how many of these were known, how many had no effect,
                and how many events they left.
        """
        self._remaining.difference_update(key for key, _, _ in passed)
        self._n_others += counts[0]
        self.n_known += counts[1]
        self.n_idle += counts[2]
        self.n_events += counts[3]

    def note(self, passed: Iterable[Noted]) -> None:
        """Have intents of other processes travel with the next event, each once."""
        noted = {it[0]: it for it in (*self._pending, *passed)}
        self._pending = list(noted.values())

    def hear(self, known: Iterable[Noted]) -> None:
        """Take in the intents that another pass recorded into the run of this one.

        A pass that has not come past all of them before its own next effect is about something
        else: it leaves the run to the other pass.
        """
        self._remaining.update(key for key, _, _ in known)
        if self._remaining:
            self._remaining.difference_update(passed.intent.key for passed in self.passed)

    def resume(self, n_events: int = 1) -> None:
        """Continue the run: from here on the pass records into it."""
        self.case = Case.CONTINUED
        self.n_events += n_events

    def fork(self, run: str, n_events: int) -> None:
        """Be a new run: from here on the pass records into `run`."""
        self.case = Case.FORK
        self.run = run
        self.n_events += n_events
        self._pending = []
        self._remaining = set()
        # The number of a passed intent is taken: an equal intent gets the next one.
        self._known, self._by_subject = {}, {}

    def take_pending(self) -> tuple[Noted, ...]:
        """Return the intents without effect that no event carries yet, and let go of them."""
        pending, self._pending = self._pending, []
        return tuple(pending)

    def remade(self) -> list[str]:
        """Return the artifacts that the pass saved so far, each once, in order."""
        return list(
            dict.fromkeys(passed.outcome for passed in self.passed if is_artifact(passed.intent))
        )

    def inputs(self) -> list[str]:
        """Return the artifacts that the pass read before it saved them, each once, in order."""
        made: set[str] = set()
        read: dict[str, None] = {}
        for passed in self.passed:
            if passed.intent.kind == "read" and passed.outcome not in made:
                read[passed.outcome] = None
            elif is_artifact(passed.intent):
                made.add(passed.outcome)
        return list(read)

    def mark(self) -> Mark:
        """Return where the passage stands."""
        # Other containers only grow, or are replaced.
        values = vars(self) | {"_remaining": set(self._remaining)}
        return Mark(values, len(self._pending), len(self.passed))

    def return_to(self, mark: Mark) -> None:
        """Stand where the passage stood; only `give_back` frees the numbers of intents."""
        vars(self).update(mark.values)
        del self._pending[mark.n_pending :]
        del self.passed[mark.n_passed :]

    def _learn(self, known: Iterable[Noted]) -> None:
        for key, about, outcome in known:
            if key not in self._known:
                self._by_subject.setdefault(about, []).append(outcome)
            self._known[key] = outcome
            self._remaining.add(key)


def is_artifact(intent: Intent) -> bool:
    """Return whether an intent saves an artifact."""
    subject = intent.subject
    return (
        intent.kind in {"save", "save-new"}
        and isinstance(subject, list)
        and bool(subject)
        and subject[0] == "artifact"
    )
