"""The rooms of both packages as the code has them: floors, signs, and what imports what.

`python -m tests.support.rooms` writes what follows from the code into the documents:

1. The last lines of each room's docstring say which rooms import it, and which it imports.
2. The block of docs/architecture.md between two marks shows the floors, from the contracts in
   pyproject.toml, and one line a room, from the rooms' own docstrings.

A room is a folder of `ledger`, a file that lies loose there, or the package `projections`.
"""

from __future__ import annotations

import ast
import re
import textwrap
import tomllib
from collections import defaultdict
from functools import cache
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
FLOORS = "Rooms stand on floors, and imports go down"
SIDES = "The read side stands on the model; the log and all above may use it"
BEGIN, END = "<!-- rooms: begin -->", "<!-- rooms: end -->"
READ_SIDE = "projections"


@cache
def contracts() -> dict[str, dict[str, list[str]]]:
    """The contracts of pyproject.toml by name."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {it["name"]: it for it in told["tool"]["importlinter"]["contracts"]}


def floors() -> list[list[str]]:
    """The rooms of each floor, from the roof down; the read side right below the log."""
    found = [layer.split(" : ") for layer in contracts()[FLOORS]["layers"]]
    above, here = contracts()[SIDES]["layers"][:2]
    place = found.index([above.removeprefix("ledger.")])
    return [*found[: place + 1], [here], *found[place + 1 :]]


def room_of(module: str) -> str:
    """The room that a module lives in; "" for the public door itself."""
    top, *rest = module.split(".")
    return READ_SIDE if top == READ_SIDE else (rest[0] if rest else "")


@cache
def arrows() -> dict[str, set[str]]:
    """The rooms that each room imports, whenever and however it does."""
    graph = grimp.build_graph("ledger", READ_SIDE)
    found: dict[str, set[str]] = defaultdict(set)
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            if room_of(module) != room_of(imported):
                found[room_of(module)].add(room_of(imported))
    return found


def path_of(room: str) -> Path:
    """The file whose docstring is the sign of a room."""
    if room == READ_SIDE:
        return ROOT / READ_SIDE / "__init__.py"
    folder = ROOT / "ledger" / room
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def sign(room: str) -> str:
    """The docstring of a room."""
    return ast.get_docstring(ast.parse(path_of(room).read_text(encoding="utf-8"))) or ""


def summary(room: str) -> str:
    """What a room is for: the first line of its sign, as part of a table."""
    first = sign(room).split("\n", 1)[0].rstrip(".")
    return first[0].lower() + first[1:] if first[1:2].islower() else first


def neighbours(room: str) -> str:
    """The last lines of a sign: who imports the room, and what it imports."""
    importers = {it for it, imported in arrows().items() if room in imported} - {""}
    lines = []
    for word, names in (("Imported by", importers), ("Imports", arrows()[room])):
        text = f"{word}: {', '.join(sorted(names)) or 'nothing'}."
        lines += textwrap.wrap(text, width=96, subsequent_indent="  ")
    return "\n".join(lines)


def block() -> str:
    """What docs/architecture.md shows between its marks."""
    numbered = list(zip(range(len(floors()), 0, -1), floors(), strict=True))
    width = max(len(" · ".join(rooms)) for _, rooms in numbered)
    wall = "─" * (width + 2)
    drawn = [f"{number:>2} │ {' · '.join(rooms):<{width}} │" for number, rooms in numbered]
    drawn = [f"   ┌{wall}┐", *f"\n   ├{wall}┤\n".join(drawn).split("\n"), f"   └{wall}┘"]
    rows = [
        f"| {number} | [`{room}`]({_link(room)}) | {summary(room)} |"
        for number, rooms in numbered
        for room in rooms
    ]
    head = ["| floor | room | what it is for |", "|---|---|---|"]
    return "\n".join([BEGIN, "", "```", *drawn, "```", "", *head, *rows, "", END])


def _link(room: str) -> str:
    path = path_of(room)
    return f"../{(path.parent if path.name == '__init__.py' else path).relative_to(ROOT)}"


def folders() -> list[str]:
    """The rooms that are folders, and so bear a sign with their neighbours."""
    return [room for floor in floors() for room in floor if path_of(room).name == "__init__.py"]


def main() -> None:
    """Write the signs' last lines, and the block of the page."""
    for room in folders():
        path = path_of(room)
        text = path.read_text(encoding="utf-8")
        statement = ast.parse(text).body[0]
        said = re.sub(r"\n\nImported by: .*", "", sign(room), flags=re.DOTALL)
        rest = text.split("\n")[statement.end_lineno :]
        path.write_text(
            f'"""{said}\n\n{neighbours(room)}\n"""\n' + "\n".join(rest), encoding="utf-8"
        )
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(before + block() + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
