"""Rules about the source as a whole that no single module can keep alone.

Which module may import which is said in pyproject.toml and checked by import-linter; here stands
what it cannot see. Each finder is also tried on a planted mistake, so that none is blind.
"""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ledger", "projections")
MAX_LINES = 500

DURABLE_STEPS = frozenset(
    {"os.fsync", "os.fdatasync", "os.replace", "os.rename", "os.renames", "shutil.move"}
)
CLOCKS_AND_CHANCE = frozenset(
    {
        "datetime.now",
        "datetime.utcnow",
        "datetime.today",
        "date.today",
        "time",
        "random",
        "secrets",
        "os.urandom",
        "uuid.uuid1",
        "uuid.uuid4",
    }
)
WITHOUT_A_SEED = frozenset(
    {"os.urandom", "secrets", "uuid.uuid1", "uuid.uuid4"}
    | {f"random.{it}" for it in ("choice", "choices", "randbytes", "randint", "random", "sample")}
    | {f"random.{it}" for it in ("randrange", "shuffle", "uniform", "SystemRandom")}
)
HEAVY = (
    "click",
    "eventsourcing",
    "fsspec",
    "numpy",
    "pandas",
    "psycopg",
    "pyarrow",
    "rapidfuzz",
    "rich",
    "sqlite3",
)
# Absolute paths of a development machine; a web address may hold the same words.
MACHINE_PATH = re.compile(r"(?<![\w.~*}])/(?:work|root|farm)/")


@functools.cache
def parsed(source: str) -> ast.Module:
    """The tree of a source, which several rules look at."""
    return ast.parse(source)


def modules() -> list[Path]:
    """Every source file of both packages."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def dotted(path: Path) -> str:
    """The name under which a source file is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(tree: ast.Module) -> list[tuple[int, str, str]]:
    """Line, local name and full name of everything that `tree` imports from elsewhere."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for it in node.names:
                top = it.name.split(".")[0]
                found.append((node.lineno, it.asname or top, it.name if it.asname else top))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [
                (node.lineno, it.asname or it.name, f"{node.module}.{it.name}") for it in node.names
            ]
    return found


def attribute_chain(node: ast.Attribute) -> list[str]:
    """The names of `a.b.c`, outermost first; empty where it does not begin with a plain name."""
    parts = [node.attr]
    inner = node.value
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    return [inner.id, *reversed(parts)] if isinstance(inner, ast.Name) else []


def uses(source: str, names: frozenset[str]) -> list[str]:
    """Mentions of `names` in `source`, as "line: name", through any import or alias.

    A name matches what it starts as well: "random" matches "random.choice", and "datetime.now"
    matches "datetime.datetime.now", as a class may be reached through its module.
    """
    tree = parsed(source)
    imports = imported(tree)
    full_names = {local: full for _, local, full in imports}
    mentions = [(line, full) for line, _, full in imports]
    for node in ast.walk(tree):
        chain = attribute_chain(node) if isinstance(node, ast.Attribute) else []
        if chain and chain[0] in full_names:
            mentions.append((node.lineno, ".".join([full_names[chain[0]], *chain[1:]])))
    found = {
        (line, name)
        for line, full in mentions
        for name in names
        for spelling in (full, full.removeprefix("datetime."))
        if spelling == name or spelling.startswith(name + ".")
    }
    return [f"{line}: {name}" for line, name in sorted(found)]


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter at the top of the checkout."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_there_is_source_to_look_at(package):
    assert any(path.is_relative_to(ROOT / package) for path in modules())


def test_no_module_is_longer_than_a_reader_can_hold():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    long = [f"{path.relative_to(ROOT)} ({n})" for path, n in lengths.items() if n > MAX_LINES]
    assert not long, f"over {MAX_LINES} lines, split by subject: {', '.join(long)}"


def test_every_module_states_its_rules():
    bare = [
        dotted(path)
        for path in modules()
        if not ast.get_docstring(parsed(path.read_text(encoding="utf-8")))
    ]
    assert not bare, f"without a docstring: {', '.join(bare)}"


def test_durable_file_steps_stand_in_one_module():
    elsewhere = [
        f"{path.relative_to(ROOT)}:{use}"
        for path in modules()
        if path != ROOT / "ledger" / "files.py"
        for use in uses(path.read_text(encoding="utf-8"), DURABLE_STEPS)
    ]
    assert not elsewhere, f"call ledger.files instead: {', '.join(elsewhere)}"


# What opens files past SQLite. None of these modules knows the path of a database.
OPENERS = frozenset(
    {
        "ledger.cli.demo",
        "ledger.cli.demo_script",
        "ledger.cli.ending",
        "ledger.cli.place",
        "ledger.cli.proving",
        "ledger.cli.tree",
        "ledger.content.filesystem",
        "ledger.content.held_for_writing",
        "ledger.core",
        "ledger.engine.journal",
        # A descriptor that is kept, as closing it is what drops locks.
        "ledger.eventlog.sqlite_hold",
        # Files of the system, about processes.
        "ledger.eventlog.sqlite_waits",
        "ledger.files",
        "ledger.input_files",
        "ledger.places.config",
        "ledger.proving.blocks",
        "ledger.proving.keys",
        "ledger.registries.artifact",
        "ledger.registries.loaders",
        "ledger.tracking.environment",
        "ledger.tracking.imports",
        "ledger.tracking.notebook",
        "ledger.tracking.plan",
        "ledger.tracking.source_code",
        "ledger.version",
    }
)
OF_DATABASES = frozenset({"DATABASE", "database_path"})
# These make or name paths of databases, and open other files.
NAMES_ONLY = {"ledger.places.config": "ledger.toml"}


def opened_files(source: str) -> list[str]:
    """Calls in `source` that open, read or copy a file past SQLite, as "line: name"."""
    plain = {"open", "read_bytes", "read_text", "write_bytes", "write_text", "mmap"}
    copies = {"copy", "copy2", "copyfile", "copytree", "fdopen"}
    found = []
    for node in ast.walk(parsed(source)):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id="open"):
                found.append(f"{node.lineno}: open")
            case ast.Attribute(value=ast.Name(id=("os" | "io" | "fsspec" | "mmap") as module)):
                if node.func.attr in plain:
                    found.append(f"{node.lineno}: {module}.{node.func.attr}")
            case ast.Attribute(value=ast.Name(id="shutil"), attr=name) if name in copies:
                found.append(f"{node.lineno}: shutil.{name}")
            case ast.Attribute(attr=name) if name in plain - {"open"}:
                found.append(f"{node.lineno}: {name}")
            case ast.Attribute(attr="open"):
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and first.value in {"r", "rb", "rb+", "r+", "w"}:
                    found.append(f"{node.lineno}: open")
    return found


def names_a_database(source: str) -> bool:
    """Whether `source` mentions the path of a ledger's database."""
    return any(
        name in OF_DATABASES
        for node in ast.walk(parsed(source))
        for name in (
            [node.id]
            if isinstance(node, ast.Name)
            else [node.attr]
            if isinstance(node, ast.Attribute)
            else []
        )
    )


def test_a_database_file_is_opened_through_sqlite_alone():
    found = {}
    for path in modules():
        source = path.read_text(encoding="utf-8")
        name = dotted(path)
        opened = opened_files(source)
        if opened and (
            name not in OPENERS or (names_a_database(source) and name not in NAMES_ONLY)
        ):
            found[name] = opened
    assert not found, f"the system drops SQLite's locks when the file is closed: {found}"


@pytest.mark.parametrize(
    "planted",
    [
        "open(path)",
        "os.open(path, os.O_RDONLY)",
        "path.open('rb')",
        "place.database_path.read_bytes()",
        "shutil.copy(path, target)",
        "shutil.copyfile(path, target)",
        "mmap.mmap(descriptor, 0)",
    ],
)
def test_a_planted_look_at_a_file_is_found(planted):
    assert opened_files(planted)
    assert not opened_files("sqlite3.connect(path)\nstore.open(name)\nself._log.open()")
    assert names_a_database("place.database_path.read_bytes()")


def test_decisions_and_folds_take_time_and_chance_as_arguments():
    pure = [*(ROOT / "ledger" / "decisions").rglob("*.py"), ROOT / "projections" / "fold.py"]
    impure = [
        f"{path.relative_to(ROOT)}:{use}"
        for path in pure
        if path.exists()
        for use in uses(path.read_text(encoding="utf-8"), CLOCKS_AND_CHANCE)
    ]
    assert not impure, f"take it as an argument: {', '.join(impure)}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os\nos.fsync(3)", ["2: os.fsync"]),
        ("from os import replace as put\nput('a', 'b')", ["1: os.replace"]),
        ("import os as o\nstep = o.rename", ["2: os.rename"]),
        ("import shutil\nshutil.move('a', 'b')", ["2: shutil.move"]),
        ("'a-b'.replace('-', '_')", []),
        ("import os\nos.path.exists('a')", []),
    ],
)
def test_a_planted_durable_step_is_found(source, found):
    assert uses(source, DURABLE_STEPS) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from datetime import datetime\ndatetime.now()", ["2: datetime.now"]),
        ("import datetime\ndatetime.datetime.now()", ["2: datetime.now"]),
        ("import datetime as dt\ndt.date.today()", ["2: date.today"]),
        ("import time\n", ["1: time"]),
        ("from time import time_ns\n", ["1: time"]),
        ("from uuid import UUID, uuid4\n", ["1: uuid.uuid4"]),
        ("import uuid\nuuid.uuid4()", ["2: uuid.uuid4"]),
        ("import random\nrandom.choice('ab')", ["1: random", "2: random"]),
        ("from datetime import datetime\ndef decide(now: datetime): return now", []),
        ("from datetime import timedelta\nfrom uuid import UUID\n", []),
    ],
)
def test_a_planted_clock_or_chance_is_found(source, found):
    assert uses(source, CLOCKS_AND_CHANCE) == found


LOCKS = frozenset({"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Event"})
# A forked child has no use for these: it opens connections of its own, and shares no commit.
OF_THE_PARENT = frozenset(
    {
        "ledger/eventlog/sqlite_connections.py Datastore",
        "ledger/eventlog/postgres_connections.py Datastore",
        "ledger/engine/shared_commit.py SharedCommit",
    }
)


def bare_locks(source: str) -> list[str]:
    """Return the classes, or the module, that keep a lock which a forked child does not renew."""
    tree = parsed(source)
    renewing = {
        ast.unparse(call.args[0]).removeprefix("self.")
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "forks.made_anew"
    }
    found: list[str] = []

    def look(node: ast.AST, owner: str, kept: set[str] | None) -> None:
        """Look at what stands in a function that keeps some names; None outside of functions."""
        match node:
            case ast.FunctionDef() if node.name in renewing:
                return
            case ast.FunctionDef():
                kept = {
                    it for one in ast.walk(node) if isinstance(one, ast.Global) for it in one.names
                }
            case ast.ClassDef():
                owner = node.name
            case ast.Assign():
                places = {it for target in node.targets for it in ast.walk(target)}
                is_kept = kept is None or any(
                    isinstance(it, ast.Attribute) or getattr(it, "id", None) in kept
                    for it in places
                )
                makes = {
                    ast.unparse(it.func).removeprefix("threading.")
                    for it in ast.walk(node.value)
                    if isinstance(it, ast.Call)
                }
                if is_kept and makes & LOCKS:
                    found.append(owner)
            case _:
                pass
        for child in ast.iter_child_nodes(node):
            look(child, owner, kept)

    look(tree, "the module", None)
    return found


def test_a_forked_child_renews_every_lock_that_is_kept():
    found = {
        f"{path.relative_to(ROOT)} {owner}"
        for path in modules()
        for owner in bare_locks(path.read_text(encoding="utf-8"))
    }
    assert found == OF_THE_PARENT


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("lock = threading.Lock()", ["the module"]),
        ("class A:\n  lock = threading.RLock()", ["A"]),
        ("class A:\n  def __init__(self):\n    self.a, self.b = 1, Condition()", ["A"]),
        ("def f():\n  global lock\n  lock = threading.Lock()", ["the module"]),
        ("def f():\n  lock = threading.Lock()", []),
        ("forks.made_anew(self.make)\ndef make(self):\n  self.lock = threading.Lock()", []),
    ],
)
def test_a_planted_lock_is_found(source, found):
    assert bare_locks(source) == found


def test_no_test_draws_without_a_stated_seed():
    told = [
        f"{path.relative_to(ROOT)}:{use}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path != ROOT / "tests" / "support" / "chance.py"
        for use in uses(path.read_text(encoding="utf-8"), WITHOUT_A_SEED)
    ]
    assert not told, f"draw with a seed, as in tests/support/chance.py: {', '.join(told)}"


def test_a_planted_draw_without_a_seed_is_found():
    assert uses("import random\nrandom.choice('ab')", WITHOUT_A_SEED) == ["2: random.choice"]
    assert uses("import random\nrandom.Random(7).choice('ab')", WITHOUT_A_SEED) == []


def test_the_package_of_projections_is_hollow():
    tree = ast.parse((ROOT / "projections" / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1, "projections/__init__.py holds a docstring and nothing else"


def test_the_public_door_loads_nothing_heavy():
    result = run_python("import sys, ledger; print(*sys.modules)")
    assert result.returncode == 0, result.stderr
    loaded = {name.split(".")[0] for name in result.stdout.split()}
    assert "ledger" in loaded
    assert loaded.isdisjoint(HEAVY), f"loaded by `import ledger`: {loaded & set(HEAVY)}"


def test_no_path_of_a_development_machine_is_written_down():
    folders = [*PACKAGES, "tests", "benchmarks", "docs", ".ci"]
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [ROOT / name for name in ("pyproject.toml", "Makefile", "README.md", ".gitignore")]
    named = []
    for path in files:
        if {"__pycache__", "node_modules"} & set(path.parts) or not path.exists():
            continue
        # Binary files are read too: a path in a stored log would be just as wrong.
        text = path.read_bytes().decode("utf-8", errors="replace")
        named += [f"{path.relative_to(ROOT)}: {hit[0]}" for hit in MACHINE_PATH.finditer(text)]
    assert not named, f"paths of a development machine: {', '.join(named)}"


@pytest.mark.parametrize(
    ("text", "is_machine_path"),
    [
        ("open('/" + "work/main/x')", True),
        ("cd /" + "root/.venv", True),
        ("see https://example.org/" + "work/1", False),
        ("tmp_path/" + "work/a.csv", False),
    ],
)
def test_a_planted_path_of_a_machine_is_found(text, is_machine_path):
    assert bool(MACHINE_PATH.search(text)) is is_machine_path
