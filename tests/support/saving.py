"""What writers do while they are killed or lose power: one thing of a kind after another.

`save(kind, n)` is what a script would do; `assert_saved(kind, n)` in `tests/support/judge.py`
claims that it is there. Programs that tests start import this module too.
"""

from __future__ import annotations

from pathlib import Path

import ledger as ln

BATCH = 4
# Every deed that leaves records or content behind.
KINDS = ("label", "file", "folder", "rename", "link", "collection", "batch", "many", "version")
# What keeps a ledger: its own effect is none, or something that stands beside it.
UPKEEP = ("rebuild", "checkpoint", "export", "close")
# What makes ledgers beside it; there must be an archive to import.
MAKING = ("init", "import")


def write(path: str, text: str) -> str:
    """Write a file in a folder that is made if need be, unless it is there, and return its path."""
    if not Path(path).exists():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    return path


def prepare(kind: str, n: int) -> None:
    """Write the files that saving something of a kind reads: those are the user's, not ours."""
    match kind:
        case "file":
            write(f"in/{n}.txt", f"content {n} " * (n % 400))
        case "folder":
            for name in ("a", "b/c"):
                write(f"in/folder{n}/{name}", f"{name} of {n}")
        case "link":
            write(f"in/l{n}.txt", f"linked {n}")
        case "collection":
            for i in range(3):
                write(f"in/m{n}-{i}.txt", f"member {n} {i}")
        case "many":
            for i in range(BATCH):
                write(f"in/many{n}-{i}.txt", f"many {n} {i}")
        case "version":
            write(f"in/version{n}.txt", f"version {n}")


def save(kind: str, n: int) -> str:  # noqa: C901, PLR0912 (a case a kind)
    """Do one thing of a kind; what it returns is the claim to be kept, mostly nothing."""
    prepare(kind, n)
    match kind:
        case "label":
            ln.ULabel(name=f"label {n}", description="d" * (n % 50)).save()
        case "file":
            ln.Artifact(f"in/{n}.txt", key=f"file/{n}").save()
        case "folder":
            ln.Artifact(f"in/folder{n}", key=f"folder/{n}").save()
        case "rename":
            label = ln.ULabel(name=f"old {n}").save()
            label.name = f"renamed {n}"
            label.save()
        case "link":
            label = ln.ULabel(name=f"linked {n}").save()
            ln.Artifact(f"in/l{n}.txt", key=f"linked/{n}").save().labels.add(label)
        case "collection":
            with ln.batch():
                members = [
                    ln.Artifact(f"in/m{n}-{i}.txt", key=f"m/{n}/{i}").save() for i in range(3)
                ]
                ln.Collection(members, name=f"collection {n}").save()
        case "batch":
            with ln.batch():
                for i in range(BATCH):
                    ln.ULabel(name=f"batch {n} {i}").save()
        case "many":
            ln.save([ln.Artifact(f"in/many{n}-{i}.txt", key=f"many/{n}/{i}") for i in range(BATCH)])
        case "version":
            ln.Artifact(f"in/version{n}.txt", key="version").save()
        case "rebuild":
            from ledger.upkeep.rebuild import rebuild  # noqa: PLC0415 (most programs do without)

            rebuild()
        case "checkpoint":
            return str(ln.checkpoint())
        case "export":
            from ledger.transfer.archive_export import export  # noqa: PLC0415 (as above)

            export(f"archives/{n}")
        case "init":
            ln.init("storage", root=f"init/{n}")
        case "import":
            from ledger.transfer.archive_import import restore  # noqa: PLC0415 (as above)

            restore("archives/0", "storage", root=Path(f"import/{n}"))
        case "close":
            ln.close()
        case _:
            raise AssertionError(kind)
    return ""
