"""A page on a ledger for a browser on this computer: read only, offline, behind a token.

1. `guard` stands before every answer: method, host, origin and token in, the same headers out.
2. `answers` makes plain data from what a user of the library can ask; `app` puts it on URLs.
3. The client in `static/` is built from `client/` by `make web`; nothing builds it at install.

Imported by: cli.
Imports: display, engine, errors, input_files, model, past, places, projections, registries.
"""
