"""The verb `demo`: the main job of the product, shown on real files in a folder of its own.

The commands themselves print all output that is shown. Each step is checked before the next is
told, so that every claim of the demonstration is true.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from ledger.cli.group import verb
from ledger.errors import LedgerError, PathTakenError

_FILES = 5
_SCRIPT = "demo.py"
_AT_LEAST = "12000"


@verb(
    "demo",
    examples=(
        "metaledger demo",
        "metaledger demo --keep ./metaledger-demo",
        "metaledger demo --web",
    ),
)
@click.option(
    "--keep",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Do it in this folder, made if need be, and leave it there.",
)
@click.option("--web", is_flag=True, help="Then open the page on the ledger it made.")
def demo_verb(keep: Path | None, web: bool) -> None:  # noqa: FBT001 (click's argument)
    """Make a ledger, run a script on real flow-cytometry files, run it again: nothing is added.

    Needs the example files of the extra: pip install 'metaledger[demo]'.
    """
    with _folder(keep) as folder:
        _Demo(folder).show()
        if web:
            _open_page(folder)
        if keep is not None:
            click.echo(f"\nThe folder is kept: {folder}")
            click.echo("To look at it in a browser: cd there, and 'metaledger web counts.csv'.")
            return
    click.echo("\nThe folder is gone again; 'metaledger demo --keep DIR' leaves it there.")
    if not web:
        click.echo("To look at its ledger in a browser, under a slider over time: --web.")


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        import tempfile

        with tempfile.TemporaryDirectory(prefix="metaledger-demo-") as temporary:
            yield Path(temporary).resolve()
        return
    folder = keep.expanduser().resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PathTakenError(f"{folder}: expected a folder that is new or empty; choose another")
    folder.mkdir(parents=True, exist_ok=True)
    yield folder


def _open_page(folder: Path) -> None:
    """Open the page of the demonstration's ledger, at its result, until Ctrl-C."""
    from ledger.cli.web import open_page
    from ledger.places import instance

    click.echo()
    instance.connect(folder)
    try:
        open_page("counts.csv")
    finally:
        instance.close()


class _Demo:
    """The steps, in order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._environment = _environment()

    def show(self) -> None:
        """Show all of it."""
        from ledger.cli.demo_script import SCRIPT
        from ledger.core import datasets

        data = self._folder / "data"
        data.mkdir()
        copied = datasets.files_fcs(data, limit=_FILES)
        self._title("A ledger in a folder")
        click.echo(f"Real flow-cytometry files, {len(copied)} of them, are in data/.")
        self._command("init", "--storage", "./storage", "--name", "demo")

        self._title("A script that registers what it reads and what it makes")
        (self._folder / _SCRIPT).write_text(SCRIPT, "utf-8")
        _show_source(SCRIPT)
        self._script()
        first = self._head()

        self._title("The same script again adds nothing")
        self._script()
        if self._head() != first:
            raise LedgerError(
                f"demo: expected the second pass to end at position {first}, found {self._head()}"
            )
        click.echo(f"The log ended at position {first}, and still does.")

        self._title("A typo does not become a second label")
        self._command("label", "add", "Imune study", status=1)

        self._title("What the ledger knows")
        self._command("list", "artifact")
        self._command("list", "label")

        self._title("Another parameter is another run; what was before is history")
        self._script(_AT_LEAST)
        self._command("list", "run")
        self._command("list", "artifact", "--filter", "key=counts.csv")
        uid, n_versions = self._looked_up()
        if n_versions != 2:  # noqa: PLR2004 (what the text says)
            raise LedgerError(f"demo: expected 2 versions of counts.csv, found {n_versions}")
        click.echo(
            "\ncounts.csv came out differently: a new version, the old one is kept. The raw files "
            "are the same,\nso they are the same artifacts; the run before is in their history:"
        )
        self._command("show", uid)

        self._title("What to try next")
        for line in (
            "metaledger init --storage ./storage     a ledger of your own",
            "metaledger search immune                find records by what you remember",
            "metaledger get UID                      a verified copy of any content",
            "metaledger doctor                       is everything where it should be?",
            "metaledger --help                       everything else",
        ):
            click.echo(f"  {line}")
        click.echo(
            "\nIn Python: import ledger as ln; ln.Artifact.filter(labels__name='Raw data').df()"
        )

    # --- steps ----------------------------------------------------------------------------------

    def _title(self, text: str) -> None:
        from ledger.cli.output import styled

        self._number += 1
        line = f"{self._number}. {text}"
        click.echo(f"\n{styled(line, bold=True, fg='cyan')}\n{'─' * len(line)}")

    def _script(self, *arguments: str) -> None:
        self._run(["python", _SCRIPT, *arguments], [sys.executable, _SCRIPT, *arguments])

    def _command(self, *arguments: str, status: int = 0) -> None:
        self._run(
            ["metaledger", *arguments], [sys.executable, "-m", "ledger", *arguments], status=status
        )

    def _run(self, shown: Sequence[str], command: Sequence[str], *, status: int = 0) -> None:
        """Show a command, run it, and let it speak for itself."""
        from ledger.cli.output import styled

        line = "$ " + " ".join(f"'{word}'" if " " in word else word for word in shown)
        click.echo(f"\n{styled(line, bold=True)}")
        sys.stdout.flush()
        # Not on a terminal, both kinds of output are one stream, in the order they were written.
        ended = subprocess.run(  # noqa: S603 (this very program, and the script shown)
            command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stderr=None if sys.stdout.isatty() else subprocess.STDOUT,
            stdout=None if sys.stdout.isatty() else subprocess.PIPE,
            check=False,
        )
        if ended.stdout:
            click.echo(ended.stdout.decode("utf-8", "replace"), nl=False)
        if ended.returncode != status:
            raise LedgerError(
                f"demo: '{' '.join(shown)}': expected exit status {status}, "
                f"found {ended.returncode}"
            )

    def _head(self) -> int:
        from ledger.places.discovery import locate
        from ledger.upkeep.overview import about

        return about(locate(self._folder)).head

    def _looked_up(self) -> tuple[str, int]:
        """Return the uid of a raw file, and how many versions of the result there are."""
        from ledger.places import instance
        from ledger.registries.artifact import Artifact

        instance.connect(self._folder)
        try:
            raw = Artifact.filter(key__startswith="raw/")[0].uid
            return raw, Artifact.filter(key="counts.csv").count()
        finally:
            instance.close()


def _environment() -> dict[str, str]:
    """Return the environment of the commands: no ledger from outside, this very package."""
    environment = {name: value for name, value in os.environ.items() if name != "METALEDGER_URL"}
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return environment | {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
    }


def _show_source(text: str) -> None:
    from ledger.cli.output import has_colours

    if not has_colours(sys.stdout):
        click.echo("\n" + "\n".join(f"    {line}".rstrip() for line in text.splitlines()))
        return
    from rich.console import Console
    from rich.syntax import Syntax

    console = Console()
    console.print()
    console.print(Syntax(text, "python", theme="ansi_dark", padding=(0, 2), word_wrap=True))
