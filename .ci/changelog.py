"""Moves the fragments of docs/changes/ into docs/changelog.md, under the version of pyproject.toml.

1. A fragment is one or more headings, `# Added`, `# Changed`, `# Fixed` or `# Removed`, each above
   a list. Anything else is refused, and nothing is written.
2. The entries of one heading stand in the order of the fragments' names, word for word.
3. The newest version stands first. A version that the changelog has already is refused.
4. Without fragments nothing changes, so that a second call does nothing.

`python .ci/changelog.py` does it in the working folder; `--print` only shows the new section.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

KINDS = ("Added", "Changed", "Fixed", "Removed")
FRAGMENTS = Path("docs/changes")
CHANGELOG = Path("docs/changelog.md")


def parts(fragment: Path) -> dict[str, str]:
    """Return the list below each heading of a fragment."""
    before, *rest = re.split(r"^# (.*)\n", fragment.read_text("utf-8"), flags=re.MULTILINE)
    found = {kind: text.strip("\n") for kind, text in zip(rest[::2], rest[1::2], strict=True)}
    if before.strip() or not found or 2 * len(found) < len(rest):
        sys.exit(f"{fragment}: expected headings such as '# Added', each once, and no text above")
    for kind, text in found.items():
        if kind not in KINDS:
            sys.exit(f"{fragment}: expected a heading of {', '.join(KINDS)}, found '{kind}'")
        if not re.fullmatch(r"- .*(\n(- |  ).*)*", text):
            sys.exit(f"{fragment}: expected a list of '- ' below '{kind}', without empty lines")
    return found


def section(version: str, fragments: list[Path]) -> str:
    """Return what the changelog says of a version."""
    read = [parts(fragment) for fragment in fragments]
    lines = [f"## {version}\n"]
    for kind in KINDS:
        texts = [part[kind] for part in read if kind in part]
        if texts:
            lines.append(f"### {kind}\n\n" + "\n".join(texts) + "\n")
    return "\n".join(lines)


def main(*, only_print: bool) -> None:
    """Move the fragments, or print what they would become."""
    version = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]["version"]
    fragments = sorted(FRAGMENTS.glob("*.md"))
    if not fragments:
        return
    made = section(version, fragments)
    if only_print:
        sys.stdout.write(made)
        return
    head, mark, tail = CHANGELOG.read_text("utf-8").partition("\n## ")
    if f"\n## {version}\n" in mark + tail:
        sys.exit(f"{CHANGELOG}: it has {version} already; raise the version in pyproject.toml")
    CHANGELOG.write_text(f"{head.rstrip()}\n\n{made}{mark}{tail}", "utf-8")
    # Whoever is interrupted here is told that the version is there already.
    for fragment in fragments:
        fragment.unlink()


if __name__ == "__main__":
    main(only_print="--print" in sys.argv[1:])
