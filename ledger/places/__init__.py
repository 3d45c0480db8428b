"""Where a ledger is, how it is opened, and which one is in use.

Imported by: api, auditing, bridges, cli, past, proving, registries, tracking, transfer, upkeep,
  web.
Imports: content, display, engine, errors, eventlog, files, forks, input_files, model,
  projections.
"""
