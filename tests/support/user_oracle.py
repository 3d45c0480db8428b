"""What must be there after a history, by what its users were told.

1. A step that was acknowledged is so, once; an error that says that nothing was recorded is true;
   of a step that was interrupted or killed all is so, or nothing.
2. Where somebody put an older ledger in the place of the present one, what was acknowledged between
   the copy and that moment is gone, as they wanted; whatever began afterwards counts again.
3. While there is no ledger, nothing is acknowledged.
4. Nobody met an error of others, waited for somebody who holds a lock for nothing, or was told of a
   contradiction that is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

import ledger as ln
from ledger.model.schema import TRASHED
from ledger.places import instance
from tests.support.crew import Line
from tests.support.judge import assert_log_and_read_models_agree

# A checkpoint that was signed before the ledger went back says so, and an audit says what it could
# not read while the file was away; these are no faults.
_EXPECTED = ("checkpoint", "signed here", "cannot be read: disk I/O error")


class Step(msgspec.Struct, kw_only=True):
    """A step of a user.

    Attributes:
        states: What each thing is called once it is done.
        began: When it began, in nanoseconds of a clock that all processes share.
        ended: When it was over; None if it was killed.
        how: "done", "undone" or "unknown".
        why: The error that it ended with.
    """

    states: dict[str, str]
    began: int
    ended: int | None = None
    how: str = "unknown"
    why: str = ""


class Replacement(msgspec.Struct, kw_only=True, frozen=True):
    """Somebody put the ledger of an earlier moment in the place of the present one.

    Attributes:
        copied: When the copy was being made: from and to.
        gone: From when on the ledger of before was taken away; the first moment without one.
        back: When the copy was being put in its place; the first moment at which it was there.
        copied_at: None where the same ledger came back.
    """

    copied: tuple[int, int] | None
    gone: tuple[int, int]
    back: tuple[int, int]

    def outlived(self, step: Step) -> bool | None:
        """Return whether the effect of a step, if it had one, outlived this; None for perhaps."""
        ended = step.ended if step.ended is not None else self.back[1] + 1
        if self.copied is None or step.began >= self.back[1]:
            return True
        if step.ended is not None and ended <= self.copied[0]:
            return True
        return False if step.began >= self.copied[1] and ended <= self.gone[0] else None

    def acknowledges(self, step: Step) -> bool:
        """Return whether a step was acknowledged while there was no ledger at all."""
        return (
            step.how == "done"
            and step.ended is not None
            and bool(step.states)
            and any(step.states.values())
            and self.gone[1] <= step.began
            and step.ended <= self.back[0]
        )


def read_steps(lines: Iterable[Line]) -> list[Step]:
    """Return the steps that the lines of users tell of, in the order in which they began."""
    steps: dict[str, Step] = {}
    for line in lines:
        if "states" in line:
            steps[line["step"]] = Step(states=line["states"], began=line["at"])
        elif "step" in line and steps[line["step"]].ended is None:
            it = steps[line["step"]]
            it.how, it.ended, it.why = line["end"], line["at"], line.get("why", "")
    return list(steps.values())


def expected(steps: Iterable[Step], replacements: list[Replacement]) -> dict[str, set[str]]:
    """Return what each thing may be called now; "" where it may be gone."""
    found: dict[str, set[str]] = {}
    for step in steps:
        outlived = {it.outlived(step) for it in replacements} or {True}
        is_certain = step.how == "done" and outlived == {True}
        for name, state in step.states.items():
            before = found.setdefault(name, {""})
            if step.how == "undone" or False in outlived:
                continue
            found[name] = {state} if is_certain else before | {state}
    return found


def present() -> dict[str, list[str]]:
    """Return what is there now, by what it was first called."""
    found: dict[str, list[str]] = {}
    with instance.current().reading() as session:
        labels = {it["uid"]: it for it in session.models.find("ulabel") if it["state"] <= TRASHED}
        files = {it["uid"]: it for it in session.models.find("artifact") if it["state"] <= TRASHED}
        links = session.models.find("link")
    for row in labels.values():
        called = f"{row['name']} (trash)" if row["state"] == TRASHED else row["name"]
        found.setdefault(row["name"].rstrip("'"), []).append(called)
    for row in files.values():
        found.setdefault(row["key"], []).append(row["key"])
    for link in links:
        if link["source"] in files and link["target"] in labels:
            pair = f"{files[link['source']]['key']} with {labels[link['target']]['name']}"
            found.setdefault(pair, []).append(pair)
    return found


def losses(steps: list[Step], replacements: list[Replacement]) -> list[str]:
    """Return what is otherwise than users were told."""
    told, there = expected(steps, replacements), present()
    wrong = [
        f"{name}: expected {sorted(may)}, found {there.get(name, [])}"
        for name, may in told.items()
        if (len(there.get(name, [])) > 1 or "".join(there.get(name, [])) not in may)
    ]
    for step in steps:
        are_there = {bool(there.get(name)) for name in step.states}
        if len(step.states) > 1 and len(are_there) > 1:
            wrong.append(f"half of {sorted(step.states)}, which ended {step.how} {step.why}")
    wrong += [
        f"{sorted(step.states)} was acknowledged while there was no ledger"
        for step in steps
        if any(it.acknowledges(step) for it in replacements)
    ]
    return wrong


def troubles(lines: Iterable[Line], *, may_go_back: bool) -> list[str]:
    """Return what nobody should meet, by the lines of users."""
    found = []
    for line in lines:
        if "trouble" in line:
            found.append(f"{line['who']}: {line['trouble']}: {line['text']}")
        if " for 60 s" in line.get("why", ""):
            found.append(f"{line['who']}: waited for nothing: {line['why']}")
        told = [it for it in line.get("findings", ()) if not may_go_back or not _is_known(it)]
        found += [f"{line['who']}: an audit found {it}" for it in told]
        if line.get("ended", 0) not in {0, -9}:
            found.append(f"{line['who']}: ended with {line['ended']}")
    return found


def _is_known(finding: str) -> bool:
    return any(it in finding for it in _EXPECTED)


def judge(lines: list[Line], replacements: list[Replacement]) -> list[str]:
    """Return everything that is wrong after a history, of the ledger of the working folder."""
    wrong = troubles(lines, may_go_back=bool(replacements))
    ln.connect(Path.cwd())
    try:
        wrong += losses(read_steps(lines), replacements)
        report = ln.audit(content=True)
        told = [str(it) for it in report.findings]
        wrong += [f"the audit found {it}" for it in told if not (replacements and _is_known(it))]
        assert_log_and_read_models_agree()
    except (AssertionError, ln.errors.LedgerError) as error:
        wrong.append(f"{type(error).__name__}: {error}"[:1_000])
    finally:
        ln.close()
    return wrong


def counted(lines: Iterable[Line]) -> Counter[str]:
    """Return how many deeds, kills and acknowledged steps there were."""
    count: Counter[str] = Counter()
    for line in lines:
        count["deeds"] += "deed" in line
        count["kills"] += line.get("ended") == -9
        count["acknowledged"] += line.get("end") == "done"
        count["interrupted"] += line.get("why") == "KeyboardInterrupt"
        count["refused"] += line.get("end") == "undone"
    return count
