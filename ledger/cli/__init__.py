"""The `metaledger` command: a user of the library like any other, with no rules of its own.

1. Data goes to standard output, everything else to standard error; `--json` is data alone.
2. Exit status: 0 done; 1 an error of ours, told in one line `error: …` with the way out; 2 the
   command line cannot be understood, which is 64 for `plan`, where 2 says that there is something
   to record; 130 after Ctrl-C and 141 after the reader of the output went away, both without a
   message.
3. A verb is loaded when it is used, and loads what it needs when it needs it: starting is fast.
4. A question is asked only where somebody can answer it.

Imported by: __main__.
Imports: , api, auditing, bridges, core, display, engine, errors, files, input_files, model,
  past, places, proving, registries, tracking, transfer, upkeep, user_settings, version, web.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from ledger.cli.ending import INTERRUPTED, MISUNDERSTOOD, complain, open_missing, unheard
from ledger.cli.group import VerbGroup
from ledger.errors import LedgerError

# Heading: its verbs, each with the module that holds it and its description. `--help` needs only
# the descriptions, so it loads no verb.
_SECTIONS = {
    "Begin": {
        "demo": ("ledger.cli.demo", "See it work on real files, in a folder of its own."),
        "init": ("ledger.cli.place", "Make a ledger in this folder."),
        "status": ("ledger.cli.status", "Tell where you stand, and which files changed."),
        "info": ("ledger.cli.place", "Tell which ledger this is and what it holds."),
        "docs": ("ledger.cli.documents", "List the pages of the documentation, or print one."),
        "config": ("ledger.cli.place", "Show each setting and where it comes from."),
        "completion": ("ledger.cli.shell", "Print the completion script of a shell."),
    },
    "Record": {
        "run": ("ledger.cli.run", "Run any command as a run of its own."),
        "plan": ("ledger.cli.plan", "Show what a script would record, before it does."),
        "artifact": ("ledger.cli.artifacts", "Register files and folders."),
        "label": ("ledger.cli.labels", "Add, list, rename, attach and detach labels."),
        "collection": ("ledger.cli.collections", "Put artifacts together under one name."),
        "registry": ("ledger.cli.types", "Look at the registries of your own."),
        "record": ("ledger.cli.types", "Add records to a registry of your own."),
        "annotate": ("ledger.cli.types", "Set features of a record."),
        "rename": ("ledger.cli.naming", "Give a record another name."),
        "tag": ("ledger.cli.history", "Name a point, or list the names."),
    },
    "Find": {
        "list": ("ledger.cli.records", "List the records of a registry."),
        "show": ("ledger.cli.records", "Show everything about one record."),
        "search": ("ledger.cli.records", "Find records by words, beginnings, typos."),
        "lineage": ("ledger.cli.tree", "Follow where a result came from, or went."),
        "get": ("ledger.cli.artifacts", "Copy the content of an artifact out, verified."),
        "transform": ("ledger.cli.transforms", "Show a script as it was, with its source."),
        "web": ("ledger.cli.web", "Open a page on the ledger, the past under a slider."),
    },
    "Look back": {
        "log": ("ledger.cli.history", "Tell what happened, event by event."),
        "history": ("ledger.cli.history", "Tell every change of one record."),
        "diff": ("ledger.cli.history", "Tell what differs between two points."),
    },
    "Correct": {
        "trash": ("ledger.cli.records", "Move a record to the trash."),
        "restore": ("ledger.cli.records", "Take a record out of the trash; restore a backup."),
        "retract": ("ledger.cli.withdrawal", "Record that nobody should rely on a record."),
        "merge": ("ledger.cli.withdrawal", "Merge one label into another."),
        "erase": ("ledger.cli.erasure", "Remove the data of a record for good."),
    },
    "Prove": {
        "audit": ("ledger.cli.auditing", "Read everything again; tell every contradiction."),
        "checkpoint": ("ledger.cli.proving", "Sign what the log holds now."),
        "key": ("ledger.cli.proving", "Show, make or change the key that signs."),
        "prove": ("ledger.cli.proving", "Prove that an entry is in the log."),
        "verify": ("ledger.cli.proving", "Verify a proof, without any ledger."),
    },
    "Keep": {
        "doctor": ("ledger.cli.upkeep", "Look for damage, losses and leftovers."),
        "backup": ("ledger.cli.upkeep", "Copy the ledger into a file while others write."),
        "export": ("ledger.cli.exports", "Write the log as an archive, or tables for others."),
        "import": ("ledger.cli.archives", "Make a ledger of an archive; import other tools."),
        "rebuild": ("ledger.cli.auditing", "Make the read models anew from the log."),
        "delete": ("ledger.cli.place", "Take the ledger away, never its content."),
    },
}

app = VerbGroup(
    "metaledger",
    sections=_SECTIONS,
    help=(
        "Keep a ledger of labels, artifacts, collections, transforms and runs. Every change is an "
        "event in a log that only grows; the same script twice adds nothing.\n\n"
        "In Python: import ledger as ln\n\n"
        "Documentation: metaledger docs"
    ),
    examples=(
        "metaledger init                      # then: python analysis.py, with ln.track() in it",
        "metaledger artifact add plate.csv    # one file, by hand",
        "metaledger run -- Rscript report.R   # any program",
        "metaledger show ./report.csv         # which artifact is this file, who made it?",
    ),
    has_version=True,
)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command with the arguments of this process, or with `args`, and exit."""
    open_missing()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets its escape, not a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    status = _run(args)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = unheard()
    except OSError as error:
        from ledger.cli.output import error_line

        unheard()
        complain(error_line(OSError(f"standard output: {error.strerror}; see to where it goes")))
        status = 1
    sys.exit(status)


def _run(args: Sequence[str] | None) -> int:
    try:
        status = app.main(args, prog_name="metaledger", standalone_mode=False)
    except click.Abort:
        return INTERRUPTED
    except click.UsageError as error:
        from ledger.cli.output import usage_lines

        complain(usage_lines(error))
        command = None if error.ctx is None else error.ctx.command
        return getattr(command, "misunderstood", MISUNDERSTOOD)
    except BrokenPipeError:
        return unheard()
    except (LedgerError, OSError, click.ClickException) as error:
        from ledger.cli.output import error_line

        complain(error_line(error))
        return 1
    return status if isinstance(status, int) else 0


__all__ = ["app", "main"]
