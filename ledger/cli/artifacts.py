"""The verbs of artifacts: `artifact add`, `artifact list`, `get`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ledger.cli.finding import Uid
from ledger.cli.group import VerbGroup, json_option, verb
from ledger.cli.moment import as_of_option, source_at

if TYPE_CHECKING:
    from ledger.registries.artifact import Artifact

_MODES = ("warn_return_existing", "error", "warn_create_new")

artifact_verb = VerbGroup(
    "artifact",
    verbs={
        "add": ("ledger.cli.artifacts", "Register files and folders, with their content."),
        "list": ("ledger.cli.artifacts", "List the artifacts."),
    },
    examples=("metaledger artifact add sample.fcs --key raw/sample.fcs",),
    help="Register files and folders.",
)


@verb(
    "add",
    examples=(
        "metaledger artifact add sample.fcs --key raw/sample.fcs --label 'Immune study'",
        "metaledger artifact add plates/ --each --key raw",
    ),
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--key", help="Name for it, a relative path; with --each the beginning of the keys.")
@click.option("--description", help="Description in your own words.")
@click.option(
    "--label", "labels", multiple=True, metavar="NAME", help="Label it; may be given several times."
)
@click.option("--each", is_flag=True, help="Register every file below a folder, not the folder.")
@click.option(
    "--if-hash-exists",
    type=click.Choice(_MODES),
    help=f"What to do with content that is registered already. [default: {_MODES[0]}]",
)
@json_option
def add_verb(  # noqa: PLR0913 (the options of the verb)
    paths: tuple[str, ...],
    *,
    key: str | None,
    description: str | None,
    labels: tuple[str, ...],
    each: bool,
    if_hash_exists: str | None,
    as_json: bool,
) -> None:
    """Register the files, folders or URLs at each PATH and store their content.

    The same content again is the same artifact, whatever it is called. Content under a key that
    exists is a new version.
    """
    from ledger.api import save
    from ledger.cli.labels import label_called
    from ledger.cli.output import print_json_lines, print_records, record_data
    from ledger.display.messages import leave_unsaid
    from ledger.registries.base import NO_RUN

    leave_unsaid(NO_RUN)
    if key is not None and len(paths) > 1:
        raise click.UsageError("--key names one artifact, or one folder with --each: give one PATH")
    found = [label_called(name) for name in labels]
    artifacts = save(_artifacts(paths, key, description, each=each, mode=if_hash_exists))
    for artifact in artifacts:
        artifact.labels.add(*found)
    if as_json:
        print_json_lines(record_data(artifact) for artifact in artifacts)
    elif artifacts:
        print_records(artifacts)


@verb("list", examples=("metaledger artifact list --limit 10",))
@click.option("--limit", type=click.IntRange(min=0), help="At most so many; 0 for all.")
@json_option
def list_verb(*, limit: int | None, as_json: bool) -> None:
    """List the artifacts, the newest first: the same as `metaledger list artifact`."""
    from ledger.cli.records import list_records

    list_records("artifact", limit=limit, as_json=as_json)


def _artifacts(
    paths: tuple[str, ...],
    key: str | None,
    description: str | None,
    *,
    each: bool,
    mode: str | None,
) -> list[Artifact]:
    from ledger.registries.artifact import Artifact

    artifacts: list[Artifact] = []
    for path in paths:
        if each and _is_folder(path):
            below = Artifact.from_dir(path, key, if_hash_exists=mode)
            if description is not None:
                for artifact in below:
                    artifact.description = description
            artifacts += below
        else:
            artifacts.append(Artifact(path, key, description, if_hash_exists=mode))
    return artifacts


def _is_folder(place: str) -> bool:
    """Return whether a path, which may begin with `~`, or a file URL leads to a folder here."""
    from ledger.input_files import is_file_url, named_path, path_of_url

    if is_file_url(place):
        return path_of_url(place).is_dir()
    return "://" not in place and named_path(place).is_dir()


@verb(
    "get",
    examples=(
        "metaledger get raw/sample.fcs",
        "metaledger get Z8ZRoI results/",
        "metaledger get report.csv - | head",
    ),
)
@click.argument("artifact", type=Uid("artifact"))
@click.argument("destination", metavar="[DEST]", default=".", type=click.Path())
@as_of_option
@json_option
def get_verb(artifact: str, destination: str, *, as_of: str | None, as_json: bool) -> None:
    """Copy the content of an ARTIFACT to DEST, and print the path.

    ARTIFACT is a uid or its beginning, a key, or the path or URL of a file or folder with the same
    content. Every byte is compared with what was registered; nothing is overwritten. DEST is a path
    that is free, or a folder, by default this one; - writes the content to standard output.
    """
    from ledger.cli.output import print_json
    from ledger.display.tables import shown
    from ledger.past.retraction import warn_of_retraction
    from ledger.registries.content_copy import copy_content
    from ledger.registries.finding import found

    if destination == "-" and as_json:
        raise click.UsageError("- writes the content itself, --json a document: choose one")
    meant: Any = found(source_at(as_of), artifact, registry="artifact")
    warn_of_retraction(meant)
    if destination == "-":
        _write_out(meant)
        return
    path = copy_content(meant, destination)
    if as_json:
        print_json({"uid": meant.uid, "path": shown(path)})
    else:
        click.echo(shown(path))


def _write_out(artifact: Artifact) -> None:
    """Write the content of an artifact, compared before the first byte, to standard output."""
    import shutil
    import sys

    if artifact.cache().is_dir():
        raise click.UsageError(f"artifact {artifact.uid} is a folder: give a DEST for it")
    with artifact.open(verify=False) as content:
        shutil.copyfileobj(content, sys.stdout.buffer)


__all__ = ["add_verb", "artifact_verb", "get_verb", "list_verb"]
