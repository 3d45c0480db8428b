"""The verb that has the documentation: `docs`."""

from __future__ import annotations

from pathlib import Path

import click

from ledger.cli.group import json_option, verb
from ledger.errors import NotFoundError, nearest

_FIRST = "tutorial.md"
_MOST = 1 << 24  # bytes of a page


@verb(
    "docs",
    examples=(
        "metaledger docs",
        "metaledger docs tutorial",
        "metaledger docs coming-from | less",
    ),
)
@click.argument("page", required=False)
@json_option
def docs_verb(page: str | None, *, as_json: bool) -> None:
    """List the pages of the documentation with their paths, or print one PAGE.

    They are those of this very version, and need no network.
    """
    from ledger.cli.output import print_json_lines, print_table

    pages = {path.stem: path for path in sorted(_folder().glob("*.md"))}
    if page is not None:
        _print(pages, page.removesuffix(".md"), as_json=as_json)
    elif as_json:
        print_json_lines({"page": name, "path": str(path)} for name, path in pages.items())
    else:
        print_table(
            ["page", "about", "path"],
            [[name, _title(path), str(path)] for name, path in pages.items()],
        )


def _folder() -> Path:
    """Return the folder of the pages: in a checkout beside the package, else where installed.

    Raises:
        NotFoundError: They were not installed.
    """
    from importlib import metadata

    beside = Path(__file__).resolve().parents[2]
    if (beside / "pyproject.toml").is_file() and (beside / "docs" / _FIRST).is_file():
        return beside / "docs"
    try:
        installed = metadata.files("metaledger") or []
    except metadata.PackageNotFoundError:
        installed = []
    for file in installed:
        if file.name == _FIRST and (found := Path(str(file.locate())).resolve()).is_file():
            return found.parent
    raise NotFoundError("docs: no pages were installed; install the whole of metaledger again")


def _title(path: Path) -> str:
    return _text(path).partition("\n")[0].removeprefix("#").strip()


def _text(path: Path) -> str:
    from ledger.input_files import read_small

    return read_small(path, most=_MOST).decode()


def _print(pages: dict[str, Path], page: str, *, as_json: bool) -> None:
    from ledger.cli.output import print_json

    if page not in pages:
        near = nearest(page, pages)
        way_out = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(pages)}"
        raise NotFoundError(f"docs: no page '{page}'; {way_out}", name=page)
    text = _text(pages[page])
    if as_json:
        print_json({"page": page, "path": str(pages[page]), "text": text})
    else:
        click.echo(text, nl=False)


__all__ = ["docs_verb"]
