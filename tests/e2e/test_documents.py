"""What the documents say is so: their code runs, their names exist, their links lead somewhere.

The code of README and tutorial runs in the order of the page, in a fresh folder:

1. A Python block is a cell of one session, as in a notebook; one whose first line is a comment with
   a file name (`# qc.py`) is written to that file instead.
2. A `text` block right after a cell is what the cell says, its last value and its error included.
3. A `console` block holds commands, each after `$ `, and what each says; a `text` block right after
   it goes on with what the last one says.
4. Uids may differ from the page, but alike ones must stay alike; times, durations, the folder and
   the width of columns may differ. A line that is only `…` stands for any number of lines.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import ledger
import ledger.errors
from ledger.display.tabular import Tabular
from ledger.model.schema import COMMON_FIELDS, REGISTRIES
from ledger.past.changes import Comparison, Diff, Happening, History, Listing
from ledger.past.lineage import Lineage
from ledger.places.instance import Ledger
from ledger.registries.aliases import RecordAliases
from ledger.registries.base import Record, Related
from ledger.registries.features import Features
from ledger.registries.named import NamedRecord
from ledger.registries.query import QuerySet
from ledger.registries.record_history import RecordHistory
from ledger.registries.registry_schema import RegistrySchema
from ledger.registries.results import Results
from ledger.registries.views import View
from ledger.tracking.context import Context
from ledger.tracking.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
TOLD = (
    "README.md",
    "docs/tutorial.md",
    "docs/tutorial-time-travel.md",
    "docs/tutorial-samples.md",
    "docs/tutorial-asyncio.md",
    "docs/workers.md",
    "docs/bridges.md",
    "docs/handing-over.md",
)
FOLDER = "/home/ada/project"
# Commands that set something up of their own stand for the command that they run.
STANDS_FOR = {"make demo": "metaledger demo"}


# --- blocks ---------------------------------------------------------------------------------------


class Block(NamedTuple):
    """A fenced block of a page: its language, its lines, and the line of the page it begins at."""

    language: str
    lines: list[str]
    line: int
    follows: bool  # nothing but blank lines stands between it and the block before


class Step(NamedTuple):
    """Something to run, and what the page shows of what it says; None where it shows nothing."""

    kind: str  # "cell", "file" or "command"
    text: str
    shown: list[str] | None
    where: str
    name: str = ""


def blocks(text: str) -> list[Block]:
    found: list[Block] = []
    opened: tuple[str, int] | None = None
    lines: list[str] = []
    follows = False
    for number, line in enumerate(text.splitlines(), start=1):
        if opened is None and line.startswith("```"):
            opened, lines = (line[3:].strip(), number), []
        elif opened is not None and line.startswith("```"):
            found.append(Block(opened[0], lines, opened[1], follows))
            opened, follows = None, True
        elif opened is not None:
            lines.append(line)
        elif line.strip():
            follows = False
    assert opened is None, f"the block of line {opened} does not end"
    return found


def steps(page: str) -> list[Step]:
    found: list[Step] = []
    for block in blocks((ROOT / page).read_text("utf-8")):
        where = f"{page}:{block.line}"
        text = "\n".join(block.lines)
        named = re.fullmatch(r"# (\w+\.py)", block.lines[0]) if block.lines else None
        match block.language:
            case "python" if named:
                found.append(Step("file", text + "\n", None, where, named[1]))
            case "python":
                found.append(Step("cell", text, None, where))
            case "text" if block.follows and found and found[-1].kind == "cell":
                found[-1] = found[-1]._replace(shown=block.lines)
            case "text" if block.follows and found and found[-1].kind == "command":
                found[-1] = found[-1]._replace(shown=[*(found[-1].shown or []), *block.lines])
            case "console":
                found.extend(commands(block, where))
            case _:
                pass
    return found


def commands(block: Block, where: str) -> list[Step]:
    found: list[Step] = []
    for line in block.lines:
        if line.startswith("$ "):
            found.append(Step("command", line[2:], [], where))
        else:
            assert found, f"{where}: what is shown belongs to no command"
            shown = [*(found[-1].shown or []), line]
            found[-1] = found[-1]._replace(shown=shown)
    return found


# --- running --------------------------------------------------------------------------------------

# Given to `python -c`, so that what tracks it finds a prompt and no source file.
SESSION = """
import ast, contextlib, io, json, shlex, subprocess, sys
from pathlib import Path
import ledger.errors as errors

def cell(text):
    tree = ast.parse(text)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), cells)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), cells)
        if value is not None:
            print(repr(value))

def command(text):
    words = shlex.split(text)
    programs = {"metaledger": [sys.executable, "-m", "ledger"], "python": [sys.executable]}
    done = subprocess.run([*programs[words[0]], *words[1:]], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, end="")
    if done.returncode not in (0, 1, 2) or "Traceback" in done.stdout:
        raise SystemExit(f"exit code {done.returncode}: {done.stdout}")

cells = {"__name__": "__main__"}
said = []
out = io.StringIO()  # one for all steps, as in a notebook: some messages are said once
for kind, name, text in json.loads(Path(sys.argv[1]).read_text("utf-8")):
    out.seek(0)
    out.truncate()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            {"cell": cell, "command": command, "file": Path(name).write_text}[kind](text)
        except (Exception, SystemExit) as error:
            print(f"{type(error).__name__}: {error}")
    said.append(out.getvalue())
Path(sys.argv[2]).write_text(json.dumps(said), "utf-8")
"""


def run(told: list[Step], folder: Path) -> list[list[str]]:
    """Run the steps in the folder and return the lines that each said."""
    asked, answered = folder.parent / "steps.json", folder.parent / "said.json"
    asked.write_text(
        json.dumps([[step.kind, step.name, STANDS_FOR.get(step.text, step.text)] for step in told]),
        "utf-8",
    )
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    subprocess.run(
        [sys.executable, "-c", SESSION, str(asked), str(answered)],
        cwd=folder,
        check=True,
        stdin=subprocess.DEVNULL,
        env={
            **os.environ,
            "METALEDGER_USER": "ada",
            "PYTHONPATH": python_path,
            "PYTHONIOENCODING": "utf-8",
            "COLUMNS": "200",
        },
    )
    said: list[str] = json.loads(answered.read_text("utf-8"))
    return [normalised(text, folder).splitlines() for text in said]


def normalised(text: str, folder: Path | None = None) -> str:
    if folder is not None:
        text = text.replace(str(folder.resolve()), FOLDER).replace(str(folder), FOLDER)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( UTC|\+00:00|Z)?", "<time>", text)
    text = re.sub(r"\b\d+(\.\d+)? (ms|s)\b", "<duration>", text)
    text = re.sub(r"\b\d+(\.\d+)? [KM]iB\b", "<size>", text)
    text = re.sub(r"[─━-]{4,}", "----", text)
    return "\n".join(" ".join(line.split()) for line in text.splitlines()).strip("\n")


UID = re.compile(r"\b(?:[0-9a-f]{32}|[0-9A-Za-z]{20}|[0-9A-Za-z]{16}|[0-9A-Za-z]{12})\b")


class Names:
    """Which uid of the page stands for which uid of this run."""

    def __init__(self) -> None:
        self.there: dict[str, str] = {}
        self.here: dict[str, str] = {}

    def agree(self, shown: str, said: str) -> bool:
        ours, theirs = UID.findall(shown), UID.findall(said)
        if UID.sub("<uid>", shown) != UID.sub("<uid>", said):
            return False
        pairs = list(zip(ours, theirs, strict=True))
        if any(self.there.get(a, b) != b or self.here.get(b, a) != a for a, b in pairs):
            return False
        self.there.update(pairs)
        self.here.update((b, a) for a, b in pairs)
        return True


def difference(shown: list[str], said: list[str], names: Names) -> str | None:
    """Return what of the shown lines was not said in this order; None if all were."""
    at, may_skip = 0, False
    for line in filter(None, shown):
        if line == "…":
            may_skip = True
            continue
        while at < len(said) and (not said[at] or not names.agree(line, said[at])):
            if said[at] and not may_skip:
                return f"expected: {line}\nfound:    {said[at]}"
            at += 1
        if at == len(said):
            return f"expected: {line}\nfound the end"
        at, may_skip = at + 1, False
    rest = [line for line in said[at:] if line]
    return None if may_skip or not rest else f"expected the end\nfound:    {rest[0]}"


@pytest.mark.parametrize("page", TOLD)
def test_code_of_a_page_does_what_the_page_shows(page: str, ledger_folder: Path) -> None:
    told = steps(page)
    assert told
    names = Names()
    differences = []
    for step, said in zip(told, run(told, ledger_folder), strict=True):
        failed = [line for line in said if re.match(r"\w*(Error|Exit)\b", line)]
        if step.shown is None:
            differences += [f"{step.where} raised {line}" for line in failed]
            continue
        found = difference(normalised("\n".join(step.shown)).splitlines(), said, names)
        if found is not None:
            differences.append(f"{step.where} {step.text.splitlines()[-1]}\n{found}")
    assert not differences, "\n\n".join(differences)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (["a"], ["b"]),
        (["a", "b"], ["a"]),
        (["a"], ["a", "b"]),
        (["a", "…", "c"], ["a", "b"]),
        (["SfDr2DZ8adnj", "SfDr2DZ8adnj"], ["60TS7UmiuZaZ", "MjK7SGpgQWy4"]),
        (["SfDr2DZ8adnj", "MjK7SGpgQWy4"], ["60TS7UmiuZaZ", "60TS7UmiuZaZ"]),
    ],
)
def test_a_planted_difference_is_found(shown: list[str], said: list[str]) -> None:
    assert difference(shown, said, Names()) is not None


def test_other_uids_and_left_out_lines_are_no_difference() -> None:
    shown = ["uid SfDr2DZ8adnj", "…", "uid SfDr2DZ8adnj"]
    assert difference(shown, ["uid 60TS7UmiuZaZ", "x", "", "uid 60TS7UmiuZaZ"], Names()) is None


# --- the reference --------------------------------------------------------------------------------

CLASSES = {
    "Record": Record,
    "ULabel": ledger.ULabel,
    "Artifact": ledger.Artifact,
    "Collection": ledger.Collection,
    "Transform": ledger.Transform,
    "Run": ledger.Run,
    "Feature": ledger.Feature,
    "Features": Features,
    "ln.Record": ledger.Record,
    "RegistrySchema": RegistrySchema,
    "Results": Results,
    "QuerySet": QuerySet,
    "Related": Related,
    "View": View,
    "Lineage": Lineage,
    "Listing": Listing,
    "History": History,
    "Diff": Diff,
    "Happening": Happening,
    "Plan": Plan,
    "Q": ledger.Q,
    "Ledger": Ledger,
}
# Bases that are no public names, with the classes that are described as if they had no base.
PARTS = (
    (RecordHistory, Record),
    (RecordAliases, Record),
    (NamedRecord, ledger.ULabel),
    (Comparison, Diff),
    (Tabular, Listing),
)
CONSTRUCTED = {"ULabel", "Feature", "Artifact", "Collection", "Transform", "Q"}
# Users hold a `Ledger` only to look at it: what works inside is not part of the reference.
INNER = {
    "Ledger": {
        "blob", "catalogue", "content", "forget_names", "hash_cache", "head", "keep_hashes",
        "name_search", "pass_folder", "reading", "store", "word_search", "writing",
    }
}  # fmt: skip


def plain(signature: inspect.Signature, *, bound: bool) -> str:
    """Return a signature as the reference writes it: without types, `self` and unknown fields."""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for name, parameter in signature.parameters.items()
        if not (bound and name in {"self", "cls"}) and name != "unknown"
    ]
    return str(inspect.Signature(parameters))


def inherited(kind: type, name: str) -> set[str]:
    """Return the signatures of a method of this name in the generic bases of a class."""
    bases = (base for base in (Results, Listing) if kind is not base and issubclass(kind, base))
    found = (getattr(base, name, None) for base in bases)
    return {plain(inspect.signature(method), bound=True) for method in found if callable(method)}


def members(title: str, kind: type) -> set[str]:
    """Return how the reference must write the public members that a class itself defines."""
    written = set()
    own = dict(vars(kind))
    for part, whole in PARTS:
        own = vars(part) | own if kind is whole else own
    for name, member in own.items():
        if name.startswith("_") or name in INNER.get(title, ()):
            continue
        if isinstance(member, property):
            written.add(f"{title}.{name}")
        elif isinstance(member, classmethod) or inspect.isfunction(member):
            signature = plain(inspect.signature(getattr(kind, name)), bound=True)
            if signature not in inherited(kind, name):
                written.add(f"{title}.{name}{signature}")
    if title in CONSTRUCTED:
        written.add(f"{title}{plain(inspect.signature(kind), bound=True)}")
    return written


def functions(module: ModuleType, before: str = "") -> set[str]:
    """Return the headings of the public functions of a module."""
    values = {name: getattr(module, name) for name in module.__all__ if name != "__version__"}
    return {
        f"{before}{name}{plain(inspect.signature(value), bound=False)}"
        for name, value in values.items()
        if inspect.isfunction(value)
    }


def written_signatures() -> set[str]:
    """Return every heading that the reference must have."""
    found = {"__version__"} | functions(ledger) | functions(ledger.bridges, "bridges.")
    registering = plain(inspect.signature(ledger.loaders.register), bound=True)
    found.add(f"loaders.register{registering}")
    for title, kind in CLASSES.items():
        found |= members(title, kind)
    found |= {
        name.replace("Context", "context", 1)
        for name in members("Context", Context)
        if "(" not in name
    }
    for section in (ledger.settings, ledger.settings.creation, ledger.settings.transform):
        found |= {
            f"{section._title}.{name}"
            for name in dir(section)
            if name not in {"creation", "transform"}
        }
    for name, member in vars(ledger.core.datasets).items():
        if isinstance(member, staticmethod):
            signature = plain(inspect.signature(member.__func__), bound=False)
            found.add(f"core.datasets.{name}{signature}")
    return found


@cache
def reference() -> str:
    return (ROOT / "docs/api.md").read_text("utf-8")


def headings() -> set[str]:
    """Return what the reference defines: the code spans that begin a line of a list."""
    return set(re.findall(r"^- `([^`]+)`", reference(), re.MULTILINE))


def test_the_reference_has_every_public_name_with_its_signature() -> None:
    assert sorted(written_signatures() - headings()) == []


def test_the_reference_defines_nothing_that_does_not_exist() -> None:
    assert sorted(headings() - written_signatures()) == []


def test_the_reference_names_everything_at_the_public_door() -> None:
    assert [name for name in ledger.__all__ if f"`{name}" not in reference()] == []


@pytest.mark.parametrize("registry", REGISTRIES)
def test_the_reference_names_every_field_and_relation(registry: str) -> None:
    spec = REGISTRIES[registry]
    (section,) = re.findall(
        rf"^## {spec.title}\n(.*?)(?=^## |\Z)", reference(), re.MULTILINE | re.DOTALL
    )
    named = [*spec.fields, *spec.relations]
    assert [it.name for it in named if f"`{it.name}`" not in section] == []
    assert [it.name for it in COMMON_FIELDS if f"`{it.name}`" not in reference()] == []


def test_the_reference_has_every_error_with_its_code() -> None:
    kinds = [
        kind
        for kind in vars(ledger.errors).values()
        if isinstance(kind, type) and issubclass(kind, ledger.errors.LedgerError)
    ]
    assert [k.__name__ for k in kinds if f"`{k.__name__}` | `{k.code}`" not in reference()] == []


# --- other pages ----------------------------------------------------------------------------------


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def prose(page: Path) -> str:
    """Return the text of a page without its blocks and code spans."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if (
            not target.exists()
            or not target.is_relative_to(ROOT)
            or (anchor and anchor not in anchors(target))
        ):
            broken.append(link)
    assert broken == []


def test_the_map_names_no_module_that_is_gone() -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    named = re.findall(r"`((?:ledger|projections)/[\w/]+\.py)`", text)
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_promise_names_tests_that_exist() -> None:
    text = (ROOT / "docs/invariants.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if re.match(r"\| (?!promise|history)", line)]
    assert rows
    missing = []
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        if not named:
            missing.append(row)
        for path, test in named:
            file = ROOT / path
            if not file.is_file() or f"def {test}(" not in file.read_text("utf-8"):
                missing.append(f"{path}::{test}")
    assert missing == []
