"""The verb `web`: a page on the ledger for the browser of this computer."""

from __future__ import annotations

import click

from ledger.cli.group import verb


@verb(
    "web",
    examples=(
        "metaledger web",
        "metaledger web --no-open --port 8080",
        "metaledger web report.html",
    ),
)
@click.argument("what", required=False)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    show_default=True,
    help="The port to listen at; 0 takes a free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen at: of this computer alone.",
)
@click.option("--no-open", is_flag=True, help="Print the address, and open no browser.")
def web_verb(what: str | None, port: int, host: str, no_open: bool) -> None:  # noqa: FBT001
    """Open a page on the ledger: search, records, log, and the lineage under a slider over time.

    With WHAT (a uid, key or name) it opens at the lineage of that record. The page only reads. It
    is for the browser of this computer and whoever has the address that is printed, which holds a
    secret of this one call.

    Needs the extra: pip install 'metaledger[web]'.
    """
    from ledger.errors import MissingDependencyError
    from ledger.places import instance

    try:
        from ledger.web.serving import Page
    except ImportError as error:
        raise MissingDependencyError(
            f"metaledger web needs {error.name}, which is not installed; "
            "pip install 'metaledger[web]'"
        ) from error
    path = "/"
    if what is not None:
        from ledger.cli.moment import source_at
        from ledger.registries.finding import found

        path = f"/lineage/{found(source_at(None), what).uid}"
    page = Page(instance.current().place, host=host, port=port)
    click.echo(f"→ {page.address(path)}  (read only; Ctrl-C ends it)")
    if not no_open:
        import webbrowser

        webbrowser.open(page.address(path))
    page.run()
